"""How the file of an image is opened: what is refused from its header, and how faults are told."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from regard.errors import DataError
from regard.files.reading import OddFileError, open_file
from regard.images import jpeg_files
from regard.images.orientation import TURNED, orientation_told
from regard.images.pillow_guard import guarded
from regard.images.size import Size

MAX_PIXELS = 400_000_000
# What Pillow decodes by itself: for some of the other formats it starts another program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
# A few kinds (PPM of numbers, say) are decoded in Python, which takes seconds for so many pixels.
SLOW_PIXELS = 4_000_000
TILE_WIDTH, TILE_HEIGHT = 0x0142, 0x0143


def image_size(source: str | Path | bytes) -> Size:
    """(height, width) of the upright image, a file or its bytes, from the header alone."""
    name = "image" if isinstance(source, bytes) else source
    with blamed(name), opened_file(source) as file:
        try:
            with guarded, opened(file) as header:
                width, height = header.size
                # Of a TIFF, Pillow gives the upright size before it has turned the image.
                turned = header.format != "TIFF" and orientation_told(header, file) in TURNED
                return (width, height) if turned else (height, width)
        except Exception:
            file.seek(0)
            size = jpeg_files.plain_size(file.read())
            if size is None:
                raise
            return size


def orientation_of(path: str | Path) -> int:
    """1 to 8: how the pixels of a file are to be turned, as EXIF has it, from its header alone."""
    with blamed(path), opened_file(path) as file, guarded, opened(file) as header:
        return orientation_told(header, file)


@contextmanager
def blamed(name: str | Path) -> Iterator[None]:
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
def opened(file: BinaryIO) -> Iterator[Image.Image]:
    """An image of one of `FORMATS`, of which only the header is read."""
    with Image.open(file, formats=FORMATS) as image:
        yield image


def refuse_large(header: Image.Image, name: str | Path, max_pixels: int) -> None:
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


def opened_file(source: str | Path | bytes) -> BinaryIO:
    """A file, or bytes as if they were one."""
    return io.BytesIO(source) if isinstance(source, bytes) else open_file(source)


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
