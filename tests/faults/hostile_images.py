"""Images of every kind, sound and damaged, drawn from a seed: file n is the same on every machine.

Without real photos (`../shared/data`, or where REGARD_DATA points) drawn ones take their place.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(
    os.environ.get("REGARD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)
ORIENTATION = 0x0112
SUFFIXES = (".jpg", ".png", ".bmp", ".tif", ".webp", ".gif")


@dataclass(frozen=True)
class Hostile:
    """A file of the corpus.

    Attributes:
        name: with a suffix that may be wrong.
        data: its bytes.
        kind: what it was made as.
        how: what was done to it; `sound`: nothing.
    """

    name: str
    data: bytes
    kind: str
    how: str


def corpus(count: int, seed: int = 0, start: int = 0) -> Iterator[Hostile]:
    """Files `start` to `start + count`; one of ten is sound."""
    kinds = list(KINDS)
    for number in range(start, start + count):
        rng = np.random.default_rng((seed, number))
        kind = kinds[number % len(kinds)]
        data = KINDS[kind](photo(rng), rng)
        how = "sound" if number % 10 == 0 else str(rng.choice(list(MUTATIONS)))
        data = data if how == "sound" else MUTATIONS[how](data, rng)
        suffix = _SUFFIX.get(kind.split()[0], ".jpg")
        if rng.random() < 0.1:
            suffix = str(rng.choice(SUFFIXES))
        yield Hostile(f"{number:05d}{suffix}", data, kind, how)


_SUFFIX = {"PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "GIF": ".gif"}


# Photos ------------------------------------------------------------------------------------


def photo(rng: np.random.Generator) -> Image.Image:
    """A small RGB picture of odd sides."""
    width, height = (int(side) for side in rng.integers(17, 90, 2))
    known = _real()
    if known:
        whole = known[int(rng.integers(len(known)))]
        left, top = (int(rng.integers(0, side - 90)) for side in whole.size)
        return whole.crop((left, top, left + width, top + height))
    corners = rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)
    smooth = Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8))


@cache
def _real() -> list[Image.Image]:
    found = []
    for folder in ("skin/images", "products/images", "cells/images"):
        paths = sorted((DATA / folder).glob("**/*.jpg"))[:3]
        for path in paths:
            with Image.open(path) as image:
                image.draft("RGB", (400, 400))
                small = image.convert("RGB")
            if min(small.size) > 100:
                found.append(small)
    return found


# Kinds -------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def _exif(rng: np.random.Generator, orientation: int | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = int(rng.integers(1, 9)) if orientation is None else orientation
    exif[0x010F] = "A camera"
    return exif


def _garbage(rng: np.random.Generator) -> bytes:
    return b"Exif\0\0" + rng.bytes(int(rng.integers(1, 200)))


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _cmyk(image: Image.Image, rng: np.random.Generator, transform: int) -> bytes:
    """CMYK (0) or YCCK (2), which Adobe's marker tells apart."""
    data = encoded(image.convert("CMYK"), "JPEG", quality=int(rng.integers(40, 96)))
    place = data.index(b"Adobe") + 11
    return data[:place] + bytes([transform]) + data[place + 1 :]


def jpeg_segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_table(kind: int, symbol: int) -> bytes:
    """A Huffman table of one code, a 0, for coefficients of a kind: 0 of the mean, 1 of others."""
    return jpeg_segment(0xC4, bytes([kind << 4, 1, *[0] * 15, symbol]))


def flat_jpeg(width: int, height: int, factor: int) -> bytes:
    """All grey, and luma sampled by any factor: of each block the coefficients are two bits, 0."""
    across, down = factor >> 4, factor & 15
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    bits = units * (across * down + 2) * 2
    body = bytes(bits // 8) + (bytes([0xFF >> bits % 8]) if bits % 8 else b"")
    head = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, factor, 0, 2, 17, 0, 3, 17, 0])
    scan = jpeg_segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0]))
    quanta = jpeg_segment(0xDB, b"\0" + b"\1" * 64)
    tables = jpeg_table(0, 0) + jpeg_table(1, 0)
    return b"\xff\xd8" + quanta + jpeg_segment(0xC0, head) + tables + scan + body + b"\xff\xd9"


