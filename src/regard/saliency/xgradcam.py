"""XGrad-CAM."""

from typing import ClassVar

import torch
from torch import Tensor

from regard.saliency.base import METHODS, Method, weighted_sum
from regard.saliency.seen import Seen


@METHODS.register("xgradcam")
class XGradCAM(Method):
    """XGrad-CAM: gradients averaged with the activations as weights.

    relu(sum_k w_k A_k),  w_k = sum(g_k A_k) / sum A_k

    with A_k the activations of channel k, y the target's logit, g_k = dy / dA_k, and sums over
    the positions. A channel whose activations sum to exactly 0, as a dead one's do, weighs 0;
    nothing is added to the divisor. Where g_k is the same everywhere it is Grad-CAM.

    Above a layer without ReLU the sum of A_k may come near 0 and the weight become large.

    Reference: Fu et al., Axiom-based Grad-CAM, arXiv:2008.02312, equation 8.
    """

    name: ClassVar[str] = "xgradcam"
    formula: ClassVar[str] = "relu(sum_k w_k A_k), w_k = sum(g_k A_k) / sum A_k"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the layer"
    blind_to: ClassVar[str] = "evidence against the class; anything finer than the layer's grid"
    nets: ClassVar[str] = "all with positions; meant for layers with ReLU"
    reference: ClassVar[str] = "arXiv:2008.02312 eq. 8"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        activations = seen.activations
        total = activations.sum((2, 3))
        alive = total != 0
        weighted = (seen.gradient * activations).sum((2, 3))
        # The safe divisor keeps the gradient of the branch not taken finite.
        weights = torch.where(alive, weighted / torch.where(alive, total, 1), 0)
        return weighted_sum(weights, activations)
