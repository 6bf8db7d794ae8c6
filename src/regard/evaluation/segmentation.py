"""Every number about a segmenter's predictions, each with its interval over images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation.confusion import ratio
from regard.evaluation.intervals import CONFIDENCE, Interval, check_options
from regard.evaluation.metrics import bca_intervals
from regard.evaluation.pixels import Boundary, Counts
from regard.evaluation.units import Units, units_of

Floats = NDArray[np.float64]
# Of a block of resampled confusions: 16 MiB, whatever the number of classes.
_CELLS = 1 << 21
_SEED = 0
# By class; the means over classes of the first three and of the last go by the names beside them.
BY_CLASS = ("iou", "dice", "recall", "precision", "boundary_f1")
MEANS = {
    "iou": "mean_iou",
    "dice": "mean_dice",
    "recall": "balanced_accuracy",
    "boundary_f1": "mean_boundary_f1",
}


def evaluate_segmentation(
    confusions: Counts,
    boundaries: Sequence[Boundary],
    names: Sequence[str],
    *,
    units: Units | None = None,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Metrics of a set of segmented images, from pixels counted over all of them.

    Each metric is the dictionary of an `Interval`: the value is that of the pooled counts (of the
    data set, not a mean over images), the interval BCa over resampled images, or whole groups of
    them. The keys:

    - `accuracy`, the share of right pixels;
    - `mean_iou` of TP / (TP + FP + FN), `mean_dice` of 2 TP / (2 TP + FP + FN),
      `balanced_accuracy` (of the share of right pixels of a class) and `mean_boundary_f1`, each
      over the classes where it is defined: those that occur among the true pixels or the predicted
      ones, for `balanced_accuracy` among the true ones, for the last on a boundary of either;
    - `per_class`: `iou`, `dice`, `recall` (the right pixels among those of the class),
      `precision`, `boundary_f1`, `support` (true pixels);
    - `confusion`: K x K counts of pixels, a row a true class; `classes` their order;
    - `n` images, `pixels` that count, `level`, `resamples`, `seed`, and `absent`, the classes
      without a true pixel.

    Args:
        confusions: (N, K, K) counts of each image, of `pixel_confusion`.
        boundaries: of each image, of `boundary_counts`.
        names: of the K classes.
        units: of the images; None: each its own.
        resamples: bootstrap resamples.

    Example:
        >>> from regard.evaluation.pixels import boundary_counts, pixel_confusion
        >>> true, guess = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
        >>> counts = pixel_confusion(guess, true, 2)[None]
        >>> found = evaluate_segmentation(counts, [boundary_counts(guess, true, 2)], ["a", "b"])
        >>> round(found["per_class"]["b"]["iou"]["value"], 3)
        0.667
    """
    check_options(CONFIDENCE, resamples)
    options = {"resamples": resamples, "seed": _SEED, "level": CONFIDENCE}
    pooled, units = Pooled(confusions, boundaries), units or Units.alone(len(confusions))
    intervals = bca_intervals(pooled, units, concerned=pooled.concerned, **options)
    total = confusions.sum(0)
    return {
        "n": len(confusions),
        "pixels": int(total.sum()),
        "classes": list(names),
        "absent": [name for name, row in zip(names, total, strict=True) if row.sum() == 0],
        **options,
        **{name: intervals[name].as_dict() for name in ("accuracy", *MEANS.values())},
        "per_class": {
            name: _by_name(intervals, c) | {"support": int(total[c].sum())}
            for c, name in enumerate(names)
        },
        "confusion": total.tolist(),
    }


