"""The one decoder: training, explanation, screening and the server all read images here."""

import io
import os
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image, ImageOps
from torch import Tensor

from regard.errors import DataError

# Pixels are counted from the header before anything is decoded; this replaces Pillow's own guard.
Image.MAX_IMAGE_PIXELS = None
MAX_PIXELS = 400_000_000
ORIENTATION = 0x0112
Size = tuple[int, int]


def decode(
    source: str | Path | bytes | Image.Image,
    *,
    need: Size | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Tensor:
    """Decode an image, upright, as RGB.

    JPEGs are decoded at the smallest of the scales 1, 1/2, 1/4, 1/8 that still gives `need`,
    so the answer may be smaller than the image. The EXIF orientation is applied. Grey,
    palette, CMYK and 16-bit images become RGB; transparency is laid on white.

    Args:
        source: a path, the bytes of a file, or a PIL image.
        need: (height, width) that is wanted at the least, in pixels of the upright image.
        max_pixels: refuse larger images, from the header, before decoding.

    Returns:
        uint8 tensor (3, H, W).

    Raises:
        DataError: unreadable, truncated, empty or too many pixels.
    """
    name = source if isinstance(source, str | Path) else "image"
    try:
        if isinstance(source, Image.Image):
            return _rgb(ImageOps.exif_transpose(source))
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        with Image.open(io.BytesIO(data)) as header:
            _bound(header, str(name), max_pixels)
            if header.format == "JPEG" and header.mode in ("RGB", "L"):
                return _jpeg(data, header, need)
            return _rgb(ImageOps.exif_transpose(header))
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken input
        raise _unreadable(str(name), error) from error


def decode_grey(source: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode a mask or region upright: float32 (H, W) in 0..255; palette indices as they are.

    Raises:
        DataError: unreadable, truncated or too many pixels.
    """
    try:
        with Image.open(source) as image:
            _bound(image, str(source), max_pixels)
            upright = ImageOps.exif_transpose(image)
            if upright.mode not in ("L", "P", "1", "I", "I;16", "F"):
                upright = upright.convert("L")
            values = np.array(upright, dtype=np.float32)
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(str(source), error) from error
    if upright.mode == "1":
        values *= 255
    elif upright.mode in ("I", "I;16") and values.max(initial=0) > 255:
        values /= 257
    return torch.from_numpy(values)


def image_size(source: str | Path) -> Size:
    """(height, width) of the upright image, from the header alone."""
    try:
        with Image.open(source) as header:
            width, height = header.size
            return (width, height) if _turned(header) else (height, width)
    except Exception as error:
        raise _unreadable(str(source), error) from error


def _bound(header: Image.Image, name: str, max_pixels: int) -> None:
    width, height = header.size
    if width * height > max_pixels:
        raise DataError(
            name,
            expected=f"at most {max_pixels:,} pixels",
            found=f"{width} x {height}",
            remedy="make the image smaller, or raise max_pixels",
        )


def _turned(header: Image.Image) -> bool:
    return header.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)


def _jpeg(data: bytes, header: Image.Image, need: Size | None) -> Tensor:
    orientation = header.getexif().get(ORIENTATION, 1)
    height, width = need or (0, 0)
    if _turned(header):
        height, width = width, height
    # simplejpeg takes 0 as "no scaling"; a need above the image's size means the same.
    array = simplejpeg.decode_jpeg(
        data,
        "RGB",
        min_height=min(height, header.height),
        min_width=min(width, header.width),
        strict=True,
    )
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    return _upright(tensor, orientation).contiguous()


def _upright(tensor: Tensor, orientation: int) -> Tensor:
    """Undo the EXIF orientation of a (3, H, W) tensor."""
    if orientation in (5, 6, 7, 8):
        tensor = tensor.transpose(1, 2)
    flips = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation)
    return tensor.flip(flips) if flips else tensor


def _rgb(image: Image.Image) -> Tensor:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.array(image, dtype=np.float32), posinf=0, neginf=0)
        scale = 257.0 if values.max(initial=0) > 255 else 1.0
        grey = np.clip(values / scale, 0, 255).astype(np.uint8)
        return torch.from_numpy(grey).expand(3, -1, -1).contiguous()
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        colour = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def _unreadable(name: str, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        found = "no such file"
    elif isinstance(error, PermissionError):
        found = "no permission to read it"
    else:
        found = str(error).replace("\n", " ")[:120] or type(error).__name__
        if "BytesIO" in found:
            found = "not an image"
    return DataError(
        os.fspath(name),
        expected="a readable image",
        found=found,
        remedy="replace or remove it (regard data check lists all such files)",
    )
