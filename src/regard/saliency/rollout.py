"""Attention rollout."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS
from regard.saliency.followed import Followed
from regard.saliency.seen import Seen

Fusion = Literal["mean", "max", "min"]


@METHODS.register("rollout")
class Rollout(Followed):
    """Attention rollout: attention followed through all blocks, residual connections included.

    product over blocks b of rownorm(A_b + I), the last block leftmost; row of the class token

    with A_b the block's attention averaged over heads, I for the residual connection, and
    rownorm the division of each row by its sum, so that the rows of the product sum to 1, too.
    Where the logits are read from the patches (average pooling), the mean of the patches' rows. In
    a net of two branches b runs over the attentions of both, in matrices over the tokens of both:
    where a class token attends to the other branch's patches, its row alone differs from I. The
    row is the mean of both class tokens', and the map the sum of both grids'.

    Reference: Abnar and Zuidema, Quantifying Attention Flow in Transformers, arXiv:2005.00928.
    Equation 1 is the product; the identity is mixed in before it, as 0.5 A + 0.5 I, which is
    rownorm(A + I) where the rows of A sum to 1.

    Args:
        head_fusion: the mean, max or min over heads.
        discard: this share of the smallest entries of each A_b counts as zero, other than what
            goes to the first token; at least 0, below 1.
        reader: of a net of two branches the one whose class token is asked, such as `large`.
        branch: of a net of two branches the one that is followed alone, as if nothing crossed.
    """

    name: ClassVar[str] = "rollout"
    residual: ClassVar[bool] = True
    gradients: ClassVar[bool] = False
    targeted: ClassVar[bool] = False
    formula: ClassVar[str] = "product of rownorm(mean_heads A + I), row of the class token"
    passes: ClassVar[str] = "1 forward"
    blind_to: ClassVar[str] = "the target; what the values carry; the blocks' MLPs"
    nets: ClassVar[str] = "transformers of one set of tokens: ViT, DeiT, DINOv2; CrossViT"
    reference: ClassVar[str] = "arXiv:2005.00928 eq. 1"

    def __init__(
        self,
        *,
        head_fusion: Fusion = "mean",
        discard: float = 0.0,
        reader: str | None = None,
        branch: str | None = None,
    ) -> None:
        super().__init__(reader=reader, branch=branch)
        if head_fusion not in ("mean", "max", "min") or not 0 <= discard < 1:
            raise ConfigError(
                f"method {self.name}",
                expected="head_fusion mean, max or min, and discard from 0 to below 1",
                found=f"{head_fusion!r} and {discard}",
                remedy="correct the option",
            )
        self.head_fusion, self.discard = head_fusion, discard

    def fused(self, seen: Seen) -> list[Tensor]:
        """Attention (B, N, M) of each block."""
        return [self._without_small(self._fused(matrix)) for matrix in seen.attention]

    def _fused(self, matrix: Tensor) -> Tensor:
        if self.head_fusion == "mean":
            return matrix.mean(1)
        return matrix.amax(1) if self.head_fusion == "max" else matrix.amin(1)

    def _without_small(self, matrix: Tensor) -> Tensor:
        if not self.discard:
            return matrix
        flat = matrix.flatten(1)
        smallest = flat.topk(int(flat.shape[1] * self.discard), largest=False).indices
        kept = torch.ones_like(flat).scatter(1, smallest, 0).view_as(matrix)
        kept[:, :, 0] = 1
        return matrix * kept
