"""LayerCAM."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method
from regard.saliency.seen import Seen


@METHODS.register("layercam")
class LayerCAM(Method):
    """LayerCAM: each position's activation times the positive part of its own gradient.

    relu(sum_k relu(g_k) A_k)

    with A_k the activations of channel k, y the target's logit and g_k = dy / dA_k, position by
    position. Meant for early layers too, where the mean gradient of a channel says little.

    Reference: Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for
    Localization, IEEE TIP 30, 2021, doi:10.1109/TIP.2021.3089943.
    """

    name: ClassVar[str] = "layercam"
    formula: ClassVar[str] = "relu(sum_k relu(g_k) A_k)"
    passes: ClassVar[str] = "1 forward, 1 backward from the logits to the layer"
    blind_to: ClassVar[str] = "evidence against the class, channels of negative gradient included"
    nets: ClassVar[str] = "all with positions; meant for layers with ReLU"
    reference: ClassVar[str] = "doi:10.1109/TIP.2021.3089943"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        return (seen.gradient.relu() * seen.activations).sum(1).relu()
