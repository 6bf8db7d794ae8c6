"""Files that are made to cost memory or time, and what reading them costs: `image_traps.py FOLDER`.

It prints a line of JSON for each: what was said, the seconds of the processor, and the MB by which
the peak of the process grew.
"""

import json
import os
import resource
import struct
import sys
import time
import zlib
from functools import cache
from pathlib import Path

import torch
from hostile_images import encoded, jpeg_segment, jpeg_table, png_chunk, png_of
from PIL import Image

from regard.checks.file_checks import file_problems
from regard.data.transforms import Transform
from regard.errors import DataError
from regard.images.decoding import decode, decode_grey
from regard.images.opening import image_size
from regard.screening.cutting import Cutting
from regard.screening.pieces import of_image
from regard.screening.sources import open_source

ALL = ("size", "decode", "grey", "check", "screen")


@cache
def zeros(size):
    """So many zeros, compressed."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(2**20, size - at))) for at in range(0, size, 2**20)]
    return b"".join(parts) + packer.flush()


def png_bomb():
    """A picture of 441 megapixels in 430 kB, whole and without a fault."""
    return png_of(21_000, 21_000, 8, 0, zeros(21_000 * 21_001))


def turned_png_bomb():
    exif = Image.Exif()
    exif[0x0112] = 6
    words = png_chunk(b"eXIf", exif.tobytes()[6:])
    return png_of(21_000, 21_000, 8, 0, zeros(21_000 * 21_001), after=[words])


def texts():
    """200 MB of text in 200 kB, before the pixels and behind."""
    words = png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zeros(200_000_000))
    return png_of(2, 1, 8, 0, zlib.compress(b"\0ab"), before=[words], after=[words])


def too_many_rows():
    """Two pixels, and data for 200 million."""
    return png_of(2, 1, 8, 0, zeros(200_000_000))


def many_scans(side=4000, count=900):
    """A grey progressive JPEG that is gone over `count` times, in 75 kB."""

    def scan(first, last, bits, body):
        return jpeg_segment(0xDA, bytes([1, 1, 0, first, last, bits])) + body

    blocks = (side // 8) ** 2
    head = struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])
    runs = "0" + "0" * 14  # the end of 16,384 blocks
    bits = runs * -(-blocks // 16_384)
    bits += "1" * (-len(bits) % 8)
    body = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    body = body.replace(b"\xff", b"\xff\0")
    parts = [b"\xff\xd8", jpeg_segment(0xDB, b"\0" + b"\1" * 64), jpeg_segment(0xC2, head),
             jpeg_table(0, 0), scan(0, 0, 0, bytes(blocks // 8)), jpeg_table(1, 0xE0)]  # fmt: skip
    for number in range(count):
        place, low = 1 + number % 63, 13 - number // 63 % 14
        high = 0 if number < 63 else low + 1
        parts.append(scan(place, place, high << 4 | low, body))
    return b"".join(parts) + b"\xff\xd9"


def giant(kind):
    """A small picture whose header says that it is 60,000 x 60,000."""
    small = Image.new("RGB", (16, 16), (9, 80, 200))
    data = bytearray(encoded(small, kind))
    if kind == "JPEG":
        place, size = data.index(b"\xff\xc0") + 5, struct.pack(">HH", 60_000, 60_000)
    elif kind == "GIF":
        place, size = 6, struct.pack("<HH", 60_000, 60_000)
    elif kind == "BMP":
        place, size = 18, struct.pack("<ii", 60_000, 60_000)
    else:
        place, size = data.index(b"ihdr") + 4, struct.pack(">II", 60_000, 60_000)
    data[place : place + len(size)] = size
    return bytes(data)


def tiff(*tags, body=b""):
    """Little-endian, of one directory; the value -1 is where the body begins."""
    begins = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count, begins if value == -1 else value)
        for tag, kind, count, value in sorted(tags)
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + body


GREY = [(258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]


def tiff_giant():
    tags = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (259, 3, 1, 1), (273, 4, 1, -1),
            (278, 4, 1, 60_000), (279, 4, 1, 100)]  # fmt: skip
    return tiff(*GREY, *tags, body=bytes(100))


def tiff_tile():
    """Ten pixels square, in one tile of 1.6 gigapixels."""
    body = zlib.compress(bytes(1000))
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (259, 3, 1, 8), (322, 4, 1, 40_000),
            (323, 4, 1, 40_000), (324, 4, 1, -1), (325, 4, 1, len(body))]  # fmt: skip
    return tiff(*GREY, *tags, body=body)


def tiff_counts():
    """Strips, of which there are four billion."""
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (259, 3, 1, 1), (273, 4, 2**32 - 1, -1),
            (278, 4, 1, 1), (279, 4, 2**32 - 1, -1)]  # fmt: skip
    return tiff(*GREY, *tags, body=bytes(100))


def tiff_samples():
    """Pixels of 65,535 samples, of which Pillow would tell the terminal too."""
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, -1), (277, 3, 1, 65_535), (278, 4, 1, 10), (279, 4, 1, 100)]  # fmt: skip
    return tiff(*tags, body=bytes(100))


def webp_canvas(side=60_000):
    """A frame of 16 x 16 on a canvas of 3.6 gigapixels."""

    def chunk(kind, content):
        return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    def small(value):
        return struct.pack("<I", value)[:3]

    frame = encoded(Image.new("RGB", (16, 16), "red"), "WEBP")[12:]
    canvas = chunk(b"VP8X", b"\x02\0\0\0" + small(side - 1) * 2)
    moves = chunk(b"ANIM", bytes(6))
    shown = chunk(b"ANMF", small(0) * 2 + small(15) * 2 + b"\x64\0\0\0" + frame)
    body = b"WEBP" + canvas + moves + shown
    return b"RIFF" + struct.pack("<I", len(body)) + body


# By name: the bytes, how each is read, and whether it is an image.
TRAPS = {
    "a PNG of 441 megapixels": (png_bomb, ALL, False),
    "a PNG of 441 megapixels, turned behind its end": (turned_png_bomb, ALL, False),
    "a PNG of 200 MB of text": (texts, ALL, False),
    "a PNG of more rows than it has": (too_many_rows, ALL, True),
    "a JPEG of 900 scans": (many_scans, ALL, False),
    "a JPEG that tells a giant": (lambda: giant("JPEG"), ALL, False),
    "a GIF that tells a giant": (lambda: giant("GIF"), ALL, False),
    "a BMP that tells a giant": (lambda: giant("BMP"), ALL, False),
    "a JPEG 2000 that tells a giant": (lambda: giant("JPEG2000"), ALL, False),
    "a TIFF that tells a giant": (tiff_giant, ALL, False),
    "a TIFF of a giant tile": (tiff_tile, ALL, False),
    "a TIFF of four billion strips": (tiff_counts, ALL, False),
    "a TIFF of 65,535 samples a pixel": (tiff_samples, ALL, False),
    "a WebP of a giant canvas": (webp_canvas, ALL, False),
    "a PPM of numbers": (lambda: b"P3 2100 2100 255 " + b"7 " * 13_230_000, ALL, False),
    "a PPM of odd depth": (lambda: b"P6 2100 2100 254 " + bytes(13_230_000), ALL, False),
    "1 x 20,000": (
        lambda: encoded(Image.new("RGB", (20_000, 1), "red"), "PNG"), ("crop", "pad"), True,
    ),
    "20,000 x 1": (
        lambda: encoded(Image.new("RGB", (1, 20_000), "red"), "PNG"), ("crop", "pad"), True,
    ),
}  # fmt: skip
# By name: what puts it at a path.
PLACED = {
    "a pipe": os.mkfifo,
    "a device without end": lambda path: os.symlink("/dev/zero", path),
    "a file of a terabyte": lambda path: _sparse(path, b"\xff\xd8\xff"),
}


def _sparse(path, start):
    Path(path).write_bytes(start)
    os.truncate(path, 2**40)


def fitted(fit):
    return Transform((224, 224), (0.5,) * 3, (0.5,) * 3, fit)


READ = {
    "size": image_size,
    "decode": decode,
    "grey": decode_grey,
    "check": lambda path: refused(file_problems(1, {"image": path}, {"image": path}, 4 * 10**8)),
    "crop": lambda path: fitted("crop").load(path),
    "pad": lambda path: fitted("pad").load(path),
    "screen": lambda path: screened(Path(path).parent),
}


def screened(folder):
    (piece,) = of_image(open_source(folder), 0, Cutting("whole"), fitted("stretch"))
    if piece.error is not None:
        raise DataError("image", expected="", found=piece.error, remedy="")


def refused(problems):
    if problems:
        raise DataError("image", expected="", found=problems[0].kind, remedy="")


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def placed(folder, every):
    """Each trap, or every so many-th, at a path, one after the other, with the ways to read it."""
    for name, (make, ways, _) in [*TRAPS.items()][::every]:
        path = Path(folder, "trap.jpg")
        path.write_bytes(make())
        yield name, path, ways
        path.unlink()
    for name, put in [*PLACED.items()][::every]:
        path = Path(folder, "trap.jpg")
        put(path)
        yield name, path, ALL
        path.unlink()


def main(folder, every):
    torch.set_num_threads(1)
    for name, path, ways in placed(folder, every):
        for way in ways:
            print(json.dumps({"begun": f"{name}: {way}"}), flush=True)
            before, began = peak(), time.process_time()
            try:
                READ[way](str(path))
                said = None
            except DataError as error:
                said = error.found
            cost = {"seconds": time.process_time() - began, "grown": peak() - before}
            print(json.dumps({"name": name, "way": way, "said": said} | cost), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