def _sampled(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Sampling factors, among them some that nobody writes."""
    factors = [0x11, 0x21, 0x12, 0x22, 0x41, 0x14, 0x31, 0x13, 0x42, 0x24]
    return flat_jpeg(*image.size, int(rng.choice(factors)))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_of(width, height, depth, colours, pixels, before=(), after=(), interlaced=0) -> bytes:
    """A PNG of these compressed pixels, with chunks before and after them."""
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, interlaced)
    parts = [png_chunk(b"IHDR", head), *before, png_chunk(b"IDAT", pixels), *after]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"")


def _interlaced(image: Image.Image, _rng: np.random.Generator) -> bytes:
    """Adam7, which Pillow reads and does not write."""
    pixels = np.asarray(image)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    raw = b""
    for top, left, down, across in passes:
        part = pixels[top::down, left::across]
        if part.size:
            raw += b"".join(b"\0" + row.tobytes() for row in part)
    height, width = pixels.shape[:2]
    return png_of(width, height, 8, 2, zlib.compress(raw), interlaced=1)


def _shallow(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Grey of 1, 2 or 4 bits with a clear level."""
    bits = int(rng.choice([1, 2, 4]))
    levels = np.asarray(image.convert("L")) >> (8 - bits)
    width = levels.shape[1]
    each = 8 // bits
    padded = np.pad(levels, ((0, 0), (0, -width % each)))
    shifts = np.arange(each)[::-1] * bits
    packed = (padded.reshape(len(levels), -1, each) << shifts).sum(2).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in packed)
    clear = png_chunk(b"tRNS", struct.pack(">H", int(rng.integers(1 << bits))))
    return png_of(width, len(levels), bits, 0, zlib.compress(raw), before=[clear])


