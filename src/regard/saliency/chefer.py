"""Relevance by attention and its gradients, after Chefer."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS
from regard.saliency.followed import Followed
from regard.saliency.gradient_rollout import weighted_attention
from regard.saliency.seen import Seen


@METHODS.register("chefer")
class Chefer(Followed):
    """Chefer's relevance: attention that raises the target's logit, added up over the blocks.

    R <- R + Ā_b R for each block b, from R = I;  Ā_b = mean over heads of relu(A_b * dy/dA_b);
    row of the class token

    with A_b the block's attention (N, N) and y the target's logit. Where the logits are read from
    the patches (average pooling), the mean of the patches' rows of R - I: the I that R begins
    with is a constant there, and far larger than the rest.

    In a net of two branches over both, as in `rollout`.

    Reference: Chefer et al., Generic Attention-model Explainability, arXiv:2103.15679,
    equations 5 and 6.

    Args:
        reader: of a net of two branches the one whose class token is asked, such as `large`.
        branch: of a net of two branches the one that is followed alone, as if nothing crossed.
    """

    name: ClassVar[str] = "chefer"
    normalised: ClassVar[bool] = False
    formula: ClassVar[str] = "R <- R + A_bar R, A_bar = mean_heads relu(A dA); class token's row"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the first attention"
    blind_to: ClassVar[str] = "evidence against the class; the blocks' MLPs"
    nets: ClassVar[str] = "transformers of one set of tokens: ViT, DeiT, DINOv2; CrossViT"
    reference: ClassVar[str] = "arXiv:2103.15679 eq. 5-6"

    def fused(self, seen: Seen) -> list[Tensor]:
        """The weighted attention (B, N, M) of each block."""
        return weighted_attention(seen)
