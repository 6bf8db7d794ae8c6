"""Guided backpropagation."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method, Need
from regard.saliency.rectifiers import GuidedRectifiers
from regard.saliency.seen import Seen


@METHODS.register("guided_backprop")
class GuidedBackprop(Method):
    """Guided backpropagation: the pixels' gradient, with rectifiers that pass positive ones only.

    sum over colours of dy / dx, with g * 1[g > 0] * 1[z > 0] in place of g * 1[z > 0] at
    every ReLU

    with x the pixels, y the target's logit, z a ReLU's input and g the gradient at its output.
    At ReLU6, leaky ReLU, ELU, GELU, SiLU and hard swish f, which the paper does not define it
    for, f'(z) relu(g) 1[z > 0]. Signed: the first layer is no rectifier.

    Reference: Springenberg et al., Striving for Simplicity, arXiv:1412.6806, section 3.4.
    """

    name: ClassVar[str] = "guided_backprop"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "sum over colours of dy/dx with g 1[g>0] 1[z>0] at every ReLU"
    passes: ClassVar[str] = "2 forwards, 1 backward to the pixels"
    blind_to: ClassVar[str] = "the class, to a large part: it draws edges in any net"
    nets: ClassVar[str] = "all with gradients to the pixels; meant for ReLUs"
    reference: ClassVar[str] = "arXiv:1412.6806 sec. 3.4"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        return guided_gradient(seen).sum(1)


def guided_gradient(seen: Seen) -> Tensor:
    """The pixels' gradient (B, 3, H, W) by guided backpropagation."""
    with GuidedRectifiers():
        return seen.gradients_at(seen.pixels)
