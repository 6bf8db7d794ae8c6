"""What headers and regions say of each sample; files that cannot be read say nothing."""

from collections.abc import Mapping
from os.path import isfile
from typing import Any

import polars as pl

from regard.checks.coverage import box_coverage, grey_coverage
from regard.data.manifest import Manifest
from regard.errors import DataError
from regard.files.threads import in_threads
from regard.images.decoding import MAX_PIXELS, decode_grey, image_size
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
    found = in_threads(lambda cells: _measure(cells, manifest, max_pixels), rows, progress)
    return pl.DataFrame(list(found), schema=SCHEMA)


def _measure(cells: Mapping[str, Any], manifest: Manifest, max_pixels: int) -> dict[str, Any]:
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
    kind, coverage = _area(cells, size, manifest, max_pixels)
    return known | {"region": kind, "coverage": coverage}


def region_kind(cells: Mapping[str, Any], manifest: Manifest) -> str:
    """`image`, `boxes`, `avoid`, `none`; or `missing`, where a region's file is not there."""
    if cells.get("region"):
        kind = "image"
    elif cells.get("boxes") is not None:
        kind = "boxes"
    else:
        kind = "avoid" if cells.get("avoid") else "none"
    there = kind not in FILES or isfile(manifest.resolve(cells[FILES[kind]]))
    return kind if there else MISSING


def _area(
    cells: Mapping[str, Any], size: tuple[int, int] | None, manifest: Manifest, max_pixels: int
) -> tuple[str, float | None]:
    """The kind of the region, and its share of the image where that is known."""
    kind = region_kind(cells, manifest)
    if kind == "boxes" and size is not None:
        return kind, box_coverage(cells, size)
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
    known = {
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG": "PNG",
        b"GIF8": "GIF",
        b"BM": "BMP",
        b"II*\0": "TIFF",
        b"MM\0*": "TIFF",
    }
    return next((name for magic, name in known.items() if start.startswith(magic)), "other")
