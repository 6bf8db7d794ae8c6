"""What headers and regions say of each sample; files that cannot be read say nothing."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from regard.data.coverage import box_coverage, grey_coverage
from regard.data.decoding import MAX_PIXELS, decode_grey, image_size
from regard.data.manifest import Manifest
from regard.data.threads import Progress, in_threads
from regard.errors import DataError

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


def measures(
    manifest: Manifest, *, max_pixels: int = MAX_PIXELS, progress: Progress | None = None
) -> pl.DataFrame:
    """One row a sample, in the manifest's order.

    The columns: `split`; `width`, `height` of the upright image and `format`, null if it
    cannot be read; `region`, one of `image`, `boxes`, `avoid` and `none`; `coverage`, the
    share of the image that the region covers; `boxes`, their number, null for no boxes.
    """
    rows = list(manifest.table.iter_rows(named=True))
    found = in_threads(lambda cells: _measure(cells, manifest, max_pixels), rows, progress)
    return pl.DataFrame(list(found), schema=SCHEMA)


def _measure(cells: Mapping[str, Any], manifest: Manifest, max_pixels: int) -> dict[str, Any]:
    path = manifest.resolve(cells["image"])
    kind = _kind(cells)
    boxes = cells.get("boxes")
    known = {
        "split": cells.get("split") or NO_SPLIT,
        "region": kind,
        "boxes": None if boxes is None else len(boxes),
    }
    try:
        height, width = image_size(path)
        known |= {"height": height, "width": width, "format": file_format(path)}
        known["coverage"] = _coverage(cells, kind, (height, width), manifest, max_pixels)
    except (DataError, OSError):
        pass
    return known


def _kind(cells: Mapping[str, Any]) -> str:
    if cells.get("region"):
        return "image"
    if cells.get("boxes") is not None:
        return "boxes"
    return "avoid" if cells.get("avoid") else "none"


def _coverage(
    cells: Mapping[str, Any], kind: str, size: tuple[int, int], manifest: Manifest, max_pixels: int
) -> float | None:
    if kind == "boxes":
        return box_coverage(cells, size)
    if kind == "none":
        return None
    path = manifest.resolve(cells["region" if kind == "image" else "avoid"])
    grey = decode_grey(path, max_pixels=max_pixels)
    if kind == "avoid":
        return 1 - grey_coverage(grey, None)
    return grey_coverage(grey, cells.get("region_threshold"))


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
