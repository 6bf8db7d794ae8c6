"""How an image is stored turned, and how it is turned upright (EXIF, tag 0x0112)."""

from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.images import png_files
from regard.images.jpeg_files import Extent
from regard.images.size import Size

ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)
Reach = tuple[float, float, float, float]
# Axes of (C, H, W) that are turned around, once rows and columns have changed places.
_FLIPS = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}


def orientation_told(header: Image.Image, file: BinaryIO | None = None) -> int:
    """1 to 8, of the EXIF or the XMP; 1 where they are damaged: the pixels may be sound."""
    try:
        if header.format == "PNG" and file is not None:
            told = png_files.metadata(file)
        else:
            told = header.getexif()
        found = 1 if told is None else told.get(ORIENTATION, 1)
    except Exception:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(tensor: Tensor, orientation: int) -> Tensor:
    """Undo the EXIF orientation of a (C, H, W) tensor."""
    if orientation in TURNED:
        tensor = tensor.transpose(1, 2)
    flips = _FLIPS.get(orientation)
    return tensor.flip(flips) if flips else tensor


def turned_upright(mask: np.ndarray, orientation: int) -> np.ndarray:
    """A mask (H, W) as a photo of this EXIF orientation is turned."""
    return upright(torch.from_numpy(np.ascontiguousarray(mask))[None], orientation)[0].numpy()


def reach(extent: Extent | None, stored: Size, orientation: int) -> Reach | None:
    """Where a picture of this extent, from the top left on as it is stored, lies once upright."""
    if extent is None or extent == stored:
        return None
    spans = [(0.0, extent[0]), (0.0, extent[1])]
    sides = list(stored)
    if orientation in TURNED:
        spans.reverse()
        sides.reverse()
    for axis in _FLIPS.get(orientation, ()):
        begin, end = spans[axis - 1]
        spans[axis - 1] = sides[axis - 1] - end, sides[axis - 1] - begin
    (top, bottom), (left, right) = spans
    return top, left, bottom, right
