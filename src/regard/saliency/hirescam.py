"""HiResCAM."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method
from regard.saliency.seen import Seen


@METHODS.register("hirescam")
class HiResCAM(Method):
    """HiResCAM: each position's activation times its own gradient.

    relu(sum_k g_k A_k)

    with A_k the activations of channel k, y the target's logit and g_k = dy / dA_k, position by
    position. Grad-CAM averages g_k over the positions first and so may point at places that
    did not raise the logit; this does not. Before the ReLU the map sums to y, but for the bias,
    where the head is linear in the activations. With pooling and a linear head it is Grad-CAM.

    Reference: Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks, arXiv:2011.08891; the ReLU is ours, as in Grad-CAM.
    """

    name: ClassVar[str] = "hirescam"
    formula: ClassVar[str] = "relu(sum_k g_k A_k)"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the layer"
    blind_to: ClassVar[str] = "evidence against the class; anything finer than the layer's grid"
    nets: ClassVar[str] = "all with positions: maps or tokens"
    reference: ClassVar[str] = "arXiv:2011.08891"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        return (seen.gradient * seen.activations).sum(1).relu()
