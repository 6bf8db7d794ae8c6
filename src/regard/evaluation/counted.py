"""Every metric of a predictions table as a statistic of how often each image is taken."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation import resampling
from regard.evaluation import table as tables
from regard.evaluation.calibration import CalibrationStatistics, brier, log_loss
from regard.evaluation.confusion import MacroF1, indicator, ratio
from regard.evaluation.ranking import RankingStatistics
from regard.evaluation.units import Units, units_of

Floats = NDArray[np.float64]
RESAMPLES, SEED = 2000, 0


class PredictionStatistics:
    """The metrics of `evaluate`, of resamples of images, by their names there.

    Of single classes `precision:CLASS`, `recall:CLASS` and `f1:CLASS`. NaN where a resample leaves
    a metric undefined.

    Args:
        table: a valid predictions table.
        positive: number of the positive one of two classes; default the last.
    """

    def __init__(self, table: pl.DataFrame, positive: int = -1) -> None:
        self.classes = tables.classes(table)
        k, n = len(self.classes), table.height
        true, guess, proba = (
            tables.labels(table),
            tables.predicted(table),
            tables.probabilities(table),
        )
        self._true, self._guess = true, guess
        correct = table["correct"].to_numpy()
        self._positive = range(k)[positive] if k == 2 else None
        sure = proba[np.arange(n), guess]
        self._means = np.stack([correct, log_loss(true, proba), brier(true, proba)], 1)
        hits = indicator(true, k, correct.astype(np.float64))
        self._sums = indicator(true, k), indicator(guess, k), hits
        self._only_guessed = len(np.setdiff1d(guess, true))
        ranked = [*range(k)] if self._positive is None else [self._positive]
        self._others = (
            MacroF1(true, guess, k),
            CalibrationStatistics(sure, correct),
            RankingStatistics(true, proba, ranked),
        )

    def __call__(self, counts: Floats) -> dict[str, Floats]:
        """Each metric, (b,), of counts (N, b)."""
        means = self._means.T @ counts / counts.sum(0)
        found = dict(zip(("accuracy", "log_loss", "brier"), means, strict=True))
        for statistic in self._others:
            found |= statistic(counts)
        return found | self._by_class(counts)

    def concerned(self, name: str) -> NDArray[np.bool_]:
        """Which images (N,) a metric is of.

        Of that of a class the images of it, and but for recall those that are taken for it.
        """
        kind, _, label = name.partition(":")
        if label:
            c = self.classes.index(label)
        elif self._positive is not None and kind in ("precision", "recall", "f1", "specificity"):
            c = 1 - self._positive if kind == "specificity" else self._positive
        else:
            return np.ones(len(self._true), dtype=bool)
        own = self._true == c
        return own if kind in ("recall", "specificity") else own | (self._guess == c)

    def _by_class(self, counts: Floats) -> dict[str, Floats]:
        support, guesses, hits = (np.asarray(matrix @ counts) for matrix in self._sums)
        recall, precision = ratio(hits, support), ratio(hits, guesses)
        f1 = ratio(2 * hits, support + guesses)
        # A class without an image in a resample says nothing there, as in `MacroF1`.
        there = (support > 0).sum(0)
        seen = np.maximum(there + self._only_guessed, 1)
        found = {
            "balanced_accuracy": np.nansum(recall, 0) / np.maximum(there, 1),
            "recall_macro": np.nansum(recall, 0) / seen,
            "precision_macro": np.nansum(np.where(support > 0, precision, 0), 0) / seen,
        }
        own = {"precision": precision, "recall": recall, "f1": f1}
        if self._positive is not None:
            found |= {name: values[self._positive] for name, values in own.items()}
            found["specificity"] = recall[1 - self._positive]
        return found | {
            f"{name}:{label}": values[c]
            for name, values in own.items()
            for c, label in enumerate(self.classes)
        }


class Resampled:
    """Statistics of a set of images: of all of them, of all but some, and of resamples.

    Each is computed once, when it is first asked for. Sets of as many images, or of images in the
    same groups, are resampled and divided alike, so that two of the same images in the same order
    can be held against each other.

    Args:
        statistics: counts (N, b) to values (b,) by name.
        index: (N,) row of each image in the manifest, rising.
        concerned: by name of which of them (N,) a statistic is; None: of all.
        units: of the images; None: each its own.
    """

    def __init__(
        self,
        statistics: Callable[[Floats], dict[str, Floats]],
        index: NDArray[np.int64],
        concerned: Callable[[str], NDArray[np.bool_]] | None = None,
        units: Units | None = None,
    ) -> None:
        self._statistics, self.index = statistics, index
        self.units = units or Units.alone(len(index))
        self.concerned = concerned or (lambda _: np.ones(len(index), dtype=bool))

    @cached_property
    def whole(self) -> dict[str, float]:
        """Of the images as they are."""
        found = self._statistics(np.ones((len(self.index), 1)))
        return {name: float(values[0]) for name, values in found.items()}

    @cached_property
    def left_out(self) -> dict[str, Floats]:
        """Of all images but one part of at most 200, (G,), see `resampling.jackknife_parts`."""
        return resampling.collect(self._statistics, resampling.jackknife_counts(self.units, SEED))

    @cached_property
    def resamples(self) -> dict[str, Floats]:
        """Of 2,000 resamples, (B,)."""
        blocks = resampling.counts(self.units, RESAMPLES, SEED)
        return resampling.collect(self._statistics, blocks)

    def like(self, other: "Resampled") -> bool:
        """Whether both are of the same images."""
        alike = np.array_equal(self.units.of, other.units.of)
        return alike and np.array_equal(self.index, other.index)

    def of(self, rows: NDArray[np.bool_], name: str) -> float:
        """One statistic of the images that are marked (N,); NaN of none."""
        if not rows.any():
            return float("nan")
        return float(self._statistics(rows.astype(np.float64)[:, None])[name][0])


def resampled_predictions(table: pl.DataFrame, positive: str | None = None) -> Resampled:
    """The metrics of a predictions table, its images by their rows in the manifest.

    Args:
        table: a valid one.
        positive: class to which `precision` and its like belong, of two; default the last.
    """
    ordered = table.sort("index")
    index = ordered["index"].to_numpy().astype(np.int64)
    number = -1 if positive is None else tables.classes(ordered).index(positive)
    statistics = PredictionStatistics(ordered, number)
    return Resampled(statistics, index, statistics.concerned, units_of(ordered))
