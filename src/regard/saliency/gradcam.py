"""Grad-CAM."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method, weighted_sum
from regard.saliency.seen import Seen


@METHODS.register("gradcam")
class GradCAM(Method):
    """Gradient-weighted class activation map.

    relu(sum_k w_k A_k),  w_k = mean over positions of dy / dA_k

    with A_k the activations of channel k and y the target's logit. Where the head is average
    pooling and one linear layer, w_k is the head's weight over the number of positions: that
    is used then, exact and without a second backward pass in a loss.

    Reference: Selvaraju et al., Grad-CAM, arXiv:1610.02391, equations 1 and 2.
    """

    name: ClassVar[str] = "gradcam"
    formula: ClassVar[str] = "relu(sum_k mean(g_k) A_k)"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the layer"
    blind_to: ClassVar[str] = "evidence against the class; anything finer than the layer's grid"
    nets: ClassVar[str] = "all with positions: maps or tokens"
    reference: ClassVar[str] = "arXiv:1610.02391 eq. 1-2"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        weights = seen.class_weights
        if weights is None:
            weights = seen.gradient.mean((2, 3))
        else:
            positions = seen.activations.shape[2] * seen.activations.shape[3]
            weights = weights.to(seen.activations.dtype) / positions
        return weighted_sum(weights, seen.activations)
