"""JPEGs, decoded strictly: whatever libjpeg would warn of is an error."""

import re

import numpy as np
import simplejpeg

from regard.images.size import Size

Extent = tuple[float, float]
# A progressive JPEG goes over the whole picture once a scan. Cameras and tools write about ten;
# a thousand fit into 50 kB and take a minute at 100 megapixels.
MOST_SCANS = 100
# Where an orientation stands: in EXIF or in XMP.
_MAY_TURN = (b"Exif\0\0", b"ns.adobe.com/xap")
_SCAN, _END = 0xDA, 0xD9
# Neither a stuffed byte, nor fill, nor a restart.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_UNKNOWN = "subsampling"


class UnknownSamplingError(ValueError):
    """Chroma is subsampled in a way that this decoder has no name for; Pillow's has."""


def may_turn(data: bytes) -> bool:
    """Whether a file of these bytes may say how it is to be turned."""
    return any(mark in data for mark in _MAY_TURN)


def is_jpeg(data: bytes) -> bool:
    """Whether these bytes begin as a JPEG does."""
    return data.startswith(b"\xff\xd8\xff")


def header(data: bytes) -> tuple[Size, str]:
    """(height, width) as it is stored, and the colours: `Gray`, `YCbCr`, `RGB`, `CMYK`, `YCCK`.

    Raises:
        UnknownSamplingError: it is no fault of the file.
        ValueError: broken.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except KeyError as error:
        raise UnknownSamplingError("an unusual subsampling") from error
    except ValueError as error:
        if _UNKNOWN in str(error):
            raise UnknownSamplingError(str(error)) from error
        raise
    return (int(height), int(width)), str(colours)


def plain_size(data: bytes) -> Size | None:
    """(height, width) of a JPEG in grey or RGB that says nothing of being turned.

    None: it is another matter, or broken; what is wrong is told by who reads all kinds.
    """
    if not is_jpeg(data) or may_turn(data):
        return None
    try:
        size, colours = header(data)
    except ValueError:
        return None
    return size if colours in ("YCbCr", "RGB", "Gray") else None


def decoded(
    data: bytes, size: Size, need: Size | None, colours: str = "RGB"
) -> tuple[np.ndarray, Extent]:
    """(H, W, C), scaled by a power of two: other eighths cost more than the full size.

    And how much of it is the picture: of 9 pixels at half the size it is 4.5 of 5.

    Args:
        data: the whole file.
        size: as it is stored.
        need: (height, width) that is wanted at the least, of the image as it is stored.
        colours: `RGB`, `GRAY`, or `CMYK` of a JPEG of four channels.

    Raises:
        ValueError: broken, or more scans than any camera writes.
    """
    refuse_scans(data)

    def scaled(divisor: int) -> Size:
        return -(-size[0] // divisor), -(-size[1] // divisor)

    def enough(divisor: int) -> bool:
        return need is not None and all(
            got >= side for got, side in zip(scaled(divisor), need, strict=True)
        )

    height, width = scaled(next(filter(enough, (8, 4, 2)), 1))
    found = simplejpeg.decode_jpeg(data, colours, min_height=height, min_width=width, strict=True)
    divisor = next((d for d in (1, 2, 4, 8) if scaled(d) == found.shape[:2]), None)
    if divisor is None:  # a size that the header does not tell
        return found, found.shape[:2]
    return found, (size[0] / divisor, size[1] / divisor)


def refuse_scans(data: bytes) -> None:
    """Refuse a JPEG of more scans than any camera writes.

    Raises:
        ValueError: it has more.
    """
    # In the pixels' data the marker of a scan cannot stand: where it is rare nothing is looked at.
    if data.count(b"\xff\xda") <= MOST_SCANS:
        return
    found = scans(data)
    if found > MOST_SCANS:
        raise ValueError(f"{found:,} scans, more than {MOST_SCANS}")


def scans(data: bytes) -> int:
    """How many scans the first picture of a file has."""
    place, found = 2, 0
    while (marker := _MARKER.search(data, place)) is not None and marker[1][0] != _END:
        found += marker[1][0] == _SCAN
        start = marker.end()
        place = start + max(2, int.from_bytes(data[start : start + 2], "big"))
    return found
