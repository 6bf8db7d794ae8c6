"""Attention rollout weighted by gradients."""

from typing import ClassVar

import torch
from torch import Tensor

from regard.saliency.base import METHODS, Method, Need
from regard.saliency.seen import Seen
from regard.saliency.tokens import self_attention, token_maps


@METHODS.register("gradient_rollout")
class GradientRollout(Method):
    """Gradient rollout: attention rollout over what raises the target's logit.

    product over blocks b of rownorm(Ā_b + I),  Ā_b = mean over heads of relu(A_b * dy/dA_b);
    row of the class token

    with A_b the block's attention (N, N) and y the target's logit. Where the logits are read from
    the patches (average pooling), the mean of the patches' rows, less the way through all
    residual connections, by which a patch comes to itself alone.

    Reference: arXiv:2005.00928 equation 1 for the rollout, with the heads weighted as in Chefer
    et al., arXiv:2103.15679, equation 5.
    """

    name: ClassVar[str] = "gradient_rollout"
    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    formula: ClassVar[str] = "product of rownorm(mean_heads relu(A dA) + I), row of the class token"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the first attention"
    blind_to: ClassVar[str] = "evidence against the class; the blocks' MLPs"
    nets: ClassVar[str] = "transformers of one set of tokens: ViT, DeiT, DINOv2"
    reference: ClassVar[str] = "arXiv:2005.00928 eq. 1, arXiv:2103.15679 eq. 5"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w) on the grid of the patches."""
        weighted = weighted_attention(seen)
        # The product is kept in two parts: nothing small is lost beside the ones of I.
        alone = torch.ones_like(weighted[0][:, 0])
        taken = torch.zeros_like(weighted[0])
        for matrix in weighted:
            share = 1 / (1 + matrix.sum(-1, keepdim=True))
            reach = matrix * share
            taken = reach @ taken + share * taken + reach * alone[:, None]
            alone = alone * share[:, :, 0]
        return token_maps(seen, taken)


def weighted_attention(seen: Seen) -> list[Tensor]:
    """Of each block the mean over heads of relu(A * dy/dA), (B, N, N)."""
    matrices = self_attention(seen)
    pairs = zip(matrices, seen.attention_gradients, strict=True)
    return [(matrix * gradient).relu().mean(1) for matrix, gradient in pairs]
