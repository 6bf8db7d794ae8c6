"""Two arms on the same images: as two models, over all trainings that both have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.comparison import (
    OUTCOMES,
    Answers,
    common_scores,
    compare_models,
    pair_images,
    right_without_looking,
)
from regard.evaluation.comparison_metrics import compare_metrics
from regard.evaluation.crossed import by_unit, crossed_test
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.paired import paired_bootstrap, paired_student
from regard.evaluation.ranges import SHARE, difference_range, range_of
from regard.evaluation.undefined import why_undefined
from regard.evaluation.units import Units, units_of

Floats = NDArray[np.float64]


def pair_trainings(before: Mapping[int, Answers], after: Mapping[int, Answers]) -> pl.DataFrame:
    """One row an image and seed: `seed`, then as `pair_images`.

    Args:
        before: what the trainings of an arm say, by seed.
        after: of the other arm, the same seeds.
    """
    parts = [
        pair_images(before[seed], after[seed]).select(
            pl.lit(seed).cast(pl.Int32).alias("seed"), pl.all()
        )
        for seed in sorted(before)
    ]
    return pl.concat(parts, how="diagonal")


def compare_trainings(
    before: Mapping[int, Answers], after: Mapping[int, Answers]
) -> dict[str, Any]:
    """As `compare_models`, of all trainings together; of one training each just that.

    Numbers are means over the trainings, counts are sums; every image counts with its mean over
    them, and intervals are over images or their groups. `accuracy` then has the p-value of the
    paired bootstrap and no `mcnemar`, and `trainings` has the difference `over_seeds` (paired
    t-test) and `over_both` (`crossed_test`): whether other trainings and other images would show it
    too.

    Args:
        before: what the trainings of an arm say, by seed.
        after: of the other arm, the same seeds.

    Raises:
        DataError: tables of other images.
    """
    seeds = sorted(before)
    first, second = ([side[seed] for seed in seeds] for side in (before, after))
    if len(seeds) == 1:
        return compare_models(first[0], second[0]) | {"trainings": None}
    pairs = pair_trainings(before, after)
    each = [compare_models(a, b, metrics=False) for a, b in zip(first, second, strict=True)]
    a, b = (_right(pairs, end, seeds) for end in ("before", "after"))
    units = units_of(pairs.filter(pl.col("seed") == seeds[0]).sort("index"))
    pieces, left = by_unit(b - a, units)
    how: dict[str, Any] = {"units": units, "level": CONFIDENCE}
    test = paired_bootstrap(a.mean(0), b.mean(0), within=difference_range(SHARE), **how)
    names = [
        name for name in common_scores(first[0], second[0]) if f"{name}_before" in pairs.columns
    ]
    return {
        "images": each[0]["images"],
        "accuracy": {
            "before": bootstrap_interval(a.mean(0), within=SHARE, **how).as_dict(),
            "after": bootstrap_interval(b.mean(0), within=SHARE, **how).as_dict(),
            "difference": test.difference.as_dict(),
            "mcnemar": None,
            "p_value": test.as_dict()["p_value"],
        },
        **compare_metrics(
            [own.predictions for own in first],
            [own.predictions for own in second],
            first[0].positive,
        ),
        "outcomes": {name: sum(own["outcomes"][name] for own in each) for name in OUTCOMES},
        "confusion": {
            end: np.sum([own["confusion"][end] for own in each], 0).tolist()
            for end in ("before", "after")
        },
        "scores": {name: _score(pairs, name, seeds, units) for name in names},
        "dead_maps": _dead(each),
        "unlooked": right_without_looking(pairs),
        "trainings": {
            "seeds": seeds,
            "over_seeds": paired_student(
                a.mean(1), b.mean(1), CONFIDENCE, within=difference_range(SHARE)
            ).as_dict(),
            "over_both": crossed_test(
                a.mean(1), b.mean(1), pieces, CONFIDENCE, units=left, within=difference_range(SHARE)
            ).as_dict(),
        },
    }


def _right(pairs: pl.DataFrame, end: str, seeds: Sequence[int]) -> Floats:
    """Whether each training is right on each image, (S, N)."""
    return _table(pairs, f"right_{end}", seeds)


def _table(pairs: pl.DataFrame, column: str, seeds: Sequence[int]) -> Floats:
    rows = [pairs.filter(pl.col("seed") == seed).sort("index")[column] for seed in seeds]
    return np.stack([own.cast(pl.Float64).fill_null(np.nan).to_numpy() for own in rows])


def _score(pairs: pl.DataFrame, name: str, seeds: Sequence[int], units: Units) -> dict[str, Any]:
    """Each image with its mean over the trainings where both sides have the score."""
    a, b = (_table(pairs, f"{name}_{end}", seeds) for end in ("before", "after"))
    there = ~(np.isnan(a) | np.isnan(b))
    number = there.sum(0)
    first, second = (
        np.divide(np.where(there, side, 0).sum(0), number, out=np.full(len(number), np.nan),
                  where=number > 0) for side in (a, b)
    )  # fmt: skip
    means = [None if np.isnan(side).all() else float(np.nanmean(side)) for side in (first, second)]
    within = difference_range(range_of(name))
    test = paired_bootstrap(first, second, units=units, level=CONFIDENCE, within=within)
    if not there.any():
        dead = [pairs[f"dead_{end}"].fill_null(value=True) for end in ("before", "after")]
        why = why_undefined(pairs["area"].cast(pl.Float64).fill_null(np.nan).to_numpy(), dead)
        test = replace(test, difference=replace(test.difference, reason=why))
    return dict(zip(("before", "after"), means, strict=True)) | test.as_dict()


def _dead(each: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    told = [own["dead_maps"] for own in each if own["dead_maps"]]
    if not told:
        return None
    return {end: float(np.mean([own[end] for own in told])) for end in ("before", "after")}