def evaluate_counted(table: pl.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """`evaluate_segmentation` of the pixels that a segmenter's predictions table counts.

    Args:
        table: one row an image: its `confusion` (K x K) and its `boundary` (4 x K); with a column
            `group` whole groups of images are resampled.
        names: of the K classes.
    """
    confusions = np.array(table["confusion"].to_list(), dtype=np.int64)
    edges = [Boundary(*map(np.array, row)) for row in table["boundary"].to_list()]
    return evaluate_segmentation(confusions, edges, names, units=units_of(table))


class Pooled:
    """The metrics of segmented images by how often each is taken, as the bootstrap asks for them.

    Args:
        confusions: (N, K, K) counts of each image.
        boundaries: of each image.
    """

    def __init__(
        self, confusions: NDArray[np.number], boundaries: Sequence[Sequence[NDArray]]
    ) -> None:
        self.classes = confusions.shape[1]
        self._cells = confusions.reshape(len(confusions), -1).T.astype(np.float64)
        edges = [np.concatenate([*image]) for image in boundaries]
        self._edges = np.stack(edges, 1).astype(np.float64)

    def __call__(self, times: Floats) -> dict[str, Floats]:
        """Of counts (N, b) of the images: the accuracy, the means, and `NAME.CLASS`, (b,) each."""
        block = max(1, _CELLS // self.classes**2)
        starts = range(0, times.shape[1], block)
        parts = [self._of(times[:, start : start + block]) for start in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def concerned(self, name: str) -> NDArray[np.bool_]:
        """Which images (N,) a metric is of: of a class those with pixels of it, true or guessed."""
        kind, _, number = name.rpartition(".")
        images = self._cells.shape[1]
        if kind not in BY_CLASS:
            return np.ones(images, dtype=bool)
        cells, c = self._cells.reshape(self.classes, self.classes, images), int(number)
        true, guessed = cells[c].any(0), cells[:, c].any(0)
        return true if kind == "recall" else true | guessed

    def _of(self, times: Floats) -> dict[str, Floats]:
        k = self.classes
        pooled = (self._cells @ times).reshape(k, k, -1)
        found = _of_classes(pooled, (self._edges @ times).reshape(4, k, -1))
        values = {"accuracy": ratio(_hits(pooled).sum(0), pooled.sum((0, 1)))}
        values |= {MEANS[name]: _mean(found[name]) for name in MEANS}
        return values | {f"{name}.{c}": found[name][c] for name in BY_CLASS for c in range(k)}


def pooled_metrics(confusion: Counts) -> dict[str, float]:
    """Means over classes, and the accuracy, of pooled counts (K, K); NaN where undefined."""
    pooled = confusion.astype(np.float64)[:, :, None]
    found = _of_classes(pooled, np.zeros((4, len(confusion), 1)))
    values = {MEANS[name]: float(_mean(found[name])[0]) for name in MEANS if name != "boundary_f1"}
    return {"accuracy": float(ratio(_hits(pooled).sum(0), pooled.sum((0, 1)))[0]), **values}


def _by_name(intervals: Mapping[str, Interval], c: int) -> dict[str, Any]:
    return {name: intervals[f"{name}.{c}"].as_dict() for name in BY_CLASS}


def _of_classes(pooled: Floats, edges: Floats) -> dict[str, Floats]:
    """Each of `BY_CLASS`, (K, b); NaN where undefined."""
    hits, true, guessed = _hits(pooled), pooled.sum(1), pooled.sum(0)
    predicted, near_true, own, near_predicted = edges
    exact, found = ratio(near_true, predicted), ratio(near_predicted, own)
    # Without a boundary on one side nothing of the other is found.
    exact, found = (np.where(predicted + own > 0, np.nan_to_num(x), np.nan) for x in (exact, found))
    return {
        "iou": ratio(hits, true + guessed - hits),
        "dice": ratio(2 * hits, true + guessed),
        "recall": ratio(hits, true),
        "precision": ratio(hits, guessed),
        "boundary_f1": np.where(
            exact + found > 0, ratio(2 * exact * found, exact + found), exact + found
        ),
    }


def _hits(pooled: Floats) -> Floats:
    return np.einsum("kkb->kb", pooled)


def _mean(values: Floats) -> Floats:
    """Over classes, those left out where it is undefined."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0).sum(0), there.sum(0).astype(np.float64))
