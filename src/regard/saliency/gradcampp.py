"""Grad-CAM++."""

from typing import ClassVar

import torch
from torch import Tensor

from regard.saliency.base import METHODS, Method, weighted_sum
from regard.saliency.seen import Seen


@METHODS.register("gradcampp")
class GradCAMpp(Method):
    """Grad-CAM++: positive gradients weighted by how much each position matters.

    relu(sum_k w_k A_k),  w_k = sum of alpha_k relu(g_k),
    alpha_k = g_k^2 / (2 g_k^2 + g_k^3 sum A_k)

    with A_k the activations of channel k, y the target's logit, g_k = dy / dA_k, and sums over
    the positions. Where g_k is 0 so is alpha_k (0/0); g_k^2 is cancelled before computing, since
    it is so small on trained nets that other software's 1e-6 in the divisor decides the map.

    Above a layer without ReLU the sum of A_k may be negative and the divisor near 0: the formula
    is then unsteady, by the paper's own derivation. A divisor of exactly 0 counts as alpha 0.

    Reference: Chattopadhyay et al., Grad-CAM++, arXiv:1710.11063, equations 5, 19 and 20, but for
    the factor exp(y) common to all weights.
    """

    name: ClassVar[str] = "gradcampp"
    formula: ClassVar[str] = "relu(sum_k w_k A_k), w_k = sum g^2 / (2 g^2 + g^3 sum A) relu(g)"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the layer"
    blind_to: ClassVar[str] = "evidence against the class, negative gradients included"
    nets: ClassVar[str] = "all with positions; meant for layers with ReLU"
    reference: ClassVar[str] = "arXiv:1710.11063 eq. 5, 19, 20"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        gradient, activations = seen.gradient, seen.activations
        divisor = 2 + gradient * activations.sum((2, 3), keepdim=True)
        whole = divisor != 0
        # The safe divisor keeps the gradient of the branch not taken finite.
        alpha = torch.where(whole, 1 / torch.where(whole, divisor, 1), 0)
        return weighted_sum((alpha * gradient.relu()).sum((2, 3)), activations)
