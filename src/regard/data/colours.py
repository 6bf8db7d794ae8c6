"""Colours of uint8 images: their mean, and random changes of them."""

import torch
from torch import Tensor

from regard.data.settings import Augment

# The shares of red, green and blue in a grey, as torchvision has them.
GREY = (0.2989, 0.587, 0.114)


def mean_colour(image: Tensor) -> Tensor:
    """The mean of each channel of uint8 (3, H, W), float32 (3,); exact, whoever sums it."""
    return image.sum((1, 2)).float() / (image.shape[1] * image.shape[2])


def recoloured(image: Tensor, how: Augment, unit: list[float]) -> Tensor:
    """An image, uint8 (3, H, W), in other colours.

    Args:
        image: not changed itself.
        how: how far each may change.
        unit: four numbers in [0, 1), for brightness, contrast, saturation and hue.
    """
    brightness, contrast, saturation, hue = (2 * value - 1 for value in unit)
    if how.brightness:
        image = levels(image * (1 + brightness * how.brightness))
    if how.contrast:
        # The mean is of whole levels, so that it is exact, however many threads sum it.
        mean = levels(_grey(image)).sum().float() / image[0].numel()
        image = levels(mean + (image - mean) * (1 + contrast * how.contrast))
    if how.saturation:
        grey = _grey(image)
        image = levels(grey + (image - grey) * (1 + saturation * how.saturation))
    if how.hue:
        # Late, as it takes longer to import than all else, and loading processes wait for it.
        from torchvision.transforms.v2.functional import adjust_hue

        image = adjust_hue(image, hue * how.hue)
    return image


def levels(image: Tensor) -> Tensor:
    """Float values as the nearest of the 256 levels, uint8."""
    return image.round().clamp(0, 255).to(torch.uint8)


def _grey(image: Tensor) -> Tensor:
    red, green, blue = (share * channel for share, channel in zip(GREY, image, strict=True))
    return red + green + blue