def _late_exif(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Turned by words that stand behind the pixels."""
    raw = b"".join(b"\0" + row.tobytes() for row in np.asarray(image))
    words = png_chunk(b"eXIf", _exif(rng).tobytes()[6:])
    return png_of(*image.size, 8, 2, zlib.compress(raw), after=[words])


def _sixteen(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(image.convert("L")).astype(np.uint16) * 257
    return Image.fromarray(values)


def _float(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(image.convert("L")).astype(np.float32) / rng.choice([1.0, 255.0])
    holes = [np.nan, np.inf, -np.inf, -3.4028235e38, -1.0]
    places = rng.random(values.shape)
    for number, hole in enumerate(holes):
        values[(places > number * 0.01) & (places < (number + 1) * 0.01)] = hole
    return Image.fromarray(values.astype(np.float32))


def _frames(image: Image.Image) -> list[Image.Image]:
    return [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), Image.new("RGB", image.size, "red")]


def _palette(image: Image.Image) -> Image.Image:
    return image.quantize(17)


def _several(image, kind, **how) -> bytes:
    return encoded(image, kind, save_all=True, append_images=_frames(image), **how)


def _quality(rng: np.random.Generator) -> int:
    return int(rng.integers(20, 97))


Make = Callable[[Image.Image, np.random.Generator], bytes]
KINDS: dict[str, Make] = {
    "JPEG": lambda i, r: encoded(i, "JPEG", quality=_quality(r), subsampling=int(r.integers(3))),
    "PNG": lambda i, r: encoded(i, "PNG"),
    "TIFF": lambda i, r: encoded(i, "TIFF"),
    "WEBP": lambda i, r: encoded(i, "WEBP", quality=_quality(r)),
    "GIF": lambda i, r: encoded(i, "GIF"),
    "BMP": lambda i, r: encoded(i, "BMP"),
    "JPEG progressive": lambda i, r: encoded(i, "JPEG", progressive=True, quality=_quality(r)),
    "JPEG grey": lambda i, r: encoded(i.convert("L"), "JPEG", progressive=bool(r.integers(2))),
    "JPEG CMYK": lambda i, r: _cmyk(i, r, 0),
    "JPEG YCCK": lambda i, r: _cmyk(i, r, 2),
    "JPEG RGB": lambda i, r: encoded(i, "JPEG", keep_rgb=True),
    "JPEG restarts": lambda i, r: encoded(i, "JPEG", restart_marker_blocks=1),
    "JPEG turned": lambda i, r: encoded(i, "JPEG", exif=_exif(r)),
    "JPEG profile": lambda i, r: encoded(i, "JPEG", icc_profile=_profile()),
    "JPEG EXIF garbage": lambda i, r: encoded(i, "JPEG", exif=_garbage(r)),
    "JPEG odd sampling": _sampled,
    "MPO": lambda i, r: _several(i, "MPO", exif=_exif(r)),
    "PNG alpha": lambda i, r: encoded(Image.merge("RGBA", (*i.split(), i.split()[0])), "PNG"),
    "PNG grey": lambda i, r: encoded(i.convert("L"), "PNG"),
    "PNG LA": lambda i, r: encoded(Image.merge("LA", i.split()[:2]), "PNG"),
    "PNG palette": lambda i, r: encoded(_palette(i), "PNG"),
    "PNG palette clear": lambda i, r: encoded(_palette(i), "PNG", transparency=r.bytes(9)),
    "PNG clear colour": lambda i, r: encoded(i, "PNG", transparency=i.getpixel((3, 3))),
    "PNG 1 bit": lambda i, r: encoded(i.convert("1"), "PNG"),
    "PNG shallow": _shallow,
    "PNG 16 bit": lambda i, r: encoded(_sixteen(i, r), "PNG"),
    "PNG interlaced": _interlaced,
    "PNG turned": lambda i, r: encoded(i, "PNG", exif=_exif(r)),
    "PNG turned late": _late_exif,
    "PNG animated": lambda i, r: _several(i, "PNG"),
    "BMP palette": lambda i, r: encoded(_palette(i), "BMP"),
    "BMP 1 bit": lambda i, r: encoded(i.convert("1"), "BMP"),
    "BMP alpha": lambda i, r: encoded(i.convert("RGBA"), "BMP"),
    "TIFF LZW": lambda i, r: encoded(i, "TIFF", compression="tiff_lzw"),
    "TIFF deflate": lambda i, r: encoded(i, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF JPEG": lambda i, r: encoded(i, "TIFF", compression="jpeg"),
    "TIFF packbits": lambda i, r: encoded(i, "TIFF", compression="packbits"),
    "TIFF fax": lambda i, r: encoded(i.convert("1"), "TIFF", compression="group4"),
    "TIFF CMYK": lambda i, r: encoded(i.convert("CMYK"), "TIFF"),
    "TIFF palette": lambda i, r: encoded(_palette(i), "TIFF"),
    "TIFF float": lambda i, r: encoded(_float(i, r), "TIFF"),
    "TIFF 32 bit": lambda i, r: encoded(i.convert("I"), "TIFF"),
    "TIFF 16 bit": lambda i, r: encoded(_sixteen(i, r), "TIFF"),
    "TIFF 16 bit big": lambda i, r: encoded(_sixteen(i, r).convert("I;16B"), "TIFF"),
    "TIFF turned": lambda i, r: encoded(i, "TIFF", exif=_exif(r)),
    "TIFF pages": lambda i, r: _several(i, "TIFF"),
    "GIF clear": lambda i, r: encoded(_palette(i), "GIF", transparency=int(r.integers(17))),
    "GIF animated": lambda i, r: _several(i, "GIF"),
    "WEBP lossless": lambda i, r: encoded(i.convert("RGBA"), "WEBP", lossless=True),
    "WEBP turned": lambda i, r: encoded(i, "WEBP", exif=_exif(r)),
    "WEBP animated": lambda i, r: _several(i, "WEBP"),
    "JPEG2000": lambda i, r: encoded(i, "JPEG2000"),
    "AVIF turned": lambda i, r: encoded(i, "AVIF", exif=_exif(r), speed=10),
    "PPM": lambda i, r: encoded(i, "PPM"),
}


# Mutations ---------------------------------------------------------------------------------


def _flip(data: bytes, rng: np.random.Generator, within: int | None = None) -> bytes:
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        found[int(rng.integers(min(within or len(data), len(data))))] ^= 1 << int(rng.integers(8))
    return bytes(found)


def _slice(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    first, second = sorted(int(place) for place in rng.integers(0, len(data) + 1, 2))
    return first, second


def _without(data: bytes, rng: np.random.Generator) -> bytes:
    first, second = _slice(data, rng)
    second = min(second, first + int(rng.integers(1, 64)))
    return data[:first] + data[second:]


def _twice(data: bytes, rng: np.random.Generator) -> bytes:
    first, second = _slice(data, rng)
    return data[:second] + data[first:]


def _filled(data: bytes, rng: np.random.Generator) -> bytes:
    first, second = _slice(data, rng)
    value = bytes([int(rng.choice([0, 255]))])
    return data[:first] + value * (second - first) + data[second:]


def _large(data: bytes, rng: np.random.Generator) -> bytes:
    """A few numbers of the head become as large as they can be, or as small."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(min(120, len(data))))
        width = int(rng.choice([1, 2, 4]))
        value = int(rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
        found[place : place + width] = bytes([value]) * len(found[place : place + width])
    return bytes(found)


def _spliced(data: bytes, rng: np.random.Generator) -> bytes:
    kinds = list(KINDS)
    other = KINDS[kinds[int(rng.integers(len(kinds)))]](photo(rng), rng)
    return data[: int(rng.integers(1, len(data)))] + other[int(rng.integers(len(other))) :]


Mutate = Callable[[bytes, np.random.Generator], bytes]
MUTATIONS: dict[str, Mutate] = {
    "bits": _flip,
    "bits of the head": lambda d, r: _flip(d, r, 64),
    "cut": lambda d, r: d[: int(r.integers(0, len(d)))],
    "cut at its end": lambda d, r: d[: -int(r.integers(1, 40))],
    "without a part": _without,
    "a part twice": _twice,
    "filled": _filled,
    "large numbers": _large,
    "spliced": _spliced,
    "garbage behind": lambda d, r: d + r.bytes(int(r.integers(1, 3000))),
}
