"""The pixels' gradient."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method, Need
from regard.saliency.seen import Seen


@METHODS.register("saliency")
class Saliency(Method):
    """Saliency: how strongly the target's logit changes with each pixel.

    max over colours of |dy / dx|

    with x the pixels and y the target's logit.

    Reference: Simonyan et al., Deep Inside Convolutional Networks, arXiv:1312.6034, section 3.1.
    """

    name: ClassVar[str] = "saliency"
    needs: ClassVar[frozenset[Need]] = frozenset({"pixels"})
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "max over colours of |dy/dx|"
    passes: ClassVar[str] = "1 forward, 1 backward to the pixels"
    blind_to: ClassVar[str] = "evidence that saturates: changing it a little changes nothing"
    nets: ClassVar[str] = "all with gradients to the pixels"
    reference: ClassVar[str] = "arXiv:1312.6034 sec. 3.1"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), at least 0."""
        return seen.pixel_gradient.abs().amax(1)
