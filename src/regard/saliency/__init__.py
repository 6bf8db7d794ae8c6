"""Where a net looks: saliency maps of any `torch.nn.Module`."""

from regard.saliency import (  # noqa: F401  each registers its method
    ablationcam,
    attention,
    cam,
    chefer,
    eigencam,
    expected_gradients,
    gradcam,
    gradcampp,
    gradient_rollout,
    guided_backprop,
    guided_gradcam,
    hirescam,
    input_x_gradient,
    integrated_gradients,
    layercam,
    occlusion,
    rise,
    rollout,
    saliency,
    scorecam,
    smoothgrad,
    xgradcam,
)
from regard.saliency.base import METHODS, Method
from regard.saliency.explain import explain
from regard.saliency.layers import find_layer
from regard.saliency.targets import PixelTarget

__all__ = ["METHODS", "Method", "PixelTarget", "explain", "find_layer", "methods"]


def methods() -> list[str]:
    """The names of all methods."""
    return list(METHODS)
