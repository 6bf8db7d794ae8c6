"""Attention rollout weighted by gradients."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS
from regard.saliency.followed import Followed
from regard.saliency.seen import Seen


@METHODS.register("gradient_rollout")
class GradientRollout(Followed):
    """Gradient rollout: attention rollout over what raises the target's logit.

    product over blocks b of rownorm(Ā_b + I),  Ā_b = mean over heads of relu(A_b * dy/dA_b);
    row of the class token

    with A_b the block's attention (N, N) and y the target's logit. Where the logits are read from
    the patches (average pooling), the mean of the patches' rows, less the way through all
    residual connections, by which a patch comes to itself alone.

    In a net of two branches over both, as in `rollout`.

    Reference: arXiv:2005.00928 equation 1 for the rollout, with the heads weighted as in Chefer
    et al., arXiv:2103.15679, equation 5.

    Args:
        reader: of a net of two branches the one whose class token is asked, such as `large`.
        branch: of a net of two branches the one that is followed alone, as if nothing crossed.
    """

    name: ClassVar[str] = "gradient_rollout"
    formula: ClassVar[str] = "product of rownorm(mean_heads relu(A dA) + I), row of the class token"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the first attention"
    blind_to: ClassVar[str] = "evidence against the class; the blocks' MLPs"
    nets: ClassVar[str] = "transformers of one set of tokens: ViT, DeiT, DINOv2; CrossViT"
    reference: ClassVar[str] = "arXiv:2005.00928 eq. 1, arXiv:2103.15679 eq. 5"

    def fused(self, seen: Seen) -> list[Tensor]:
        """The weighted attention (B, N, M) of each block."""
        return weighted_attention(seen)


def weighted_attention(seen: Seen) -> list[Tensor]:
    """Of each block the mean over heads of relu(A * dy/dA), (B, N, M)."""
    pairs = zip(seen.attention, seen.attention_gradients, strict=True)
    return [(matrix * gradient).relu().mean(1) for matrix, gradient in pairs]
