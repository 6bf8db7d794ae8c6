"""The one decoder: training, explanation, screening and the server all read images here."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.errors import DataError
from regard.files.reading import read_file
from regard.images import jp2_files, jpeg_files, modes, png_files
from regard.images.opening import MAX_PIXELS, blamed, opened, opened_file, refuse_large
from regard.images.orientation import TURNED, Reach, orientation_told, reach, upright
from regard.images.pillow_guard import guarded, hush_libtiff
from regard.images.size import Size

JPEGS = ("JPEG", "MPO")


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
    with blamed(name):
        if isinstance(source, Image.Image):
            with guarded:
                refuse_large(source, name, max_pixels)
                source.load()
                return _upright_rgb(modes.rgb(source), orientation_told(source)), None
        data = source if isinstance(source, bytes) else read_file(source)
        plain = _plain_jpeg(data, need, max_pixels)
        if plain is not None:
            array, extent = plain
            return _upright_rgb(array, 1), reach(extent, array.shape[:2], 1)
        with guarded, opened(io.BytesIO(data)) as header:
            refuse_large(header, name, max_pixels)
            picture, orientation, extent = _picture(header, data, need, max_pixels)
            array = modes.rgb(picture)
            return _upright_rgb(array, orientation), reach(extent, array.shape[:2], orientation)


def decode_grey(source: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode a mask or region upright: float32 (H, W) in 0..255.

    Of a palette of greys these, of one of colours the indices.

    Raises:
        DataError: unreadable, truncated, damaged or too many pixels.
    """
    with blamed(source), guarded:
        data = read_file(source)
        with opened(io.BytesIO(data)) as header:
            refuse_large(header, source, max_pixels)
            picture, orientation, _ = _picture(header, data, None, max_pixels)
            values = torch.from_numpy(modes.grey(picture))
            return upright(values[None], orientation)[0].contiguous()


def decode_ids(source: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Decode an image of class ids upright: uint8 (H, W); of a palette the indices.

    Raises:
        DataError: unreadable, damaged, too many pixels, of several channels, an id below 0 or
            above 255, or a JPEG, in which ids are blurred.
    """
    with blamed(source), guarded:
        data = read_file(source)
        with opened(io.BytesIO(data)) as header:
            refuse_large(header, source, max_pixels)
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
            return upright(ids[None], orientation)[0].contiguous()


def _no_ids(source: str | Path, found: str) -> DataError:
    return DataError(
        str(source),
        expected="one channel of class ids from 0 to 255",
        found=found,
        remedy="write the mask as a grey PNG of ids",
    )


def brightest_of_deep(path: str | Path) -> int | None:
    """The largest value of an image of 16 bits a channel, of 65,535; None for any other.

    Of one in colours, which is decoded to 8 bits, as far as these tell.
    """
    with blamed(path), opened_file(path) as file, guarded, opened(file) as header:
        if header.mode.startswith("I;16"):
            return int(np.array(header).max(initial=0))
        if not png_files.is_deep(file) and header.mode != "I":
            return None
        if header.mode == "I":
            high = int(np.array(header).max(initial=0))
            return high if high > 255 else None
        return 257 * int(np.array(header.convert("RGB")).max(initial=0))


def _picture(
    header: Image.Image, data: bytes, need: Size | None, max_pixels: int
) -> tuple[modes.Picture, int, jpeg_files.Extent | None]:
    """A file's picture as it is stored, of JPEGs no larger than is needed, and how to turn it.

    And its extent, in pixels of that, where it is not all of it.
    """
    if header.format in JPEGS:
        orientation = orientation_told(header)
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
    return header, orientation_told(header, io.BytesIO(data)), None


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
    """A JPEG of which `jpeg_files.plain_size` tells the size; None: it is another matter.

    Most are such, and of a small one reading the header with Pillow takes as long as decoding it.
    """
    size = jpeg_files.plain_size(data)
    if size is None or size[0] * size[1] > max_pixels:
        return None
    try:
        return jpeg_files.decoded(data, size, need)
    except ValueError:  # broken; what is wrong is told by who reads all kinds
        return None


def _upright_rgb(array: np.ndarray, orientation: int) -> Tensor:
    return upright(torch.from_numpy(array).permute(2, 0, 1), orientation).contiguous()
