"""Photos, outlines and maps as pictures of a width, all in the photo's own frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regard.data.transforms import Source, Transform
from regard.images.heat import heat_colours, heat_levels
from regard.images.mask_colours import painted
from regard.images.pictures import encoded
from regard.images.size import Size
from regard.runs.overlay import outline_layers, whole

JPEG, PNG = "image/jpeg", "image/png"
TALLEST = 4096


def shown_at(original: Size, width: int, *, enlarged: bool = False) -> Size:
    """(H, W) of a photo in its own proportions, at most so wide.

    Args:
        original: (H, W).
        width: in pixels.
        enlarged: whether smaller ones are: lines and maps are finer than a small photo.
    """
    scale = min(width / original[1], TALLEST / original[0])
    scale = scale if enlarged else min(1.0, scale)
    return max(1, round(original[0] * scale)), max(1, round(original[1] * scale))


def photo(source: Source, transform: Transform, size: Size) -> bytes:
    """The whole photo, upright, as JPEG of that size."""
    pixels = whole(transform, size).load(source)
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    return encoded(picture, "JPEG", quality=88)


def heat(map_: Tensor) -> bytes:
    """A map (H, W) over its own maximum as PNG, clear where it is 0."""
    levels = heat_levels(map_)
    picture = Image.frombytes("P", levels.shape[::-1], levels.tobytes())
    colours = heat_colours()
    picture.putpalette(colours[:, :3].tobytes())
    return encoded(picture, "PNG", transparency=colours[:, 3].tobytes())


def outline(region: Tensor | None, size: Size) -> bytes:
    """The outline of a region (H, W) on nothing, as PNG; all clear where there is none."""
    picture = Image.new("RGBA", (size[1], size[0]))
    if region is not None:
        weight = min(1.0, max(0.4, size[1] / 480))
        for colour, strength in outline_layers(region, weight=weight):
            layer = Image.new("RGBA", picture.size, colour)
            layer.putalpha(strength)
            picture = Image.alpha_composite(picture, layer)
    return encoded(picture, "PNG")


def filled(region: Tensor | None, size: Size) -> bytes:
    """A region (H, W) as grey PNG, white inside; all black where there is none."""
    picture = Image.new("L", (size[1], size[0]))
    if region is not None:
        picture = Image.fromarray((255 * region).round().byte().numpy())
    return encoded(picture, "PNG")


def classes(ids: NDArray[np.uint8], colours: Sequence[str]) -> bytes:
    """Class indices (H, W) in the classes' colours as PNG; what is beyond these is clear."""
    picture = painted(ids, [*colours])
    return encoded(picture, "PNG", transparency=picture.info["transparency"])


def numbers(found: Tensor) -> bytes:
    """Class indices (H, W) as grey PNG: the levels are the indices."""
    return encoded(Image.fromarray(found.numpy()), "PNG")
