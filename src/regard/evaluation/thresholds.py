"""A decision threshold for two classes: chosen on one split, held against another.

An image is called positive where the positive class's probability is at least the threshold. That
of 0.5, which the most probable class comes to, suits two classes that are as frequent and mistakes
that cost the same; where a class is rare, or missing it is worse, another one does.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn import metrics as sk

from regard.errors import ConfigError, DataError, near
from regard.evaluation import table as tables
from regard.evaluation.confusion import class_intervals, mean_proportion
from regard.evaluation.intervals import CONFIDENCE, Interval, proportion_interval
from regard.evaluation.units import units_of
from regard.language import Phrases, numeral, phrase

Choosing = Literal["recall", "f1", "youden"]
ENDING = "_at_threshold"
MEASURED = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1")
# As metrics are called that hold at the chosen threshold.
AT_THRESHOLD = tuple(name + ENDING for name in MEASURED)
# How far below the least probability that is called positive a threshold lies, at the most.
ROOM = 1e-4


@dataclass(frozen=True)
class Choice:
    """How a threshold is chosen.

    Attributes:
        by: `recall`: the highest threshold with a recall of the positive class of `target` or more;
            `f1`: that of the highest F1; `youden`: of the highest recall + specificity - 1 (Youden,
            Index for rating diagnostic tests, Cancer 1950). Of several as good the highest.
        target: recall, above 0 and at most 1; None for the others.
        positive: the class.
    """

    by: Choosing
    target: float | None
    positive: str

    def __post_init__(self) -> None:
        if self.by not in get_args(Choosing):
            raise ConfigError(
                "threshold",
                expected=", ".join(get_args(Choosing)),
                found=repr(self.by),
                remedy="choose one of them",
            )
        if (self.by == "recall") != (self.target is not None) or not 0 < (self.target or 1) <= 1:
            raise ConfigError(
                "target recall",
                expected="a number above 0 and at most 1, for a threshold that is chosen by it",
                found=f"{self.target} for {self.by}",
                remedy="0.9, say",
            )

    @property
    def words(self) -> str:
        """`a recall of 90 %`, `the highest F1` ..."""
        if self.target is not None:
            return phrase("a recall of {share} %", share=numeral(f"{100 * self.target:g}"))
        return phrase(_HIGHEST[self.by])

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


_HIGHEST: Phrases = {"f1": "the highest F1", "youden": "the highest Youden index"}


def positive_class(names: list[str], positive: str | None) -> str:
    """The positive one of two classes; None: the last.

    Raises:
        ConfigError: other than two classes, or no such class.
    """
    if len(names) != 2:
        raise ConfigError(
            "evaluate.threshold (--target-recall, --threshold, --positive)",
            expected="two classes, of which one is the positive one",
            found=f"{len(names)}",
            remedy="leave it out; metrics/SPLIT.json has every class against the rest",
        )
    if positive is not None and positive not in names:
        raise ConfigError(
            "evaluate.positive (--positive)",
            expected=f"{names[0]} or {names[1]}",
            found=repr(positive),
            remedy=near(positive, names),
        )
    return positive or names[1]


def choose(table: pl.DataFrame, how: Choice) -> float:
    """The threshold of a predictions table.

    It lies a little below the least probability that is to be called positive, by one in ten
    thousand or by half of what it is to the next lower one of the table, so that a probability
    that is computed again, in float32 or in another order, is called as it was.

    Raises:
        DataError: no image of the positive class, or none of the other.
    """
    truth, scores = _of(table, how.positive)
    if truth.all() or not truth.any():
        raise DataError(
            "the split that the threshold is chosen on",
            expected="images of both classes",
            found=f"{int(truth.sum())} of {how.positive!r} among {len(truth)}",
            remedy="split anew, or add samples",
        )
    if how.target is not None:
        # The least number of hits with that recall, safe from rounding: 0.7 x 10 is 7, not 8.
        hits = max(1, int(np.ceil(how.target * truth.sum() - 1e-9)))
        return _below(float(np.sort(scores[truth])[-hits]), scores)
    if how.by == "f1":
        precision, recall, at = sk.precision_recall_curve(truth, scores)
        both = precision[:-1] + recall[:-1]
        worth = np.divide(2 * precision[:-1] * recall[:-1], both, out=np.zeros_like(both),
                          where=both > 0)  # fmt: skip
    else:
        false, true, at = sk.roc_curve(truth, scores, drop_intermediate=False)
        # The first is above all probabilities: nothing is positive there.
        worth, at = (true - false)[1:], at[1:]
    return _below(float(at[np.isclose(worth, worth.max(), rtol=0, atol=1e-12)].max()), scores)


def _below(chosen: float, scores: NDArray[np.float64]) -> float:
    """Less than the chosen probability, and more than the next lower one."""
    lower = scores[scores < chosen]
    gap = chosen - (float(lower.max()) if lower.size else 0.0)
    return chosen - min(gap / 2, ROOM)


def at_threshold(table: pl.DataFrame, positive: str, threshold: float) -> dict[str, Interval]:
    """What a threshold makes of a predictions table, with intervals over images.

    `accuracy`, `balanced_accuracy`, and of the positive class `precision`, `recall`, `specificity`
    (the recall of the other class) and `f1`: intervals as those of `evaluate`. They take the
    threshold for given, as does whoever uses it.

    Args:
        table: a valid predictions table of two classes.
        positive: the class.
        threshold: of its probability.
    """
    truth, scores = _of(table, positive)
    called, units = scores >= threshold, units_of(table)
    right = truth == called
    found = {
        "accuracy": proportion_interval(right, units, CONFIDENCE),
        "balanced_accuracy": mean_proportion(right, truth.astype(np.int64), units, CONFIDENCE),
        "specificity": class_intervals(~truth, ~called, units, CONFIDENCE)["recall"],
        **class_intervals(truth, called, units, CONFIDENCE),
    }
    return {name: found[name] for name in MEASURED}


def _of(table: pl.DataFrame, positive: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each image is of the class, and the class's probability."""
    return (table["label"] == positive).to_numpy(), table[tables.PREFIX + positive].to_numpy()
