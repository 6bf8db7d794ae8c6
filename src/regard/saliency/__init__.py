"""Where a net looks: saliency maps of any `torch.nn.Module`."""

from regard.saliency import cam, gradcam  # noqa: F401  each registers its method
from regard.saliency.base import METHODS, Method
from regard.saliency.explain import explain
from regard.saliency.layers import find_layer
from regard.saliency.targets import PixelTarget

__all__ = ["METHODS", "Method", "PixelTarget", "explain", "find_layer", "methods"]


def methods() -> list[str]:
    """The names of all methods."""
    return list(METHODS)
