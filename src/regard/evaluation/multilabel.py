"""Every number about predicted sets of labels, each with its interval over images."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.confusion import class_intervals, ratio
from regard.evaluation.intervals import CONFIDENCE, Interval, check_options
from regard.evaluation.label_sets import THRESHOLD, predicted_of, truth_of, validate_sets
from regard.evaluation.metrics import bca_intervals
from regard.evaluation.ranges import range_of
from regard.evaluation.ranking import Ranking
from regard.evaluation.table import classes, probabilities
from regard.evaluation.units import Units, units_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Of the set of images, and each by image.
POOLED = ("map", "ap_micro", "f1_macro", "f1_micro", "precision_macro", "recall_macro")
BY_IMAGE = ("f1_samples", "hamming_loss", "ranking_loss", "log_loss")
BY_CLASS = ("average_precision", "precision", "recall", "f1")
# Numbers of a block of repeated counts: 64 MiB.
_CELLS = 1 << 23


def evaluate_multilabel(
    table: pl.DataFrame, *, resamples: int = 2000, seed: int = 0, level: float = CONFIDENCE
) -> dict[str, Any]:
    """Metrics of a predictions table of sets of labels, ready for JSON.

    Each metric is the dictionary of an `Interval`. A class is predicted from a probability of one
    half on. The keys:

    - `accuracy`, the share of images whose whole set is right (subset accuracy);
    - `map`, the mean over the classes of average precision, and `ap_micro`, that of all pairs of
      image and class ranked together;
    - `f1_macro`, `precision_macro`, `recall_macro`, means over the classes; `f1_micro` of all
      pairs; `f1_samples`, the mean over the images of the F1 of their sets;
    - `hamming_loss`, the share of wrong pairs; `ranking_loss`, the mean over the images of the
      share of pairs of a class that is and one that is not, where the latter ranks as high;
      `log_loss`, the mean binary cross-entropy of all pairs, in nats;
    - `per_class`: `average_precision`, `precision`, `recall`, `f1` and `support` (images that are
      of it);
    - `cooccurrence`: K x K counts of images of both classes; `missed` (K,): images of the class
      that are not predicted so; `false_alarms`: K x K, a row the class that an image is of, a
      column the class that is predicted though it is not of it;
    - `n`, `unlabelled` images of no class, `labels` a mean image has, `threshold`, `level`,
      `resamples`, `seed`, `classes`, and `absent`, the classes without an image.

    They are scikit-learn's, but that classes without a positive image are left out of `map` (and
    named in `absent`), classes that are neither true nor predicted out of the other means over
    classes, and that an image of no class of which none is predicted has an F1 of 1.

    Intervals: Wilson's of `accuracy` and of precision, recall and F1 of a class; studentised
    bootstrap of means over images; BCa of the others, images resampled with all of their classes,
    and whole groups of images where the table has a column `group`.

    Args:
        table: a valid one, see `validate_sets`.
        resamples: bootstrap resamples.
        seed: fixes the resamples.
        level: confidence level, in (0, 1).

    Raises:
        DataError: the table is not valid.
        ConfigError: an option is out of range.

    Example:
        >>> from regard.evaluation.label_sets import sets_table
        >>> table = sets_table([0, 1], ["a.jpg", "b.jpg"], [[True, False], [True, True]],
        ...                    [[0.9, 0.6], [0.7, 0.8]], ["fern", "moss"])
        >>> evaluate_multilabel(table)["accuracy"]["value"]
        0.5
    """
    check_options(level, resamples)
    names = classes(validate_sets(table))
    truth, guess, proba = truth_of(table), predicted_of(table), probabilities(table)
    options = {"resamples": resamples, "seed": seed, "level": level}
    units = units_of(table)
    how: dict[str, Any] = {"units": units, **options}
    found = {"accuracy": bootstrap_interval(table["correct"].to_numpy(), method="wilson", **how)}
    statistics = PooledSets(truth, guess, proba)
    pooled = bca_intervals(statistics, concerned=statistics.concerned, **how)
    found |= {name: pooled[name] for name in POOLED}
    for name, values in by_image(truth, guess, proba).items():
        found[name] = bootstrap_interval(values, within=range_of(name), **how)
    support = truth.sum(0)
    return {
        "n": len(table),
        "classes": names,
        "absent": [name for name, count in zip(names, support, strict=True) if not count],
        "unlabelled": int((~truth.any(1)).sum()),
        "labels": float(truth.sum(1).mean()) if len(truth) else None,
        "threshold": THRESHOLD,
        **options,
        **{name: interval.as_dict() for name, interval in found.items()},
        "per_class": {
            name: _of_class(
                truth[:, c], guess[:, c], units, pooled[f"average_precision.{c}"], level
            )
            for c, name in enumerate(names)
        },
        "cooccurrence": (truth.T.astype(np.int64) @ truth).tolist(),
        "missed": (truth & ~guess).sum(0).tolist(),
        "false_alarms": (truth.T.astype(np.int64) @ (guess & ~truth)).tolist(),
    }


def _of_class(
    truth: Bools, guess: Bools, units: Units, ap: Interval, level: float
) -> dict[str, Any]:
    own = class_intervals(truth, guess, units, level)
    found = {name: interval.as_dict() for name, interval in own.items()}
    return {"average_precision": ap.as_dict(), **found, "support": int(truth.sum())}


def set_metrics(truth: Bools, probabilities: Floats) -> dict[str, float]:
    """The values alone of predicted sets, by the names of `evaluate_multilabel`.

    Args:
        truth: (N, K).
        probabilities: (N, K).
    """
    guess = probabilities >= THRESHOLD
    pooled = PooledSets(truth, guess, probabilities)(np.ones((len(truth), 1)))
    images = by_image(truth, guess, probabilities)
    return {
        "accuracy": float((truth == guess).all(1).mean()),
        **{name: float(pooled[name][0]) for name in POOLED},
        **{name: float(values.mean()) for name, values in images.items()},
    }


def by_image(truth: Bools, guess: Bools, probabilities: Floats) -> dict[str, Floats]:
    """Each of `BY_IMAGE`, (N,), of truth, predicted sets and probabilities (N, K)."""
    right, whole = (truth & guess).sum(1), truth.sum(1) + guess.sum(1)
    eps = np.finfo(np.float64).eps
    of_truth = np.clip(np.where(truth, probabilities, 1 - probabilities), eps, 1)
    return {
        "f1_samples": np.where(whole > 0, 2 * right / np.maximum(whole, 1), 1.0),
        "hamming_loss": (truth != guess).mean(1),
        "ranking_loss": _ranking_losses(truth, probabilities),
        "log_loss": -np.log(of_truth).mean(1),
    }


def with_image_metrics(table: pl.DataFrame) -> pl.DataFrame:
    """A predictions table of sets of labels with each of `BY_IMAGE` as a column."""
    found = by_image(truth_of(table), predicted_of(table), probabilities(table))
    return table.with_columns(**{name: pl.Series(values) for name, values in found.items()})


def _ranking_losses(truth: Bools, probabilities: Floats) -> Floats:
    """Share of the pairs of a true and another class where the latter ranks as high, (N,).

    Reference: Tsoumakas, Katakis, Vlahavas, Mining Multi-label Data, 2010, section 34.4; 0 of an
    image of none or of all classes, as in scikit-learn.
    """
    pairs = truth.sum(1) * (~truth).sum(1)
    losses = np.zeros(len(truth))
    for row in np.flatnonzero(pairs):
        own, others = probabilities[row, truth[row]], probabilities[row, ~truth[row]]
        losses[row] = (others[None] >= own[:, None]).sum() / pairs[row]
    return losses


class PooledSets:
    """The metrics of a set of images by how often each is taken, as the bootstrap asks for them.

    Args:
        truth: (N, K), whether each image is of the class.
        guess: (N, K), whether it is predicted so.
        probabilities: (N, K).
    """

    def __init__(self, truth: Bools, guess: Bools, probabilities: Floats) -> None:
        self.classes = truth.shape[1]
        kinds = (truth & guess, truth, guess)
        self._sums = [kind.T.astype(np.float64) for kind in kinds]
        self._rankings = {
            c: Ranking(probabilities[:, c], truth[:, c])
            for c in range(self.classes)
            if truth[:, c].any()
        }
        flat = truth.reshape(-1)
        self._all = Ranking(probabilities.reshape(-1), flat) if flat.any() else None

    def __call__(self, times: Floats) -> dict[str, Floats]:
        """Of counts (N, b) of the images: `POOLED`, and each of `BY_CLASS` as `NAME.CLASS`."""
        hits, support, guesses = (kind @ times for kind in self._sums)
        ap = np.full_like(hits, np.nan)
        for c, ranking in self._rankings.items():
            ap[c] = ranking(times)[1]
        rates = {
            "average_precision": ap,
            "precision": ratio(hits, guesses),
            "recall": ratio(hits, support),
            "f1": _f1(hits, support, guesses),
        }
        found = {"map": _mean(ap), "ap_micro": self._micro(times)}
        seen = support + guesses > 0
        for name in ("f1", "precision", "recall"):
            found[f"{name}_macro"] = _mean(np.where(seen, np.nan_to_num(rates[name]), np.nan))
        found["f1_micro"] = _f1(hits.sum(0), support.sum(0), guesses.sum(0))
        by_class = {f"{n}.{c}": rates[n][c] for n in BY_CLASS for c in range(self.classes)}
        return found | by_class

    def concerned(self, name: str) -> Bools:
        """Which images (N,) a metric is of: of a class those of it, or that are predicted so."""
        kind, _, number = name.rpartition(".")
        _, support, guesses = self._sums
        if kind not in BY_CLASS:
            return np.ones(support.shape[1], dtype=bool)
        own = support[int(number)] > 0
        return own | (guesses[int(number)] > 0) if kind in ("precision", "f1") else own

    def _micro(self, times: Floats) -> Floats:
        """Average precision (b,) of all pairs, each as often as its image is taken."""
        if self._all is None:
            return np.full(times.shape[1], np.nan)
        block = max(1, _CELLS // max(1, len(times) * self.classes))
        starts = range(0, times.shape[1], block)
        parts = (times[:, start : start + block].repeat(self.classes, 0) for start in starts)
        return np.concatenate([self._all(part)[1] for part in parts])


def _f1(hits: Floats, support: Floats, guesses: Floats) -> Floats:
    return ratio(2 * hits, support + guesses)


def _mean(values: Floats) -> Floats:
    """Over classes (K, b), those left out where it is undefined; NaN where it is for all."""
    there = ~np.isnan(values)
    held = there.sum(0)
    return np.divide(
        np.where(there, values, 0.0).sum(0), held, out=np.full(held.shape, np.nan), where=held > 0
    )
