"""The one decoder: training, explanation, screening and the server all read images here."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from regard.errors import DataError
from regard.files.reading import OddFileError, open_file, read_file
from regard.images import jp2_files, jpeg_files, modes, png_files
from regard.images.pillow_guard import guarded, hush_libtiff
from regard.images.size import Size

MAX_PIXELS = 400_000_000
# What Pillow decodes by itself: for some of the other formats it starts another program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
# A few kinds (PPM of numbers, say) are decoded in Python, which takes seconds for so many pixels.
SLOW_PIXELS = 4_000_000
ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)
TILE_WIDTH, TILE_HEIGHT = 0x0142, 0x0143
JPEGS = ("JPEG", "MPO")
Reach = tuple[float, float, float, float]
# Axes of (C, H, W) that are turned around, once rows and columns have changed places.
_FLIPS = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}


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
        DataError: unreadable, truncated, damaged, empty or too many pixels.
    """
    return decode_scaled(source, need=need, max_pixels=max_pixels)[0]


def decode_scaled(
    source: str | Path | bytes | Image.Image,
    *,
    need: Size | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Tensor, Reach | None]:
    """As `decode`, and where the picture lies in it.

    A JPEG of 9 x 9 pixels is 4.5 x 4.5 at half the size, of 5 x 5 pixels: resized as if it were 5,
    it would not lie where its region does.

    Returns:
        uint8 tensor (3, H, W), and the picture's top, left, bottom and right edge in it; None: all
        of it.
    """
    name = source if isinstance(source, str | Path) else "image"
    with _blamed(name):
        if isinstance(source, Image.Image):
            with guarded:
                _refuse_large(source, name, max_pixels)
                source.load()
                return _upright_rgb(modes.rgb(source), _orientation(source)), None
        data = source if isinstance(source, bytes) else read_file(source)
        plain = _plain_jpeg(data, need, max_pixels)
        if plain is not None:
            array, extent = plain
            return _upright_rgb(array, 1), _reach(extent, array.shape[:2], 1)
        with guarded, _opened(io.BytesIO(data)) as header:
            _refuse_large(header, name, max_pixels)
            picture, orientation, extent = _picture(header, data, need, max_pixels)
            array = modes.rgb(picture)
            return _upright_rgb(array, orientation), _reach(extent, array.shape[:2], orientation)


