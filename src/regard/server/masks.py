"""Masks that come as text from the page."""

import base64
import binascii

import torch
from PIL import Image

from regard.data.decoding import Size, decode, image_size
from regard.data.transforms import resized
from regard.errors import DataError

_BEGIN = "data:image/png;base64,"
# Pixels of a drawn mask, told from its header.
MOST = 32_000_000
# Shares by which the sides' proportions may differ from the photo's.
_ROUNDING = 0.02


def mask_of(text: str, size: Size) -> Image.Image:
    """A mask at the photo's size, grey, 0 or 255.

    Args:
        text: a data URL of a PNG, white inside, of the photo's proportions.
        size: (height, width) of the photo.

    Raises:
        DataError: it is none, or of other proportions.
    """
    if not text.startswith(_BEGIN):
        raise _no_mask(f"text that begins with {text[:20]!r}")
    try:
        data = base64.b64decode(text[len(_BEGIN) :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_mask(str(error)) from error
    height, width = image_size(data)
    shape = (size[1] / width) / (size[0] / height)
    if abs(shape - 1) > _ROUNDING + 1 / min(width, height):
        raise _no_mask(f"{width} x {height} for a photo of {size[1]} x {size[0]}")
    grey = decode(data, max_pixels=MOST).float().mean(0) / 255
    full = resized(grey[None], size)[0]
    return Image.fromarray(((full >= 0.5) * 255).to(torch.uint8).numpy())


def _no_mask(found: str) -> DataError:
    return DataError(
        "mask",
        expected="a data URL of a PNG of the photo's proportions",
        found=found[:120],
        remedy="draw it anew",
    )
