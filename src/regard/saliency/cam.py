"""Class activation mapping."""

from typing import ClassVar

from torch import Tensor

from regard.errors import ModelError
from regard.saliency.base import METHODS, Method, weighted_sum
from regard.saliency.seen import Seen


@METHODS.register("cam")
class CAM(Method):
    """Class activation map: the channels weighted by the target's row of the linear head.

    relu(sum_k w_yk A_k)

    with A_k the activations of channel k and w_yk the head's weight from channel k to class y.
    Needs average pooling and one linear layer with nothing between them, dropout in training
    mode included; elsewhere it is refused, and `gradcam` is what comes nearest. Where it
    exists it is h w times Grad-CAM.

    Reference: Zhou et al., Learning Deep Features for Discriminative Localization,
    arXiv:1512.04150, equation 2; the ReLU is ours.
    """

    name: ClassVar[str] = "cam"
    gradients: ClassVar[bool] = False
    formula: ClassVar[str] = "relu(sum_k w_yk A_k)"
    passes: ClassVar[str] = "1 forward"
    blind_to: ClassVar[str] = "evidence against the class; anything finer than the layer's grid"
    nets: ClassVar[str] = "average pooling and one linear layer"
    reference: ClassVar[str] = "arXiv:1512.04150 eq. 2"

    @classmethod
    def refuse(cls, seen: Seen) -> None:
        """Refuse a net with another head."""
        cls._weights(seen)

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        return weighted_sum(self._weights(seen).to(seen.activations.dtype), seen.activations)

    @classmethod
    def _weights(cls, seen: Seen) -> Tensor:
        if seen.class_weights is None:
            raise ModelError(
                "method cam",
                expected="a classifier of average pooling and one linear layer above the layer",
                found=f"another head in {type(seen.net).__name__}",
                remedy="use method gradcam, which needs no such head",
            )
        return seen.class_weights
