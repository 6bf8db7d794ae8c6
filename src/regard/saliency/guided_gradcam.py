"""Guided Grad-CAM."""

from typing import ClassVar

from torch import Tensor

from regard.saliency.base import METHODS, Method
from regard.saliency.gradcam import GradCAM
from regard.saliency.guided_backprop import guided_gradient
from regard.saliency.resizing import resize
from regard.saliency.seen import Seen


@METHODS.register("guided_gradcam")
class GuidedGradCAM(Method):
    """Guided Grad-CAM: guided backpropagation where Grad-CAM looks.

    sum over colours of G * U(L)

    with G the pixels' gradient by guided backpropagation, L the Grad-CAM map of the layer and U
    its bilinear enlargement to the image. Signed.

    Reference: Selvaraju et al., Grad-CAM, arXiv:1610.02391, section 3.2.
    """

    name: ClassVar[str] = "guided_gradcam"
    signed: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "sum over colours of guided_backprop * upsampled gradcam"
    passes: ClassVar[str] = "2 forwards, 1 backward to the layer and 1 to the pixels"
    blind_to: ClassVar[str] = "evidence against the class; all that Grad-CAM does not see"
    nets: ClassVar[str] = "all with positions and gradients to the pixels; meant for ReLUs"
    reference: ClassVar[str] = "arXiv:1610.02391 sec. 3.2"

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        guided = guided_gradient(seen)
        height, width = guided.shape[2:]
        where = resize(GradCAM().maps(seen), (height, width))
        return (guided * where[:, None]).sum(1)
