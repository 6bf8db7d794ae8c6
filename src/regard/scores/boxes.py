"""Boxes around the connected areas of a mask, as OpenCV's contours give them, and their overlaps.

A box is xmin, ymin, xmax, ymax with corners that count as inside. As in the evaluation of
arXiv:2001.07437, from which this is taken, xmax is one more than the last column, where the image
has such a column, and ymax likewise: boxes are a pixel wider and higher than what they hold.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Bools = NDArray[np.bool_]
Boxes = NDArray[np.int64]
Place = tuple[slice, slice]
_FOUR = ndimage.generate_binary_structure(2, 1)
_EIGHT = np.ones((3, 3), dtype=bool)  # areas that meet at a corner are one


def boxes_of(mask: Bools, *, holes: bool = False) -> Boxes:
    """The boxes (N, 4) of the areas of a mask (H, W), with eight neighbours to a pixel.

    Args:
        mask: True inside.
        holes: add the box of the rim of each hole, as a tree of contours has it: a ring has a
            box within, a pixel larger than its hole on each side.
    """
    found = [_box(*place, mask.shape) for place in _areas(mask, _EIGHT)[1]]
    if holes:
        spaces = _areas(np.pad(~mask, 1, constant_values=True), _FOUR)[1]
        # The first is the outside, in which the frame that was added lies. A hole's rim begins
        # one pixel before it, and the frame is another.
        found += [
            _box(slice(y.start - 2, y.stop), slice(x.start - 2, x.stop), mask.shape)
            for y, x in spaces[1:]
        ]
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def largest_box(mask: Bools) -> Boxes:
    """The box (1, 4) of the area with the largest outline, or none, (0, 4).

    The outline runs through the centres of the pixels at the rim, and holes count as filled. Of
    equals it is the last that begins, row by row.
    """
    labels, places = _areas(mask, _EIGHT)
    sizes = [_outlined(labels[place] == k) for k, place in enumerate(places, 1)]
    chosen = [_box(*places[-1 - int(np.argmax(sizes[::-1]))], mask.shape)] if sizes else []
    return np.array(chosen, dtype=np.int64).reshape(-1, 4)


def overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) with others (M, 4)."""
    first, second = boxes[:, None], others[None]
    sides = np.minimum(first, second)[..., 2:] - np.maximum(first, second)[..., :2] + 1
    both = sides.clip(min=0).prod(-1)
    return both / (_area(first) + _area(second) - both)


def _areas(mask: Bools, neighbours: ArrayLike) -> tuple[NDArray[np.int32], list[Place]]:
    """The connected areas as labels (H, W) from 1, in row order, and where each lies."""
    labels = np.zeros(mask.shape, dtype=np.int32)
    ndimage.label(mask, neighbours, output=labels)
    return labels, [(y, x) for y, x in ndimage.find_objects(labels)]


def _area(boxes: Boxes) -> Boxes:
    return (boxes[..., 2:] - boxes[..., :2] + 1).prod(-1)


def _box(y: slice, x: slice, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    return x.start, y.start, min(x.stop, size[1] - 1), min(y.stop, size[0] - 1)


def _outlined(area: Bools) -> float:
    """The area of the polygon through the centres of the pixels at the rim."""
    filled = np.asarray(ndimage.binary_fill_holes(area), dtype=int)
    corners = filled[:-1, :-1] + filled[1:, :-1] + filled[:-1, 1:] + filled[1:, 1:]
    return float((corners == 4).sum() + (corners == 3).sum() / 2)
