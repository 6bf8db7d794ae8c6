"""Where a crop is cut out of a training image: anywhere, or so that it shows a rare class."""

import torch
from torch import Tensor

from regard.data.mask_classes import VOID
from regard.images.size import Size

Pixel = tuple[int, int]


def crop_of(whole: Size, size: Size, unit: list[float], pixel: Pixel | None) -> tuple[slice, slice]:
    """Rows and columns of a crop, each place as likely as another.

    Args:
        whole: (H, W) of the image.
        size: (h, w) of the crop, no larger.
        unit: two numbers in [0, 1), for the row and the column.
        pixel: row and column of a pixel that has to be in the crop; None: any crop will do.
    """
    assert size[0] <= whole[0]
    assert size[1] <= whole[1]
    rows, columns = (
        _start(whole[side], size[side], unit[side], None if pixel is None else pixel[side])
        for side in (0, 1)
    )
    return slice(rows, rows + size[0]), slice(columns, columns + size[1])


def pixel_of_a_class(target: Tensor, unit: list[float]) -> Pixel | None:
    """A pixel of a class drawn evenly from those that a target shows, however few pixels it has.

    Args:
        target: (H, W) class indices, or `VOID`, which is never drawn.
        unit: two numbers in [0, 1), for the class and the pixel.

    Returns:
        Row and column; None where all is void.
    """
    counts = torch.bincount(target.flatten().long(), minlength=VOID + 1)[:VOID]
    classes = counts.nonzero().flatten().tolist()
    if not classes:
        return None
    pixels = (target == classes[int(unit[0] * len(classes))]).nonzero()
    row, column = pixels[int(unit[1] * len(pixels))].tolist()
    return row, column


def _start(whole: int, part: int, unit: float, inside: int | None) -> int:
    low, high = 0, whole - part
    if inside is not None:
        low, high = max(low, inside - part + 1), min(high, inside)
    return low + int(unit * (high - low + 1))
