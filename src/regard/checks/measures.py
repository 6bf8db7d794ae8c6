"""What headers and regions say of each sample; files that cannot be read say nothing."""

from collections.abc import Container, Mapping
from os.path import isfile
from typing import Any

import polars as pl

from regard.checks.coverage import box_coverage, grey_coverage
from regard.data.manifest import Manifest
from regard.data.source import own_boxes
from regard.errors import DataError
from regard.files.threads import in_threads
from regard.images.decoding import decode_grey
from regard.images.opening import MAX_PIXELS, image_size
from regard.progress import Progress

SCHEMA = {
    "split": pl.String,
    "width": pl.Int64,
    "height": pl.Int64,
    "format": pl.String,
    "region": pl.String,
    "coverage": pl.Float64,
    "boxes": pl.Int64,
}
NO_SPLIT = "no split"
MISSING, UNREADABLE = "missing", "unreadable"
# The column of each kind of region that is a file.
FILES = {"image": "region", "avoid": "avoid"}


def measures(
    manifest: Manifest, *, max_pixels: int = MAX_PIXELS, progress: Progress | None = None
) -> pl.DataFrame:
    """One row a sample, in the manifest's order.

    The columns: `split`; `width`, `height` of the upright image and `format`, null if it
    cannot be read; `region`, one of `image`, `boxes`, `avoid` and `none`, or `missing` and
    `unreadable` of a region's file; `coverage`, the share of the image that the region covers;
    `boxes`, their number, null for no boxes.
    """
    rows = list(manifest.table.iter_rows(named=True))
    classes = manifest.classes

    def one(cells: Mapping[str, Any]) -> dict[str, Any]:
        return _measure(cells, manifest, classes, max_pixels)

    found = in_threads(one, rows, progress)
    return pl.DataFrame(list(found), schema=SCHEMA)


def _measure(
    cells: Mapping[str, Any], manifest: Manifest, classes: Container[str], max_pixels: int
) -> dict[str, Any]:
    path = manifest.resolve(cells["image"])
    boxes = cells.get("boxes")
    known: dict[str, Any] = {
        "split": cells.get("split") or NO_SPLIT,
        "boxes": None if boxes is None else len(boxes),
    }
    size = None
    try:
        height, width = size = image_size(path)
        known |= {"height": height, "width": width, "format": file_format(path)}
    except (DataError, OSError):
        pass
    kind, coverage = _area(cells, size, manifest, classes, max_pixels)
    return known | {"region": kind, "coverage": coverage}


def region_kind(cells: Mapping[str, Any], manifest: Manifest, classes: Container[str]) -> str:
    """`image`, `boxes`, `avoid`, `none`; or `missing`, where a region's file is not there.

    Args:
        cells: a row of the manifest.
        manifest: in whose folder the files are.
        classes: that are learned; boxes of others are no region of the sample.
    """
    if cells.get("region"):
        kind = "image"
    elif own_boxes(cells, classes) is not None:
        kind = "boxes"
    else:
        kind = "avoid" if cells.get("avoid") else "none"
    there = kind not in FILES or isfile(manifest.resolve(cells[FILES[kind]]))
    return kind if there else MISSING


def _area(
    cells: Mapping[str, Any],
    size: tuple[int, int] | None,
    manifest: Manifest,
    classes: Container[str],
    max_pixels: int,
) -> tuple[str, float | None]:
    """The kind of the region, and its share of the image where that is known."""
    kind = region_kind(cells, manifest, classes)
    if kind == "boxes" and size is not None:
        return kind, box_coverage(own_boxes(cells, classes) or (), size)
    if kind not in FILES:
        return kind, None
    try:
        grey = decode_grey(manifest.resolve(cells[FILES[kind]]), max_pixels=max_pixels)
    except DataError:
        return UNREADABLE, None
    if size is None:
        return kind, None
    if kind == "avoid":
        return kind, 1 - grey_coverage(grey, None)
    return kind, grey_coverage(grey, cells.get("region_threshold"))


def file_format(path: str) -> str:
    """The image format by the file's first bytes, which its suffix may belie."""
    with open(path, "rb") as file:
        start = file.read(12)
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return "WEBP"
    if start[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    known = {
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG": "PNG",
        b"GIF8": "GIF",
        b"BM": "BMP",
        b"II*\0": "TIFF",
        b"MM\0*": "TIFF",
        b"\0\0\0\x0cjP": "JPEG2000",
        b"\xff\x4f\xff\x51": "JPEG2000",
        **{b"P%d" % number: "PPM" for number in range(1, 7)},
    }
    return next((name for magic, name in known.items() if start.startswith(magic)), "other")