def decode_grey(source: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode a mask or region upright: float32 (H, W) in 0..255.

    Of a palette of greys these, of one of colours the indices.

    Raises:
        DataError: unreadable, truncated, damaged or too many pixels.
    """
    with _blamed(source), guarded:
        data = read_file(source)
        with _opened(io.BytesIO(data)) as header:
            _refuse_large(header, source, max_pixels)
            picture, orientation, _ = _picture(header, data, None, max_pixels)
            values = torch.from_numpy(modes.grey(picture))
            return _upright(values[None], orientation)[0].contiguous()


def decode_ids(source: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode an image of class ids upright: uint8 (H, W); of a palette the indices.

    Raises:
        DataError: unreadable, damaged, too many pixels, of several channels, an id below 0 or
            above 255, or a JPEG, in which ids are blurred.
    """
    with _blamed(source), guarded:
        data = read_file(source)
        with _opened(io.BytesIO(data)) as header:
            _refuse_large(header, source, max_pixels)
            if header.mode not in ("1", "L", "P", "I") and not header.mode.startswith("I;16"):
                raise _no_ids(source, f"{len(header.getbands())} channels ({header.mode})")
            if header.format in JPEGS:
                raise _no_ids(source, "a JPEG, which blurs them")
            picture, orientation, _ = _picture(header, data, None, max_pixels)
            values = np.array(picture).astype(np.int64)
            lowest, highest = values.min(initial=0), values.max(initial=0)
            if lowest < 0 or highest > 255:
                raise _no_ids(source, f"id {lowest if lowest < 0 else highest}")
            ids = torch.from_numpy(values.astype(np.uint8))
            return _upright(ids[None], orientation)[0].contiguous()


def _no_ids(source: str | Path, found: str) -> DataError:
    return DataError(
        str(source),
        expected="one channel of class ids from 0 to 255",
        found=found,
        remedy="write the mask as a grey PNG of ids",
    )


def image_size(source: str | Path | bytes) -> Size:
    """(height, width) of the upright image, a file or its bytes, from the header alone."""
    name = "image" if isinstance(source, bytes) else source
    with _blamed(name), _file(source) as file:
        try:
            with guarded, _opened(file) as header:
                width, height = header.size
                # Of a TIFF, Pillow gives the upright size before it has turned the image.
                turned = header.format != "TIFF" and _orientation(header, file) in TURNED
                return (width, height) if turned else (height, width)
        except Exception:
            size = _plain_size(file)
            if size is None:
                raise
            return size


def brightest_of_deep(path: str | Path) -> int | None:
    """The largest value of an image of 16 bits a channel, of 65,535; None for any other.

    Of one in colours, which is decoded to 8 bits, as far as these tell.
    """
    with _blamed(path), _file(path) as file, guarded, _opened(file) as header:
        if header.mode.startswith("I;16"):
            return int(np.array(header).max(initial=0))
        if not png_files.is_deep(file) and header.mode != "I":
            return None
        if header.mode == "I":
            high = int(np.array(header).max(initial=0))
            return high if high > 255 else None
        return 257 * int(np.array(header.convert("RGB")).max(initial=0))


def orientation_of(path: str | Path) -> int:
    """1 to 8: how the pixels of a file are to be turned, as EXIF has it, from its header alone."""
    with _blamed(path), _file(path) as file, guarded, _opened(file) as header:
        return _orientation(header, file)


def _file(source: str | Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else open_file(source)


@contextmanager
def _blamed(name: str | Path) -> Iterator[None]:
    """Whatever goes wrong within is said of the file by that name."""
    try:
        yield
    except OddFileError as error:
        raise DataError(
            error.where,
            expected=f"a readable image, {error.expected}",
            found=error.found,
            remedy=f"{error.remedy} (regard data check lists all such files)",
        ) from error
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken input
        raise _unreadable(str(name), error) from error


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    with Image.open(file, formats=FORMATS) as image:
        yield image


def _refuse_large(header: Image.Image, name: str | Path, max_pixels: int) -> None:
    """Refuse, from its header, what would take more memory or time than the bound allows."""
    _refuse_size(header.size, name, max_pixels)
    tags = getattr(header, "tag_v2", {})
    tile = tags.get(TILE_WIDTH, 0), tags.get(TILE_HEIGHT, 0)
    if all(isinstance(side, int) for side in tile):
        _refuse_size(tile, name, max_pixels, "a tile of ")
    parts = getattr(header, "tile", ())
    if any(part[0] in Image.DECODERS for part in parts):
        remedy = "save it as PNG"
        _refuse_size(header.size, name, SLOW_PIXELS, f"{header.format}, slow to decode, ", remedy)


def _refuse_size(
    across: tuple[int, int],
    name: str | Path,
    most: int,
    what: str = "",
    remedy: str | None = None,
) -> None:
    """Refuse a width and height, as Pillow has them, of more pixels than that."""
    width, height = across
    if width * height > most:
        raise DataError(
            str(name),
            expected=f"at most {most:,} pixels",
            found=f"{what}{width} x {height}",
            remedy=remedy or "make the image smaller, or raise max_pixels",
        )


def _orientation(header: Image.Image, file: BinaryIO | None = None) -> int:
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


def _picture(
    header: Image.Image, data: bytes, need: Size | None, max_pixels: int
) -> tuple[modes.Picture, int, jpeg_files.Extent | None]:
    """A file's picture as it is stored, of JPEGs no larger than is needed, and how to turn it.

    And its extent, in pixels of that, where it is not all of it.
    """
    if header.format in JPEGS:
        orientation = _orientation(header)
        wanted = (need[1], need[0]) if need and orientation in TURNED else need
        try:
            found, extent = _jpeg(data, header.mode, wanted, max_pixels)
            return found, orientation, extent
        except jpeg_files.UnknownSamplingError:
            jpeg_files.refuse_scans(data)
    elif header.format == "PNG":
        png_files.refuse_damage(data)
        png_files.scale_clear_level(header)
    elif header.format == "JPEG2000":
        jp2_files.refuse_cut(data)
    elif header.format == "TIFF":
        hush_libtiff()
    # Pillow turns a TIFF upright here, and says so by taking the orientation away.
    header.load()
    return header, _orientation(header, io.BytesIO(data)), None


def _jpeg(
    data: bytes, mode: str, need: Size | None, max_pixels: int
) -> tuple[modes.Picture, jpeg_files.Extent]:
    """A JPEG of the mode that Pillow sees in it, `RGB`, `L` or `CMYK`."""
    size, _ = jpeg_files.header(data)
    if size[0] * size[1] > max_pixels:  # its two decoders read its header each by itself
        raise ValueError(f"{size[1]} x {size[0]} where its header says less")
    array, extent = jpeg_files.decoded(data, size, need, {"L": "GRAY"}.get(mode, mode))
    if mode != "CMYK":
        return array.squeeze(2) if mode == "L" else array, extent
    # As Adobe writes them, and everyone else after it: ink is 0.
    side = array.shape[1], array.shape[0]
    return Image.frombytes("CMYK", side, (255 - array).tobytes()), extent


def _plain_jpeg(
    data: bytes, need: Size | None, max_pixels: int
) -> tuple[np.ndarray, jpeg_files.Extent] | None:
    """A JPEG in grey or RGB that says nothing of being turned; None: it is another matter.

    Most are such, and of a small one reading the header with Pillow takes as long as decoding it.
    """
    if not jpeg_files.is_jpeg(data) or jpeg_files.may_turn(data):
        return None
    try:
        size, colours = jpeg_files.header(data)
        if colours not in ("YCbCr", "RGB", "Gray") or size[0] * size[1] > max_pixels:
            return None
        return jpeg_files.decoded(data, size, need)
    except ValueError:  # broken; what is wrong is told by who reads all kinds
        return None


def _plain_size(file: BinaryIO) -> Size | None:
    """The size of a JPEG such as `_plain_jpeg` decodes, where Pillow cannot read its header."""
    file.seek(0)
    data = file.read()
    if not jpeg_files.is_jpeg(data) or jpeg_files.may_turn(data):
        return None
    try:
        size, colours = jpeg_files.header(data)
    except ValueError:
        return None
    return size if colours in ("YCbCr", "RGB", "Gray") else None


def _upright_rgb(array: np.ndarray, orientation: int) -> Tensor:
    return _upright(torch.from_numpy(array).permute(2, 0, 1), orientation).contiguous()


def turned_upright(mask: np.ndarray, orientation: int) -> np.ndarray:
    """A mask (H, W) as a photo of this EXIF orientation is turned."""
    return _upright(torch.from_numpy(np.ascontiguousarray(mask))[None], orientation)[0].numpy()


def _reach(extent: jpeg_files.Extent | None, stored: Size, orientation: int) -> Reach | None:
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


def _upright(tensor: Tensor, orientation: int) -> Tensor:
    """Undo the EXIF orientation of a (C, H, W) tensor."""
    if orientation in TURNED:
        tensor = tensor.transpose(1, 2)
    flips = _FLIPS.get(orientation)
    return tensor.flip(flips) if flips else tensor


def _unreadable(name: str, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        found = "no such file"
    elif isinstance(error, IsADirectoryError):
        found = "a folder"
    elif isinstance(error, PermissionError):
        found = "no permission to read it"
    else:
        told = error.strerror if isinstance(error, OSError) else None
        # Decoders quote the file, and what is in it is not for a terminal.
        text = "".join(c if c.isprintable() else " " for c in told or str(error))
        found = text.strip()[:120] or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            found = "not an image"
    return DataError(
        os.fspath(name),
        expected="a readable image",
        found=found,
        remedy="replace or remove it (regard data check lists all such files)",
    )
