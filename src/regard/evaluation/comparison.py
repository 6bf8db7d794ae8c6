"""Two models on the same images: what became of each image, and by how much the numbers differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from regard.evaluation import table as tables
from regard.evaluation.comparison_metrics import compare_metrics
from regard.evaluation.confusion import confusion_matrix
from regard.evaluation.flips import compare_accuracy, same_images
from regard.evaluation.gaze import score_differences
from regard.evaluation.intervals import CONFIDENCE, proportion_interval
from regard.evaluation.units import told_groups, units_of

OUTCOMES = ("stays_right", "right_becomes_wrong", "wrong_becomes_right", "stays_wrong")
SCORES = ("energy", "energy_gain", "iou", "magtr", "mangtr")


@dataclass(frozen=True)
class Answers:
    """What one model says of the images of a split, and where it looks.

    Attributes:
        predictions: a predictions table, see `regard.evaluation.table` and `label_sets`.
        scores: one row an image, with sets of labels one an image and label: `index`, `area` of
            the region, whether the map is `dead`, and scores that are numbers of an image, NaN
            where undefined; None where nothing is scored.
        positive: the model's positive class of two; None: the last. Both are measured by that of
            the first.
    """

    predictions: pl.DataFrame
    scores: pl.DataFrame | None = None
    positive: str | None = None


def pair_images(before: Answers, after: Answers) -> pl.DataFrame:
    """One row an image: `index`, `image`, its `group` if told, `label`, then what the models say.

    With the endings `_before` and `_after`: `predicted`, its `probability`, `right`, and where both
    are scored `dead` and each score of both; and once `outcome`, one of `OUTCOMES`, and the
    region's `area`.

    Raises:
        DataError: the tables are of other images.
    """
    first, second = same_images(before.predictions, after.predictions)
    ends = zip((first, second), ("before", "after"), strict=True)
    parts = [first.select("index", "image", *told_groups(first), "label")]
    parts += [table.select(**_answer(end)) for table, end in ends]
    table = pl.concat(parts, how="horizontal").with_columns(outcome=outcome_of())
    if before.scores is None or after.scores is None:
        return table
    names = ["dead", *common_scores(before, after)]
    for scores, end in ((before.scores, "before"), (after.scores, "after")):
        own = scores.select("index", *(pl.col(name).alias(f"{name}_{end}") for name in names))
        table = table.join(own, on="index", how="left", maintain_order="left")
    area = before.scores.select("index", "area")
    return table.join(area, on="index", how="left", maintain_order="left")


def common_scores(before: Answers, after: Answers) -> list[str]:
    """The scores that both models have, in the order of `SCORES`."""
    known = [side.scores.columns if side.scores is not None else [] for side in (before, after)]
    return [name for name in SCORES if all(name in columns for columns in known)]


def compare_models(before: Answers, after: Answers, *, metrics: bool = True) -> dict[str, Any]:
    """How much a model differs from another one on the same images, ready for JSON.

    The keys:

    - `images`, `accuracy` (`before` and `after` with Wilson's interval, `difference` with that of
      Bonett and Price, `mcnemar`, exact, and its `p_value`) and `outcomes`, a count of each of
      `OUTCOMES`;
    - `metrics`, `per_class` and `reliability`, see `compare_metrics`;
    - `confusion`: `before` and `after`, K x K counts, a row a true class;
    - `scores`: by name the means `before` and `after` over the images where both are defined,
      and `difference` and `p_value` of `paired_scores`; empty where nothing is scored;
    - `dead_maps`: the share `before` and `after`, else None;
    - `unlooked`: see `right_without_looking`, else None.

    Args:
        before: of one model.
        after: of the other.
        metrics: whether to compare all metrics, classes and calibration too.

    Raises:
        DataError: the tables are of other images.
    """
    pairs = pair_images(before, after)
    found = compare_accuracy(before.predictions, after.predictions, CONFIDENCE)
    counts = pairs["outcome"].value_counts()
    outcomes = dict.fromkeys(OUTCOMES, 0) | dict(counts.rows())
    return {
        "images": len(pairs),
        "accuracy": {
            "before": accuracy_of(before.predictions),
            "after": accuracy_of(after.predictions),
            "difference": found["difference"],
            "mcnemar": found["mcnemar"],
            "p_value": found["mcnemar"]["p_value"],
        },
        **(
            compare_metrics([before.predictions], [after.predictions], before.positive)
            if metrics
            else {}
        ),
        "outcomes": outcomes,
        "confusion": {
            "before": confusion_matrix(*_classes(before.predictions)).tolist(),
            "after": confusion_matrix(*_classes(after.predictions)).tolist(),
        },
        "scores": _scores(before, after),
        "dead_maps": _dead(pairs),
        "unlooked": right_without_looking(pairs),
    }


def right_without_looking(pairs: pl.DataFrame) -> dict[str, Any] | None:
    """How many of the images that stay right have a MAGTR after below the median before.

    Without a change of the gaze that is about half of them.

    Args:
        pairs: of `pair_images`.

    Returns:
        `median_before`, `images` that stay right and have a MAGTR after, how many of them lie
        `below`, and of how many of these the energy fell too (`elsewhere`; None without energy): a
        map that lies more narrowly in the region is faint in most of it. None where no image that
        stays right has a MAGTR before.
    """
    if "magtr_before" not in pairs.columns:
        return None
    rows = pairs.filter(pl.col("outcome") == OUTCOMES[0])
    before, after = (_defined(rows[f"magtr_{end}"]) for end in ("before", "after"))
    if not before.size:
        return None
    median = float(np.median(before))
    below = rows.filter((pl.col("magtr_after") < median).fill_null(False))
    energy = [pl.col(f"energy_{end}") for end in ("before", "after")]
    # To Polars NaN is the largest number.
    fell = energy[0].is_finite() & (energy[1] < energy[0])
    known = "energy_before" in pairs.columns
    return {
        "median_before": median,
        "images": after.size,
        "below": len(below),
        "elsewhere": len(below.filter(fell)) if known else None,
    }


def _answer(end: str) -> dict[str, pl.Expr]:
    return {
        f"predicted_{end}": pl.col("predicted"),
        f"probability_{end}": pl.max_horizontal(pl.col(f"^{tables.PREFIX}.*$")),
        f"right_{end}": pl.col("correct"),
    }


def outcome_of() -> pl.Expr:
    """One of `OUTCOMES`, from the columns `right_before` and `right_after`."""
    before, after = pl.col("right_before"), pl.col("right_after")
    stays, lost, won, wrong = (pl.lit(name) for name in OUTCOMES)
    right = pl.when(after).then(stays).otherwise(lost)
    return pl.when(before).then(right).otherwise(pl.when(after).then(won).otherwise(wrong))


def _classes(table: pl.DataFrame) -> Sequence[Any]:
    return tables.labels(table), tables.predicted(table), len(tables.classes(table))


def accuracy_of(table: pl.DataFrame) -> dict[str, Any]:
    """The share of right answers in a predictions table, with its interval."""
    right = table["correct"].to_numpy()
    return proportion_interval(right, units_of(table), CONFIDENCE).as_dict()


def _scores(before: Answers, after: Answers) -> dict[str, Any]:
    if before.scores is None or after.scores is None:
        return {}
    return score_differences(before.scores, after.scores, common_scores(before, after))


def _dead(pairs: pl.DataFrame) -> dict[str, float] | None:
    if "dead_before" not in pairs.columns:
        return None
    return {end: float(pairs[f"dead_{end}"].to_numpy().mean()) for end in ("before", "after")}


def _defined(values: pl.Series) -> np.ndarray:
    found = values.to_numpy()
    return found[~np.isnan(found)]
