"""Areas as COCO writes them, polygons or run lengths, painted onto a canvas of whole pixels.

A canvas is uint8 (W, H), columns first, since COCO counts pixels down the columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from regard.errors import DataError

# Corners are rounded to this part of a pixel, as pycocotools does.
FINE = 5
# A point that lies so many times the image's width and height away is in another frame.
FAR = 2
# A run of more letters than that is longer than any image.
LETTERS = 10


def paint(canvas: np.ndarray, area: Any, value: int, where: str) -> None:
    """Set the canvas to a value where an area lies.

    Of polygons, those pixels whose centre lies inside, corners rounded to a fifth of a pixel and
    several polygons united: exactly what `pycocotools.mask` makes of them.

    Args:
        canvas: uint8 (W, H), contiguous; changed in place.
        area: polygons [[x, y, x, y, ...], ...] in pixel edges, or run lengths
            {"size": [H, W], "counts": ...}: a list of numbers, outside and inside in turn, or the
            same as text.
        value: 0 to 255.
        where: for the error line.

    Raises:
        DataError: the area is neither, or does not fit the canvas.

    Reference:
        https://cocodataset.org/#format-data, and maskApi.c of pycocotools (rleFrPoly,
        rleFrString).

    >>> canvas = np.zeros((3, 2), dtype=np.uint8)
    >>> paint(canvas, {"size": [2, 3], "counts": [1, 2, 3]}, 7, "here")
    >>> canvas.T.tolist()
    [[0, 7, 0], [7, 0, 0]]
    """
    flat = canvas.reshape(-1)
    try:
        for turns in _turns(area, canvas.shape):
            for start, end in zip(turns[0::2], turns[1::2], strict=False):
                flat[start:end] = value
    except ValueError as error:
        raise DataError(
            where,
            expected="a segmentation: polygons or run lengths",
            found=str(error)[:120],
            remedy="correct it, or import without --masks",
        ) from error


def counts_of(text: str) -> list[int]:
    """The run lengths that pycocotools writes as text.

    Each letter holds 5 bits, the lowest first, and whether more follow. The third number is as it
    is; each later one is its difference to the last but one.

    Raises:
        ValueError: another letter, or a number that is cut off.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 5 * LETTERS:
            raise ValueError(f"counts with {letter!r} where there is no such letter")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("counts that are cut off")
    return counts


def _turns(area: Any, shape: tuple[int, ...]) -> Iterator[list[int]]:
    """For each part the places on the flat canvas where its inside begins and ends in turn."""
    if isinstance(area, Mapping):
        yield _of_counts(area, shape)
    elif isinstance(area, list) and area:
        for polygon in area:
            yield _of_polygon(polygon, shape)
    else:
        raise ValueError("none" if not area else repr(area))


def _of_counts(area: Mapping[str, Any], shape: tuple[int, ...]) -> list[int]:
    width, height = shape
    if area.get("size") != [height, width]:
        raise ValueError(f"size {area.get('size')} in an image of {[height, width]}")
    counts = area.get("counts")
    counts = counts_of(counts) if isinstance(counts, str) else counts
    if not isinstance(counts, list) or not all(isinstance(n, int) and n >= 0 for n in counts):
        raise ValueError("counts that are no lengths from 0 on")
    if sum(counts) != height * width:
        raise ValueError(f"counts of {sum(counts)} pixels in an image of {height * width}")
    return np.cumsum(counts, dtype=np.int64).tolist()


def _of_polygon(polygon: Any, shape: tuple[int, ...]) -> list[int]:
    width, height = shape
    across, down = _walk(_corners(polygon, shape))
    before, after = across[:-1], across[1:]
    # Steps past the middle of a column, which is FINE columns wide.
    column, part = np.divmod(np.where(after < before, after, after - 1), FINE)
    crosses = (after != before) & (part == FINE // 2) & (column >= 0) & (column < width)
    row = (np.minimum(down[1:], down[:-1])[crosses] + 0.5) / FINE - 0.5
    places = column[crosses] * height + np.ceil(row.clip(0, height)).astype(np.int64)
    return np.sort(places).tolist()


def _corners(polygon: Any, shape: tuple[int, ...]) -> np.ndarray:
    """(N, 2) of x and y, in fifths of a pixel."""
    if not isinstance(polygon, Sequence) or isinstance(polygon, str) or len(polygon) % 2:
        raise ValueError(f"a polygon {polygon!r}")
    if not polygon:
        raise ValueError("a polygon without points")
    try:
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a polygon {polygon!r}") from error
    farthest = float(np.abs(points).max())
    # Not a number fails too. The walk is as long as the outline.
    if not (isfinite(farthest) and farthest <= FAR * sum(shape)):
        raise ValueError(f"a point at {farthest:g} in an image of {shape[0]} x {shape[1]}")
    return (FINE * points + 0.5).astype(np.int64)


def _walk(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of each step along the closed outline, by the longer side of each edge."""
    start, end = corners, np.roll(corners, -1, axis=0)
    reach = np.abs(end - start)
    steep = reach[:, 0] < reach[:, 1]
    # The axis of the steps first, then the other one.
    start, end = (np.where(steep[:, None], each[:, ::-1], each) for each in (start, end))
    back = start[:, 0] > end[:, 0]
    length = reach.max(axis=1)
    low, high = (np.where(back[:, None], *pair) for pair in ((end, start), (start, end)))
    slope = (high[:, 1] - low[:, 1]) / np.maximum(length, 1)
    edge = np.repeat(np.arange(len(length)), length + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    step = np.where(back[edge], length[edge] - step, step)
    along = low[edge, 0] + step
    beside = (low[edge, 1] + slope[edge] * step + 0.5).astype(np.int64)
    turned = steep[edge]
    return np.where(turned, beside, along), np.where(turned, along, beside)
