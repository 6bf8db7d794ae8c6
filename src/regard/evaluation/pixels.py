"""Pixels of segmentations counted: by class, and along the boundaries of classes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from regard.data.mask_classes import VOID
from regard.errors import DataError

Ids = NDArray[np.integer]
Counts = NDArray[np.int64]
# Share of the diagonal that a boundary may be off by (Csurka et al. 2013, section 3).
TOLERANCE = 0.0075


class Boundary(NamedTuple):
    """Boundary pixels of each class, (K,) each.

    Attributes:
        predicted, true: how many there are.
        near_true: of the predicted those within the tolerance of a true one.
        near_predicted: of the true those within the tolerance of a predicted one.
    """

    predicted: Counts
    near_true: Counts
    true: Counts
    near_predicted: Counts


def pixel_confusion(predicted: Ids, true: Ids, classes: int) -> Counts:
    """Counts (K, K) of the pixels of one image, a row a true class; void is left out.

    Args:
        predicted: (H, W) class indices, none void.
        true: (H, W) class indices or `VOID`.
        classes: K.

    Raises:
        DataError: shapes differ, or an index is no class.
    """
    _refuse(predicted, true, classes)
    kept = true != VOID
    cells = true[kept].astype(np.int64) * classes + predicted[kept]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def boundary_counts(
    predicted: Ids, true: Ids, classes: int, tolerance: float = TOLERANCE
) -> Boundary:
    """Boundary pixels of one image, and how many of them lie near those of the other map.

    A pixel is on its class's boundary where a neighbour to the left, right, above or below is of
    another class; neither void nor the frame of the image make a boundary, and pixels on void do
    not count. Distances are Euclidean, between centres of pixels.

    Args:
        predicted: (H, W) class indices, none void.
        true: (H, W) class indices or `VOID`.
        classes: K.
        tolerance: largest distance, as a share of the image's diagonal.

    Reference: Csurka, Larlus, Perronnin, What is a good evaluation measure for semantic
    segmentation?, BMVC 2013, section 3; there averaged over images, here for pooling over them.
    """
    _refuse(predicted, true, classes)
    reach, kept = tolerance * float(np.hypot(*true.shape)), true != VOID
    seen = np.where(kept, predicted, VOID)
    found = np.zeros((4, classes), dtype=np.int64)
    edges = _edges(seen), _edges(true)
    for k in np.union1d(np.unique(seen[edges[0]]), np.unique(true[edges[1]])):
        own, other = edges[0] & (seen == k), edges[1] & (true == k)
        found[:, k] = own.sum(), _near(own, other, reach), other.sum(), _near(other, own, reach)
    return Boundary(*found)


def _edges(ids: Ids) -> NDArray[np.bool_]:
    """Where a neighbour is of another class, and neither is void."""
    edges = np.zeros(ids.shape, dtype=bool)
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        first, second = ids[one], ids[other]
        differs = (first != second) & (first != VOID) & (second != VOID)
        edges[one] |= differs
        edges[other] |= differs
    return edges


def _near(these: NDArray[np.bool_], those: NDArray[np.bool_], reach: float) -> int:
    """How many of these lie within reach of one of those."""
    if not these.any() or not those.any():
        return 0
    distance = np.asarray(distance_transform_edt(~those))
    return int((distance[these] <= reach).sum())


def _refuse(predicted: Ids, true: Ids, classes: int) -> None:
    if predicted.shape != true.shape or true.ndim != 2:
        raise DataError(
            "segmentation",
            expected="predicted and true classes of one shape (H, W)",
            found=f"{predicted.shape} and {true.shape}",
            remedy="resize the logits to the mask before taking their maximum",
        )
    for name, ids in (("predicted", predicted), ("true", true[true != VOID])):
        if ids.size and not 0 <= ids.min() <= ids.max() < classes:
            raise DataError(
                f"segmentation, {name}",
                expected=f"classes 0 to {classes - 1}" + (f" or void ({VOID})" * (name == "true")),
                found=f"{ids.min()} to {ids.max()}",
                remedy="map the ids of the masks to classes first",
            )
