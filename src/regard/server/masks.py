"""Masks that come as text from the page."""

import base64
import binascii

import torch
from PIL import Image
from torch import Tensor

from regard.data.mask_classes import VOID
from regard.data.transforms import resized
from regard.errors import DataError
from regard.images.decoding import decode
from regard.images.opening import image_size
from regard.images.size import Size

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
    data = _data(text)
    height, width = image_size(data)
    shape = (size[1] / width) / (size[0] / height)
    if abs(shape - 1) > _ROUNDING + 1 / min(width, height):
        raise _no_mask(f"{width} x {height} for a photo of {size[1]} x {size[0]}")
    grey = decode(data, max_pixels=MOST).float().mean(0) / 255
    full = resized(grey[None], size)[0]
    return Image.fromarray(((full >= 0.5) * 255).to(torch.uint8).numpy())


def numbers_of(text: str, size: Size, classes: int) -> Tensor:
    """The classes that were painted on a photo, uint8 (H, W), `VOID` where nothing is said.

    Args:
        text: a data URL of a grey PNG as large as the photo: in each pixel its class's number.
        size: (height, width) of the photo.
        classes: how many there are.

    Raises:
        DataError: it is none, of another size, in colours, or of a number that no class has.
    """
    data = _data(text)
    found = image_size(data)
    if found != tuple(size):
        raise _no_mask(f"{found[1]} x {found[0]} for a photo of {size[1]} x {size[0]}")
    pixels = decode(data, max_pixels=MOST)
    if bool((pixels != pixels[:1]).any()):
        raise _no_mask("colours, where a grey level is a class's number")
    numbers = pixels[0]
    other = numbers[(numbers >= classes) & (numbers != VOID)]
    if len(other):
        raise _no_mask(f"number {int(other[0])} of {classes} classes")
    return numbers


def _data(text: str) -> bytes:
    if not text.startswith(_BEGIN):
        raise _no_mask(f"text that begins with {text[:20]!r}")
    try:
        return base64.b64decode(text[len(_BEGIN) :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_mask(str(error)) from error


def _no_mask(found: str) -> DataError:
    return DataError(
        "mask",
        expected="a data URL of a PNG that fits the photo",
        found=found[:120],
        remedy="draw it anew",
    )
