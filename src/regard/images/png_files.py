"""What the chunks of a PNG say: whether its checksums fit, and how it is to be turned."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Text of more bytes than Pillow reads says nothing.
_MOST_TEXT = 2**20
_TEXT = (b"iTXt", b"tEXt", b"zTXt")
# Keywords of texts that hold XMP or EXIF.
_PROFILES = (b"XML:com.adobe.xmp\0", b"Raw profile type ")

# By what Pillow calls the stored pixels: what brings them to 8 bits.
_TIMES = {"L;2": 85, "L;4": 17}


@dataclass(frozen=True)
class Chunk:
    """One chunk.

    Attributes:
        kind: four letters.
        start: where its content begins.
        length: of the content.
    """

    kind: bytes
    start: int
    length: int


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks from the first to the last whose head is there; contents are passed over."""
    place = len(SIGNATURE)
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield Chunk(kind, place + 8, length)
        if kind == b"IEND":
            return
        place += length + 12


def is_deep(file: BinaryIO) -> bool:
    """Whether a file is a PNG of 16 bits a channel, as its first chunk says."""
    file.seek(0)
    head = file.read(25)
    return head.startswith(SIGNATURE) and head[24:25] == b"\x10"


def refuse_damage(data: bytes) -> None:
    """Refuse a PNG with a wrong checksum, or without its end.

    Decoders look at some of the checksums alone: a bit that has turned in the pixels' data gives
    other pixels, and no error.

    Raises:
        ValueError: it is damaged.
    """
    last = b""
    for chunk in chunks(io.BytesIO(data)):
        end, last = chunk.start + chunk.length, chunk.kind
        if end + 4 > len(data):
            raise ValueError(f"a truncated PNG, which ends within {_name(chunk)}")
        found = zlib.crc32(memoryview(data)[chunk.start - 4 : end])
        if found != int.from_bytes(data[end : end + 4], "big"):
            raise ValueError(f"a damaged PNG: the checksum of {_name(chunk)} is wrong")
    if last != b"IEND":
        raise ValueError("a truncated PNG, without its end")


def _name(chunk: Chunk) -> str:
    return chunk.kind.decode("ascii", "backslashreplace")


def scale_clear_level(header: Image.Image) -> None:
    """Say the clear level of grey pixels of 2 or 4 bits as of 8 bits, as the pixels will be."""
    parts = getattr(header, "tile", ())
    level, times = header.info.get("transparency"), _TIMES.get(parts[0][3]) if parts else None
    if isinstance(level, int) and times is not None:
        header.info["transparency"] = level * times


def metadata(file: BinaryIO) -> Image.Exif | None:
    """The EXIF of a PNG, or what its XMP says of it, wherever it stands; no pixel is decoded.

    Pillow decodes all of a picture to get at what stands behind it, so it is handed a picture of
    one pixel with the same words.
    """
    told = [part for chunk in chunks(file) if (part := _words(file, chunk))]
    if not told:
        return None
    pixel = (struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\0"))
    parts = [_chunk(b"IHDR", pixel[0]), *told, _chunk(b"IDAT", pixel[1]), _chunk(b"IEND", b"")]
    with Image.open(io.BytesIO(SIGNATURE + b"".join(parts)), formats=["PNG"]) as image:
        return image.getexif()


def _words(file: BinaryIO, chunk: Chunk) -> bytes | None:
    """The chunk, if it may say how the picture is to be turned."""
    if chunk.kind not in (b"eXIf", *_TEXT) or chunk.length > _MOST_TEXT:
        return None
    file.seek(chunk.start)
    content = file.read(chunk.length)
    if chunk.kind != b"eXIf" and not content.startswith(_PROFILES):
        return None
    return _chunk(chunk.kind, content)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
