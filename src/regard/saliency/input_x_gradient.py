"""The pixels times their gradient."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method, Need
from regard.saliency.seen import Seen


@METHODS.register("input_x_gradient")
class InputXGradient(Method):
    """Input times gradient: a first-order estimate of what each pixel adds to the logit.

    sum over colours of x dy / dx

    with x the pixels as the net takes them and y the target's logit. Signed. In a piecewise
    linear net without biases the map sums to y.

    Reference: Shrikumar et al., Not Just a Black Box, arXiv:1605.01713, where it is a comparison.
    """

    name: ClassVar[str] = "input_x_gradient"
    needs: ClassVar[frozenset[Need]] = frozenset({"pixels"})
    signed: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "sum over colours of x dy/dx"
    passes: ClassVar[str] = "1 forward, 1 backward to the pixels"
    blind_to: ClassVar[str] = "pixels of value 0 (the mean colour); evidence that saturates"
    nets: ClassVar[str] = "all with gradients to the pixels"
    reference: ClassVar[str] = "arXiv:1605.01713"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        return (seen.pixels * seen.pixel_gradient).sum(1)
