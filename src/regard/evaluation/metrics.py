"""Every number about the predictions of a classifier, each with its interval over images."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.errors import ConfigError, near
from regard.evaluation import resampling
from regard.evaluation import table as tables
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.calibration import brier, ece_interval, log_loss
from regard.evaluation.confusion import (
    MacroF1,
    class_intervals,
    confusion_matrix,
    mean_proportion,
)
from regard.evaluation.intervals import (
    CONFIDENCE,
    NO_WIDTH,
    ONE_GROUP,
    Interval,
    bounded,
    check_options,
    missing,
)
from regard.evaluation.ranges import SHARE, UPWARDS
from regard.evaluation.ranking import RankingStatistics
from regard.evaluation.units import Units, units_of

Concerned = Callable[[str], NDArray[np.bool_]]
_REASONS = {
    "roc_auc": "needs images of a class and images of another",
    "average_precision": "needs images of a class and images of another",
}


def evaluate(
    table: pl.DataFrame,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = CONFIDENCE,
    positive: str | None = None,
) -> dict[str, Any]:
    """Metrics of a predictions table of single labels, ready for JSON.

    Each metric is the dictionary of an `Interval`. The keys:

    - `accuracy`, `balanced_accuracy`, `precision_macro`, `recall_macro`, `f1_macro`,
      `roc_auc`, `average_precision`, `log_loss`, `brier`, `ece`; with two classes also
      `precision`, `recall`, `f1` of the positive class, to which `roc_auc` and
      `average_precision` then belong, and its `specificity`, the recall of the other class;
      with more they are means over one class against the rest;
    - `per_class`: `precision`, `recall`, `f1` and `support` (a count) by class;
    - `confusion`: K x K counts, a row a true class; `classes` their order;
    - `n`, `level`, `resamples`, `seed`, `positive` (None unless there are two classes), and
      `absent`, the classes without an image.

    Averages over classes are scikit-learn's: over the classes among labels or predictions,
    0 / 0 counting as 0; balanced accuracy over those among labels, areas over those that
    have images and are not alone.

    Intervals, chosen by coverage at 100 to 200 images (nominal 95 %, simulated): proportions
    of images (accuracy; precision, recall, F1 of a class) and their means over classes have
    Wilson's, 93 to 98 % where a percentile bootstrap of accuracy falls to 83 % near one;
    means of per-image scores (log loss, Brier) the studentised bootstrap, 94 to 96 %; macro
    F1 and the areas BCa, 95 % (average precision 93 to 94 %); the calibration error see
    `ece_interval`. Images are resampled plainly, not within classes; where the table has a
    column `group` (of a patient, a plant), whole groups of them are, and Wilson's interval
    takes images for as many as they are worth (`design_effect`). A resample where a metric is
    undefined is left out and counted in `undefined_resamples`. What is undefined
    on the table itself is None, with the reason. Time grows as N x K x resamples.

    Args:
        table: a valid predictions table (see `table.validate`).
        resamples: bootstrap resamples.
        seed: fixes the resamples.
        level: confidence level, in (0, 1).
        positive: the positive one of two classes; default the last.

    Raises:
        DataError: the table is not valid.
        ConfigError: `positive` is no class, or an option is out of range.

    Example:
        >>> from regard.evaluation.table import predictions_table
        >>> table = predictions_table([0, 1], ["a.jpg", "b.jpg"], [0, 1],
        ...                           [[0.9, 0.1], [0.7, 0.3]], ["fern", "moss"])
        >>> evaluate(table)["accuracy"]["value"]
        0.5
    """
    check_options(level, resamples)
    names = tables.classes(tables.validate(table))
    chosen = _positive(names, positive)
    true, proba = tables.labels(table), tables.probabilities(table)
    options = {"resamples": resamples, "seed": seed, "level": level}
    units = units_of(table)
    per_class, confusion = _by_class(table, units, level)
    metrics = _means(table, true, proba, {"units": units, **options})
    metrics |= _class_means(table, confusion, units, level)
    metrics |= _areas(table, chosen, units, options)
    if chosen is not None:
        metrics |= per_class[names[chosen]]
        metrics["specificity"] = per_class[names[1 - chosen]]["recall"]
    return {
        "n": table.height,
        "classes": names,
        "positive": None if chosen is None else names[chosen],
        "absent": [name for name, row in zip(names, confusion, strict=True) if row.sum() == 0],
        **options,
        **{key: interval.as_dict() for key, interval in metrics.items()},
        "per_class": {
            name: {key: interval.as_dict() for key, interval in per_class[name].items()}
            | {"support": int(row.sum())}
            for name, row in zip(names, confusion, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def _positive(names: list[str], positive: str | None) -> int | None:
    if positive is not None and positive not in names:
        raise ConfigError(
            "positive class", expected="a class", found=repr(positive), remedy=near(positive, names)
        )
    if len(names) == 2:
        return 1 if positive is None else names.index(positive)
    if positive is not None:
        raise ConfigError(
            "positive class",
            expected="two classes",
            found=f"{len(names)}",
            remedy="leave `positive` out; `per_class` has every class against the rest",
        )
    return None


def _by_class(
    table: pl.DataFrame, units: Units, level: float
) -> tuple[dict[str, dict[str, Interval]], NDArray[np.int64]]:
    names, true, guess = tables.classes(table), tables.labels(table), tables.predicted(table)
    intervals = {
        name: class_intervals(true == c, guess == c, units, level) for c, name in enumerate(names)
    }
    return intervals, confusion_matrix(true, guess, len(names))


def _means(
    table: pl.DataFrame,
    true: NDArray[np.int64],
    proba: NDArray[np.float64],
    options: Mapping[str, Any],
) -> dict[str, Interval]:
    correct = table["correct"].to_numpy()
    confidence = proba[np.arange(len(true)), tables.predicted(table)]
    worst = 2 if proba.shape[1] > 2 else 1
    return {
        "accuracy": bootstrap_interval(correct, method="wilson", **options),
        "log_loss": bootstrap_interval(log_loss(true, proba), within=UPWARDS, **options),
        "brier": bootstrap_interval(brier(true, proba), within=(0, worst), **options),
        "ece": ece_interval(confidence, correct, **options),
    }


def _class_means(
    table: pl.DataFrame, confusion: NDArray[np.int64], units: Units, level: float
) -> dict[str, Interval]:
    true, guess, right = tables.labels(table), tables.predicted(table), table["correct"].to_numpy()
    seen = int(((confusion.sum(axis=1) > 0) | (confusion.sum(axis=0) > 0)).sum())
    return {
        "balanced_accuracy": mean_proportion(right, true, units, level),
        "precision_macro": mean_proportion(right, guess, units, level, seen),
        "recall_macro": mean_proportion(right, true, units, level, seen),
    }


def _areas(
    table: pl.DataFrame, positive: int | None, units: Units, options: Mapping[str, Any]
) -> dict[str, Interval]:
    names, true, guess = tables.classes(table), tables.labels(table), tables.predicted(table)
    ranked = list(range(len(names))) if positive is None else [positive]
    macro_f1 = MacroF1(true, guess, len(names))
    ranking = RankingStatistics(true, tables.probabilities(table), ranked)

    def statistics(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return macro_f1(counts) | ranking(counts)

    def concerned(name: str) -> NDArray[np.bool_]:
        every = np.ones(len(true), dtype=bool)
        if positive is None or name == "f1_macro":
            return every
        # An area is known no better than the images of the class that lies in fewer groups.
        kinds = (true == positive, true != positive)
        return min(kinds, key=lambda own: units.where(own).freedom) if every.any() else every

    return bca_intervals(statistics, units, concerned=concerned, **options)


def bca_intervals(
    statistics: resampling.Statistics,
    units: Units,
    *,
    resamples: int,
    seed: int,
    level: float,
    concerned: Concerned | None = None,
) -> dict[str, Interval]:
    """BCa intervals over images, or groups of them, of every statistic of their counts.

    Args:
        statistics: counts (N, b) to values (b,) in [0, 1] by name; NaN where undefined.
        units: of the N images.
        resamples: bootstrap resamples.
        seed: fixes the resamples.
        level: in (0, 1).
        concerned: by name of which of the images (N,) a statistic is: of a class that lies in few
            groups these are few, however many there are; None: of all.
    """
    n = len(units)
    values = {name: float(x[0]) for name, x in statistics(np.ones((n, 1))).items()}
    if units.count < 2:
        reason = ONE_GROUP if units.grouped else "needs two images or more" if n else "no images"
        none = {name: missing(level, n, "bca", reason, value=x) for name, x in values.items()}
        return {name: replace(own, groups=units.groups) for name, own in none.items()}
    replicates = resampling.collect(statistics, resampling.counts(units, resamples, seed))
    jackknife = resampling.collect(statistics, resampling.jackknife_counts(units, seed))
    found = {}
    for name, value in values.items():
        own = units.where(concerned(name)) if concerned and units.grouped else units
        one = _bca(name, value, replicates[name], jackknife[name], own, level)
        found[name] = replace(one, n=n, groups=own.groups)
    return found


def _bca(
    name: str,
    value: float,
    replicates: NDArray[np.float64],
    jackknife: NDArray[np.float64],
    units: Units,
    level: float,
) -> Interval:
    n, method = len(units), "group-t" if units.few else "bca"
    if np.isnan(value):
        return missing(level, n, method, _REASONS.get(name, "undefined on these images"))
    if units.grouped and units.count < 2:
        return missing(level, n, method, ONE_GROUP, value=value)
    kept = replicates[~np.isnan(replicates)]
    lost = replicates.size - kept.size
    if kept.size == 0:
        return Interval(
            value, np.nan, np.nan, level, n, method, 0, lost, "undefined in every resample"
        )
    low, high = resampling.limits(value, kept, units, level, jackknife)
    reason = NO_WIDTH if np.ptp(kept) == 0 else None
    return bounded(Interval(value, low, high, level, n, method, 0, lost, reason), SHARE)
