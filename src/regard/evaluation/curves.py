"""Curves for figures, as plain lists: ROC, precision-recall, reliability."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import metrics as sk

from regard.errors import ConfigError, near
from regard.evaluation import table as tables
from regard.evaluation.calibration import BINS, confidence_bins
from regard.evaluation.intervals import proportion_interval
from regard.evaluation.label_sets import is_sets
from regard.evaluation.units import units_of

Curve = dict[str, Any]
_POINTS = 200


def roc_curve(table: pl.DataFrame, positive: str) -> Curve:
    """ROC curve of one class against the rest, thinned to 200 points or fewer.

    Keys `false_positive_rate`, `true_positive_rate`, `threshold` (None at the start, where
    nothing is predicted): equally long lists, empty, with a `reason`, when the class has
    no images or all of them.

    Raises:
        ConfigError: no such class.
    """
    keys = ("false_positive_rate", "true_positive_rate", "threshold")
    truth, scores = _one_against_rest(table, positive)
    if truth.all() or not truth.any():
        return _empty(keys)
    fpr, tpr, threshold = sk.roc_curve(truth, scores)
    return _curve(keys, fpr, tpr, threshold)


def precision_recall_curve(table: pl.DataFrame, positive: str) -> Curve:
    """Precision-recall curve of one class against the rest, thinned to 200 points or fewer.

    Keys `recall` (falling from 1 to 0), `precision`, `threshold` (None at the end, where
    nothing is predicted): equally long lists, empty, with a `reason`, when the class has
    no images or all of them.

    Raises:
        ConfigError: no such class.
    """
    keys = ("recall", "precision", "threshold")
    truth, scores = _one_against_rest(table, positive)
    if truth.all() or not truth.any():
        return _empty(keys)
    precision, recall, threshold = sk.precision_recall_curve(truth, scores)
    return _curve(keys, recall, precision, np.append(threshold, np.inf))


def reliability_diagram(table: pl.DataFrame, *, least: int = 0) -> Curve:
    """Accuracy against confidence, in bins of equal width of the top class's probability.

    Neighbouring bins are joined until each has `least` answers; 0 joins none. Answers of one
    image (of several trainings) or of one group are taken together for the intervals.

    Keys `lower` and `upper` (the bin's edges), `confidence` and `accuracy` (means, None in
    an empty bin), `low` and `high` (Wilson's interval of the accuracy) and `count`: lists
    of one entry a bin.
    """
    guess, proba = tables.predicted(table), tables.probabilities(table)
    confidence = proba[np.arange(len(guess)), guess]
    bin_of = confidence_bins(confidence)
    edges = np.linspace(0, 1, BINS + 1)
    starts = _joined(np.bincount(bin_of, minlength=BINS), least)
    bin_of = np.searchsorted(starts, bin_of, side="right") - 1
    edges, bins = np.append(edges[starts], 1.0), len(starts)
    count = np.bincount(bin_of, minlength=bins)
    right, units = table["correct"].to_numpy(), units_of(table)
    total = np.bincount(bin_of, weights=confidence, minlength=bins)
    inside = [bin_of == number for number in range(bins)]
    wilson = [proportion_interval(right[own], units.where(own)).as_dict() for own in inside]
    return {
        "lower": edges[:-1].tolist(),
        "upper": edges[1:].tolist(),
        "confidence": [t / c if c else None for t, c in zip(total.tolist(), count, strict=True)],
        "accuracy": [i["value"] for i in wilson],
        "low": [i["low"] for i in wilson],
        "high": [i["high"] for i in wilson],
        "count": count.tolist(),
    }


def _joined(counts: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Number of the first bin of each group of neighbours that has `least` images together."""
    starts, held = [0], 0
    for number, own in enumerate(counts.tolist()):
        if number and held >= least:
            starts.append(number)
            held = 0
        held += own
    if held < least and len(starts) > 1:
        starts.pop()  # what is left over at the end joins the last whole group
    return np.array(starts)


def _one_against_rest(
    table: pl.DataFrame, positive: str
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    names = tables.classes(table)
    if positive not in names:
        raise ConfigError(
            "curve", expected="a class", found=repr(positive), remedy=near(positive, names)
        )
    of = pl.col("labels").list.contains(positive) if is_sets(table) else pl.col("label") == positive
    truth = table.select(of.alias("of"))["of"].to_numpy()
    return truth, table[tables.PREFIX + positive].to_numpy()


def _curve(keys: tuple[str, ...], x: NDArray, y: NDArray, threshold: NDArray) -> Curve:
    kept = _thin(x, y)
    ends = [float(t) if np.isfinite(t) else None for t in threshold[kept]]
    return dict(zip(keys, (x[kept].tolist(), y[kept].tolist(), ends), strict=True)) | {
        "reason": None
    }


def _thin(x: NDArray, y: NDArray) -> NDArray[np.int64]:
    # Evenly along the curve, not along the points: a steep start keeps its shape.
    if len(x) <= _POINTS:
        return np.arange(len(x))
    along = np.cumsum(np.abs(np.diff(x, prepend=x[0])) + np.abs(np.diff(y, prepend=y[0])))
    kept = np.searchsorted(along, np.linspace(0, along[-1], _POINTS - 2))
    return np.unique(np.r_[0, np.minimum(kept, len(x) - 1), len(x) - 1])


def _empty(keys: tuple[str, ...]) -> Curve:
    reason = "needs images of the class and images of another"
    return {key: [] for key in keys} | {"reason": reason}
