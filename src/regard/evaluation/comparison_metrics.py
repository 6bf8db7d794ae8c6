"""Two models on the same images: every metric, every class and the calibration of both."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.errors import DataError
from regard.evaluation import table as tables
from regard.evaluation.counted import Resampled, resampled_predictions
from regard.evaluation.curves import reliability_diagram
from regard.evaluation.flips import mcnemar_exact
from regard.evaluation.paired import paired_bootstrap, percentile_test
from regard.evaluation.ranges import SHARE, difference_range, range_of
from regard.evaluation.units import shared_groups, units_of

# Beside accuracy, which has tests of its own.
METRICS = (
    "balanced_accuracy",
    "f1_macro",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
)
_IN_A_BIN = 20


def compare_metrics(
    before: Sequence[pl.DataFrame], after: Sequence[pl.DataFrame], positive: str | None = None
) -> dict[str, Any]:
    """How much metrics, classes and calibration differ, ready for JSON.

    Values are means over the trainings of a side; intervals are those of the percentiles of
    differences in the same 2,000 resamples of the images or their groups, p twice the smaller share
    of them beyond 0. Recall is a share of the class's images, and has the interval of
    `paired_bootstrap` and, of one training each, McNemar's p. They are not corrected for the number
    of metrics and classes.

    The keys:

    - `metrics`: of each of `METRICS` `before`, `after`, `difference` and `p_value`;
    - `per_class`: by class the same of `recall`, `precision` and `f1`, and `support`;
    - `reliability`: `before` and `after`, see `reliability_diagram`; of several trainings that of
      all their answers.

    Args:
        before: predictions tables, one a training.
        after: of the same images, one a training.
        positive: class to which `average_precision` belongs, of two; default the last.

    Raises:
        DataError: tables of other images.
    """
    shared = shared_groups([*before, *after])
    sides: dict[str, Sequence[pl.DataFrame]] = {
        "before": shared[: len(before)],
        "after": shared[len(before) :],
    }
    found = {
        end: [resampled_predictions(table, positive) for table in own] for end, own in sides.items()
    }
    _refuse_others([*found["before"], *found["after"]])
    names = tables.classes(before[0])
    labels = before[0]["label"]
    return {
        "metrics": {name: _difference(found, name) for name in METRICS},
        "per_class": {
            label: _recall(sides, label)
            | {name: _difference(found, f"{name}:{label}") for name in ("precision", "f1")}
            | {"support": int((labels == label).sum())}
            for label in names
        },
        "reliability": {end: _reliability(own) for end, own in sides.items()},
    }


def _refuse_others(sides: Sequence[Resampled]) -> None:
    if not all(side.like(sides[0]) for side in sides):
        raise DataError(
            "comparison of metrics",
            expected="predictions tables of the same images",
            found="rows of other images in one of them",
            remedy="evaluate all models on the same split of the same manifest",
        )


def _difference(sides: dict[str, list[Resampled]], name: str) -> dict[str, Any]:
    ends = {end: float(np.mean([own.whole[name] for own in side])) for end, side in sides.items()}
    first, second = (np.mean([own.resamples[name] for own in side], 0) for side in sides.values())
    told = [own.concerned(name) for side in sides.values() for own in side]
    units = sides["before"][0].units.where(np.logical_or.reduce(told))
    value, within = ends["after"] - ends["before"], difference_range(range_of(name))
    test = percentile_test(value, second - first, units, within=within)
    values = {end: None if np.isnan(value) else value for end, value in ends.items()}
    return values | test.as_dict()


def _recall(sides: dict[str, Sequence[pl.DataFrame]], label: str) -> dict[str, Any]:
    """A share of the class's images, as accuracy is of all: a few flips need no resamples."""
    ends = {
        end: np.mean([_right(table, label) for table in side], 0) for end, side in sides.items()
    }
    values = {end: float(right.mean()) if right.size else None for end, right in ends.items()}
    units = units_of(_of_class(sides["before"][0], label))
    found = (
        values
        | paired_bootstrap(*ends.values(), units=units, within=difference_range(SHARE)).as_dict()
    )
    if ends["before"].size and all(len(side) == 1 for side in sides.values()):
        found["p_value"] = mcnemar_exact(ends["before"], ends["after"], units).p_value
    return {"recall": found}


def _right(table: pl.DataFrame, label: str) -> NDArray[np.float64]:
    """Whether each image of a class is right, in the order of the manifest."""
    return _of_class(table, label)["correct"].to_numpy().astype(np.float64)


def _of_class(table: pl.DataFrame, label: str) -> pl.DataFrame:
    return table.filter(pl.col("label") == label).sort("index")


def _reliability(side: Sequence[pl.DataFrame]) -> dict[str, Any]:
    """Neighbouring bins of few answers are joined: a dot of few lies anywhere."""
    together = pl.concat(side)
    return reliability_diagram(together, least=max(1, min(_IN_A_BIN, len(together) // 4)))
