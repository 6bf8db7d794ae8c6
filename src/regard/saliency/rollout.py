"""Attention rollout."""

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.seen import Seen
from regard.saliency.tokens import self_attention, token_maps

Fusion = Literal["mean", "max", "min"]


@METHODS.register("rollout")
class Rollout(Method):
    """Attention rollout: attention followed through all blocks, residual connections included.

    product over blocks b of rownorm(A_b + I), the last block leftmost; row of the class token

    with A_b the block's attention averaged over heads, I for the residual connection, and
    rownorm the division of each row by its sum, so that the rows of the product sum to 1, too.
    Where the logits are read from the patches (average pooling), the mean of the patches' rows.

    Reference: Abnar and Zuidema, Quantifying Attention Flow in Transformers, arXiv:2005.00928.
    Equation 1 is the product; the identity is mixed in before it, as 0.5 A + 0.5 I, which is
    rownorm(A + I) where the rows of A sum to 1.

    Args:
        head_fusion: the mean, max or min over heads.
        discard: this share of the smallest entries of each A_b counts as zero, other than what
            goes to the first token; at least 0, below 1.
    """

    name: ClassVar[str] = "rollout"
    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    gradients: ClassVar[bool] = False
    targeted: ClassVar[bool] = False
    formula: ClassVar[str] = "product of rownorm(mean_heads A + I), row of the class token"
    passes: ClassVar[str] = "1 forward"
    blind_to: ClassVar[str] = "the target; what the values carry; the blocks' MLPs"
    nets: ClassVar[str] = "transformers of one set of tokens: ViT, DeiT, DINOv2"
    reference: ClassVar[str] = "arXiv:2005.00928 eq. 1"

    def __init__(self, *, head_fusion: Fusion = "mean", discard: float = 0.0) -> None:
        if head_fusion not in ("mean", "max", "min") or not 0 <= discard < 1:
            raise ConfigError(
                f"method {self.name}",
                expected="head_fusion mean, max or min, and discard from 0 to below 1",
                found=f"{head_fusion!r} and {discard}",
                remedy="correct the option",
            )
        self.head_fusion, self.discard = head_fusion, discard

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w) on the grid of the patches."""
        fused = (self._without_small(self._fused(a)) for a in self_attention(seen))
        return token_maps(seen, rolled_out(fused))

    def _fused(self, matrix: Tensor) -> Tensor:
        if self.head_fusion == "mean":
            return matrix.mean(1)
        return matrix.amax(1) if self.head_fusion == "max" else matrix.amin(1)

    def _without_small(self, matrix: Tensor) -> Tensor:
        flat = matrix.flatten(1)
        smallest = flat.topk(int(flat.shape[1] * self.discard), largest=False).indices
        kept = torch.ones_like(flat).scatter(1, smallest, 0).view_as(matrix)
        kept[:, :, 0] = 1
        return matrix * kept


def rolled_out(matrices: Iterable[Tensor]) -> Tensor:
    """The product (B, N, N) of rownorm(A + I) over matrices (B, N, N), first block first."""
    product = None
    for matrix in matrices:
        step = matrix + torch.eye(matrix.shape[-1]).to(matrix)
        step = step / step.sum(-1, keepdim=True)
        product = step if product is None else step @ product
    assert product is not None
    return product
