"""Ablation-CAM."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.saliency.base import METHODS, Method, weighted_sum
from regard.saliency.observe import pixels_of
from regard.saliency.options import at_least_one
from regard.saliency.seen import Seen


@METHODS.register("ablationcam")
class AblationCAM(Method):
    """Ablation-CAM: channels weighted by what the logit loses without them.

    relu(sum_k w_k A_k),  w_k = (y - y_k) / |y|

    with A_k the activations of channel k, y the target's logit and y_k the logit with A_k set
    to 0. With pooling and a linear head y - y_k is the head's weight times the mean of A_k,
    exactly; elsewhere the net runs once for each channel that is not 0 anyway, in chunks. The
    paper divides by y itself; |y| keeps the sign where y is negative. Where y is 0 the weights
    are not divided. In a loss they count as constants.

    Args:
        chunk: how many ablated images run at a time; memory grows with it.

    Reference: Desai and Ramaswamy, Ablation-CAM, WACV 2020,
    doi:10.1109/WACV45572.2020.9093360, equations 3 and 4.
    """

    name: ClassVar[str] = "ablationcam"
    gradients: ClassVar[bool] = False
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    reaches_head: ClassVar[bool] = False
    formula: ClassVar[str] = "relu(sum_k w_k A_k), w_k = (y - y without channel k) / |y|"
    passes: ClassVar[str] = "1 forward, and 1 a channel unless the head is pooling and linear"
    blind_to: ClassVar[str] = "channels that stand in for one another; evidence against the class"
    nets: ClassVar[str] = "all with positions: maps or tokens"
    reference: ClassVar[str] = "doi:10.1109/WACV45572.2020.9093360 eq. 3-4"

    def __init__(self, chunk: int = 32) -> None:
        at_least_one(self.name, chunk=chunk)
        self.chunk = chunk

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        activations = seen.activations
        with torch.no_grad():
            if seen.class_weights is not None:
                losses, size = seen.class_weights * activations.mean((2, 3)), seen.value.abs()
            else:
                losses, size = self._losses(seen, activations)
            weights = losses / torch.where(size == 0, 1, size)[:, None]
        return weighted_sum(weights.to(activations.dtype), activations)

    def _losses(self, seen: Seen, activations: Tensor) -> tuple[Tensor, Tensor]:
        """The differences y - y_k (B, C), and |y| (B,)."""
        alive = activations.flatten(2).any(2)
        # Column 0 is the whole: run like the others, since autocast or dropout may have given
        # the pass that was seen another y.
        places = F.pad(alive, (1, 0), value=True).nonzero()
        values = seen.value.new_zeros(len(alive), alive.shape[1] + 1)
        pixels = pixels_of(seen.images, seen.view)
        for rows, columns in (part.unbind(1) for part in places.split(self.chunk)):
            kept = torch.ones_like(values[rows], dtype=activations.dtype)
            kept[torch.arange(len(rows)), columns] = 0
            with seen.substituting(activations[rows] * kept[:, 1:, None, None], rows):
                values[rows, columns] = seen.values(pixels[rows], rows).to(values.dtype)
        whole, without = values[:, :1], values[:, 1:]
        return torch.where(alive, whole - without, 0), whole[:, 0].abs()
