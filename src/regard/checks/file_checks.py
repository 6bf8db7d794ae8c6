"""Checks of one sample's files, regions and boxes."""

import os
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from regard.checks.coverage import box_coverage, grey_coverage
from regard.checks.fit import box_fault, size_severity
from regard.checks.overall import Overall
from regard.checks.problems import Problem
from regard.data.columns import VIEWS
from regard.data.mask_classes import MaskClasses
from regard.data.source import own_boxes
from regard.errors import DataError
from regard.images.decoding import brightest_of_deep, decode, decode_grey, decode_ids
from regard.images.opening import image_size
from regard.images.size import Size

# Below this share of the image a region is likelier a slip of segmentation than a subject.
TINY = 0.005
# Of 255: an image of 16 bits that is darker everywhere holds 14 bits or fewer.
DARK = 65
Cells = Mapping[str, Any]


def file_problems(
    row: int,
    paths: Mapping[str, str],
    cells: Cells,
    max_pixels: int,
    classes: Container[str] = (),
    masks: MaskClasses | None = None,
    overall: Overall | None = None,
) -> list[Problem]:
    """What is wrong with the files, the regions and the boxes of one sample.

    Args:
        row: counted from 1.
        paths: the absolute path for each path column that is filled.
        cells: the row of the manifest.
        max_pixels: larger images are not decoded.
        classes: that are learned; boxes of others say nothing of the sample's own.
        masks: the classes of the manifest's masks, where it has such.
        overall: takes what counts for all samples together.
    """
    found: list[Problem] = []
    decoded: dict[str, Tensor] = {}
    for column, path in paths.items():
        answer = _decode(path, column, max_pixels)
        if isinstance(answer, Tensor):
            decoded[column] = answer
        else:
            found.append(Problem(row, column, cells[column], *answer))
    for view in VIEWS:
        if view in decoded:
            found += _dark(row, view, cells[view], paths[view], decoded[view])
    if "image" in decoded:
        size: Size = (decoded["image"].shape[-2], decoded["image"].shape[-1])
        found += _sizes(row, cells, decoded, size)
        found += _boxes(row, cells, size)
        if overall is not None:
            overall.look(row, decoded["image"])
        own = own_boxes(cells, classes)
        if own and not cells.get("region"):
            found += _extent(row, "boxes", cells["image"], box_coverage(own, size))
    if "mask" in decoded and masks is not None:
        found += _ids(row, cells, decoded["mask"], masks)
    if "region" in decoded:
        share = grey_coverage(decoded["region"], cells.get("region_threshold"))
        found += _region(row, cells, decoded["region"], share)
        if overall is not None:
            overall.shares.append(share)
    for column in ("avoid", "ignore"):
        if column in decoded:
            found += _faint(row, column, cells[column], decoded[column])
    return found


def _decode(path: str, column: str, max_pixels: int) -> Tensor | tuple[str, str]:
    """The image, or the kind and detail of the problem."""
    if os.path.isdir(path) or not os.path.exists(path):
        return ("missing", "it is a folder" if os.path.isdir(path) else "no such file")
    try:
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            return ("empty file", "0 bytes")
        height, width = image_size(path)
        if height * width > max_pixels:
            return ("too many pixels", f"{width} x {height}, at most {max_pixels:,} are allowed")
        if column in VIEWS:
            return decode(path, max_pixels=max_pixels)
        if column == "mask":
            return decode_ids(path, max_pixels=max_pixels)
        return decode_grey(path, max_pixels=max_pixels)
    except DataError as error:
        return (_kind(error.found), error.found)
    except OSError as error:
        return ("unreadable", error.strerror or str(error))


def _dark(row: int, column: str, file: str, path: str, image: Tensor) -> Iterator[Problem]:
    """Fewer bits in an image of 16: white stands at 65,535 there, and all else is nearly black."""
    if not 0 < int(image.max()) < DARK:
        return
    high = brightest_of_deep(path)
    if high is not None:
        times = 65535 // (2 ** high.bit_length() - 1)
        detail = f"its brightest value is {high:,} of 65,535, {high / 65535:.1%} of white, as of "
        detail += f"{high.bit_length()} bits: scale the values of all images alike, by {times} say"
        yield Problem(row, column, file, "dark 16 bits", detail, "warning")


def _kind(found: str) -> str:
    text = found.lower()
    if any(
        word in text for word in ("truncat", "premature", "broken data stream", "not processed")
    ):
        return "truncated"
    return "unreadable"


def _sizes(row: int, cells: Cells, decoded: Mapping[str, Tensor], size: Size) -> Iterator[Problem]:
    """Masks and further views of another size than the image."""
    for column, image in decoded.items():
        height, width = image.shape[-2:]
        severity = size_severity(column, (height, width), size)
        if severity is not None:
            detail = f"{width} x {height}, the upright image has {size[1]} x {size[0]}"
            yield Problem(row, column, cells[column], "other size", detail, severity)


def _region(row: int, cells: Cells, grey: Tensor, share: float) -> Iterator[Problem]:
    threshold, brightest, file = cells.get("region_threshold"), float(grey.max()), cells["region"]
    if threshold is None and 0 < brightest < 128:
        detail = f"its brightest grey level is {brightest:.0f} of 255; set region_threshold"
        yield Problem(row, "region", file, "faint region", detail, "warning")
    elif share == 0 and brightest > 0:
        detail = f"nothing is above region_threshold {threshold}, the brightest is {brightest:.0f}"
        yield Problem(row, "region", file, "empty region", detail, "warning")
    else:
        yield from _extent(row, "region", file, share)


def _faint(row: int, column: str, file: str, grey: Tensor) -> Iterator[Problem]:
    """An area whose white is not 255: of it next to nothing would be avoided or ignored."""
    brightest = float(grey.max())
    if 0 < brightest < 128:
        detail = f"its brightest grey level is {brightest:.0f} of 255; write it as 0 and 255"
        severity = "error" if brightest <= 1 else "warning"
        yield Problem(row, column, file, "faint area", detail, severity)


def _ids(row: int, cells: Cells, ids: Tensor, known: MaskClasses) -> Iterator[Problem]:
    """Ids that have no class."""
    unknown = [i for i in ids.unique().tolist() if not known.knows(i)]
    if unknown:
        some = f"{len(unknown)} ids, such as {unknown[0]}" if len(unknown) > 1 else str(unknown[0])
        detail = f"{some}, of which mask_classes says nothing"
        yield Problem(row, "mask", cells["mask"], "unknown id", detail)


def _extent(row: int, column: str, file: str, share: float) -> Iterator[Problem]:
    if share == 0:
        kind, detail = "empty region", "nothing is inside: scores are undefined"
    elif share >= 1 - 1e-6:
        kind, detail = "full region", "everything is inside: scores are undefined"
    elif share < TINY:
        kind, detail = "tiny region", f"covers {share:.2%} of the image"
    else:
        return
    yield Problem(row, column, file, kind, detail, "warning")


def _boxes(row: int, cells: Cells, size: Size) -> Iterator[Problem]:
    boxes: Sequence[Sequence[float]] = cells.get("boxes") or ()
    for number, box in enumerate(boxes, start=1):
        problem = box_fault(box, size)
        if problem is not None:
            kind, what, severity = problem
            where = ", ".join(f"{value:g}" for value in box)
            detail = f"box {number} [{where}] {what} (image {size[1]} x {size[0]})"
            yield Problem(row, "boxes", cells["image"], kind, detail, severity)
