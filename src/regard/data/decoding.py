"""The one decoder: training, explanation, screening and the server all read images here."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import simplejpeg
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from regard.errors import DataError

MAX_PIXELS = 400_000_000
# What Pillow decodes by itself: for some of the other formats it starts another program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)
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
    palette, CMYK and 16-bit images become RGB; floats up to 1 count as shares of white;
    transparency is laid on white. Of several frames, the first is taken.

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
            return _decoded(source, None, str(name), need, max_pixels)
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        plain = _plain_jpeg(data, need, max_pixels)
        if plain is not None:
            return plain
        with _header(io.BytesIO(data)) as header:
            return _decoded(header, data, str(name), need, max_pixels)
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
        with _header(source) as image:
            _bound(image, str(source), max_pixels)
            _load(image)
            values = torch.from_numpy(_grey(image))
            return _upright(values[None], _orientation(image))[0].contiguous()
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(str(source), error) from error


def decode_ids(source: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode an image of class ids upright: uint8 (H, W); of a palette the indices.

    Raises:
        DataError: unreadable, too many pixels, of several channels, an id above 255, or a JPEG,
            in which ids are blurred.
    """
    try:
        with _header(source) as image:
            _bound(image, str(source), max_pixels)
            if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
                raise _no_ids(source, f"{len(image.getbands())} channels ({image.mode})")
            if image.format in ("JPEG", "MPO"):
                raise _no_ids(source, "a JPEG, which blurs them")
            _load(image)
            values = np.array(image).astype(np.int64)
            if values.max(initial=0) > 255:
                raise _no_ids(source, f"id {values.max()}")
            ids = torch.from_numpy(values.astype(np.uint8))
            return _upright(ids[None], _orientation(image))[0].contiguous()
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(str(source), error) from error


def _no_ids(source: str | Path, found: str) -> DataError:
    return DataError(
        str(source),
        expected="one channel of class ids from 0 to 255",
        found=found,
        remedy="write the mask as a grey PNG of ids",
    )


def image_size(source: str | Path | bytes) -> Size:
    """(height, width) of the upright image, a file or its bytes, from the header alone."""
    try:
        with _header(io.BytesIO(source) if isinstance(source, bytes) else source) as header:
            width, height = header.size
            # Of a TIFF, Pillow gives the upright size before it has turned the image.
            turned = header.format != "TIFF" and _orientation(header) in TURNED
            return (width, height) if turned else (height, width)
    except Exception as error:
        name = "image" if isinstance(source, bytes) else str(source)
        raise _unreadable(name, error) from error


class _Unguarded:
    """Pillow's own bound on pixels, a global, is off while a header is read, and then back.

    Ours takes its place: it is set by the caller, and checked before anything is decoded.
    """

    def __init__(self) -> None:
        self._lock, self._readers = Lock(), 0
        self._guard: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._guard, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._readers += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                Image.MAX_IMAGE_PIXELS = self._guard


_unguarded = _Unguarded()


@contextmanager
def _header(source: str | Path | io.BytesIO) -> Iterator[Image.Image]:
    with _unguarded:
        image = Image.open(source, formats=FORMATS)
    with image:
        yield image


def _bound(header: Image.Image, name: str, max_pixels: int) -> None:
    width, height = header.size
    if width * height > max_pixels:
        raise DataError(
            name,
            expected=f"at most {max_pixels:,} pixels",
            found=f"{width} x {height}",
            remedy="make the image smaller, or raise max_pixels",
        )


def _orientation(header: Image.Image) -> int:
    try:
        return header.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block says nothing; the pixels may be sound
        return 1


def _decoded(
    header: Image.Image, data: bytes | None, name: str, need: Size | None, max_pixels: int
) -> Tensor:
    _bound(header, name, max_pixels)
    if data is not None and header.format in ("JPEG", "MPO") and header.mode in ("RGB", "L"):
        orientation = _orientation(header)
        wanted = (need[1], need[0]) if need and orientation in TURNED else need
        array = _jpeg(data, (header.height, header.width), wanted)
    else:
        _load(header)
        orientation = _orientation(header)
        array = _rgb(header)
    return _upright(torch.from_numpy(array).permute(2, 0, 1), orientation).contiguous()


def _plain_jpeg(data: bytes, need: Size | None, max_pixels: int) -> Tensor | None:
    """A JPEG in grey or RGB that says nothing of being turned; None: it is another matter.

    Most are such, and of a small one reading the header with Pillow takes as long as decoding it.
    """
    if not data.startswith(b"\xff\xd8\xff") or any(mark in data for mark in _MAY_TURN):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        size = int(height), int(width)
        if colours not in ("YCbCr", "RGB", "Gray") or size[0] * size[1] > max_pixels:
            return None
        array = _jpeg(data, size, need)
    except ValueError:  # broken; what is wrong is told by who reads all kinds
        return None
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


# Where an orientation stands: in EXIF or in XMP.
_MAY_TURN = (b"Exif\0\0", b"ns.adobe.com/xap")


def _load(header: Image.Image) -> None:
    """Decode. Pillow turns a TIFF upright here, and says so by taking the orientation away."""
    with _unguarded:
        header.load()


def _jpeg(data: bytes, size: Size, need: Size | None) -> np.ndarray:
    """RGB (H, W, 3), scaled by a power of two: other eighths cost more than the full size."""

    def scaled(divisor: int) -> Size:
        return -(-size[0] // divisor), -(-size[1] // divisor)

    def enough(divisor: int) -> bool:
        return need is not None and all(
            got >= side for got, side in zip(scaled(divisor), need, strict=True)
        )

    height, width = scaled(next(filter(enough, (8, 4, 2)), 1))
    return simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, strict=True)


def _upright(tensor: Tensor, orientation: int) -> Tensor:
    """Undo the EXIF orientation of a (C, H, W) tensor."""
    if orientation in TURNED:
        tensor = tensor.transpose(1, 2)
    flips = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation)
    return tensor.flip(flips) if flips else tensor


def _rgb(image: Image.Image) -> np.ndarray:
    """RGB (H, W, 3) of any mode, not yet upright."""
    if image.mode.startswith("I;16"):
        return _three(np.array(image, dtype=np.float32) / 257)
    if image.mode in ("I", "F"):
        return _three(_deep(image))
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        colour = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return np.array(image.convert("RGB"))


def _grey(image: Image.Image) -> np.ndarray:
    """Float32 (H, W) in 0..255 of any mode, not yet upright."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep(image)
    if image.mode not in ("L", "P"):
        image = image.convert("L")
    return np.array(image, dtype=np.float32)


def _deep(image: Image.Image) -> np.ndarray:
    """More than 8 bits as float32 in 0..255: the largest value tells 1, 255 or 65535 as white."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), posinf=0, neginf=0)
    high = values.max(initial=0)
    if image.mode == "F" and high <= 1:
        values *= 255
    elif high > 255:
        values /= 257
    return values.clip(0, 255)


def _three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def _unreadable(name: str, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        found = "no such file"
    elif isinstance(error, IsADirectoryError):
        found = "a folder"
    elif isinstance(error, PermissionError):
        found = "no permission to read it"
    else:
        found = str(error).replace("\n", " ")[:120] or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            found = "not an image"
    return DataError(
        os.fspath(name),
        expected="a readable image",
        found=found,
        remedy="replace or remove it (regard data check lists all such files)",
    )
