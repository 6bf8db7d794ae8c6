"""Paired comparisons: two models over the same images, or over the same seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from regard.errors import DataError
from regard.evaluation.bootstrap import (
    bootstrap_interval,
    left_out,
    mean_replicates,
    replicates_of,
    spread_of,
)
from regard.evaluation.design_effect import design_effect
from regard.evaluation.intervals import (
    CONFIDENCE,
    ONE_GROUP,
    Interval,
    bounded,
    check_options,
    missing,
    settled,
    student_interval,
)
from regard.evaluation.ranges import ANY, Range
from regard.evaluation.resampling import limits, p_of
from regard.evaluation.units import Units

LEAST = float(np.finfo(np.float64).tiny)  # a p-value is never 0, whatever a float64 can hold


@dataclass(frozen=True)
class PairedTest:
    """The mean difference b - a with its interval, and the two-sided p-value (NaN: none)."""

    difference: Interval
    p_value: float

    def as_dict(self) -> dict[str, Any]:
        """Fields as JSON takes them."""
        p = None if math.isnan(self.p_value) else self.p_value
        return {"difference": self.difference.as_dict(), "p_value": p}


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    units: Units | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = CONFIDENCE,
    within: Range = ANY,
) -> PairedTest:
    """Mean difference b - a of two scores of the same images, interval and p-value.

    The studentised bootstrap of the differences; the p-value inverts it (twice the smaller
    tail of t* beyond the observed t), so that it is under 1 - level where the interval
    leaves out 0; where the interval is that of BCa, its p-value inverts that. It is never below
    2^(1 - N), which is what N differences of one sign are worth (the sign test), so that of five
    or fewer it is above 0.05 whatever the interval is, nor below 2 / (resamples + 1).

    Answers that are yes or no (0 or 1 by both models) have the interval of Bonett and Price instead
    (2012, J. Educ. Behav. Stat. 37:479): a bootstrap of a few flips is too narrow, and of none has
    no width at all. Of images in groups it takes them for as many as they are worth
    (`design_effect`), and N of the sign test counts groups. Other scores that differ for no image
    have a p of 1 and no interval: how much others would differ is not known.

    Args:
        a: (N,) score of each image by the first model.
        b: (N,) by the second, in the same order. An image with NaN in either is left out,
            and counted.
        units: of the images; None: each its own.
        resamples: bootstrap resamples.
        seed: fixes the resamples.
        level: in (0, 1).
        within: the difference's range; bounds beyond it are cut to it.

    Raises:
        DataError: the lengths differ.

    Example:
        >>> paired_bootstrap([0, 1, 0, 1], [1, 1, 1, 1]).difference.value
        0.5
    """
    check_options(level, resamples)
    delta = differences(a, b)
    there = ~np.isnan(delta)
    x = delta[there]
    units = Units.alone(x.size) if units is None else units.where(there)
    undefined = delta.size - x.size
    if x.size and all(_yes_or_no(side, there) for side in (a, b)):
        return _bonett_price(x, units, undefined, level)
    options = {"resamples": resamples, "seed": seed, "level": level}
    interval = bootstrap_interval(x, units=units, within=within, method="studentised", **options)
    interval = replace(interval, undefined=undefined)
    if units.count < 2:
        return PairedTest(interval, math.nan)
    if interval.value == 0 and not spread_of(x, units).any():
        return PairedTest(interval, 1.0)
    p = _bootstrap_p(x, units, interval, resamples, seed)
    return PairedTest(interval, max(p, _sign_floor(units)))


def _yes_or_no(values: ArrayLike, there: NDArray[np.bool_]) -> bool:
    """Whether all values of the images that are there are 0 or 1."""
    return bool(np.isin(np.asarray(values, dtype=np.float64)[there], (0, 1)).all())


def _sign_floor(units: Units) -> float:
    """What units that all speak for one side are worth, by the sign test."""
    return 2.0 ** (1 - units.count)


def _bootstrap_p(
    x: NDArray[np.float64], units: Units, interval: Interval, resamples: int, seed: int
) -> float:
    if not spread_of(x, units).any():
        return min(1.0, 2 / (resamples + 1))
    if interval.method != "studentised":
        drawn = replicates_of(x, units, np.mean, resamples, seed)
        return p_of(interval.value, drawn, units, left_out(x, units, np.mean, seed))
    _, _, replicates, observed = mean_replicates(x, units, resamples, seed)
    tail = min((replicates >= observed).sum(), (replicates <= observed).sum())
    return min(1.0, 2 * (float(tail) + 1) / (resamples + 1))


def _bonett_price(x: NDArray[np.float64], units: Units, undefined: int, level: float) -> PairedTest:
    value, told = float(x.mean()), {"n": x.size, "method": "bonett-price"}
    if units.grouped and units.count < 2:
        found = missing(level, reason=ONE_GROUP, value=value, undefined=undefined, **told)
        return PairedTest(replace(found, groups=units.count), math.nan)
    worth = 1 / design_effect(x, units)
    won, lost, n = (worth * float(own) for own in ((x == 1).sum(), (x == -1).sum(), x.size))
    p, q = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    error = math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    spread = t(units.freedom) if units.lumped else norm
    half = float(spread.ppf((1 + level) / 2)) * error
    # Images that are worth few draw p - q far towards 0; the interval holds the value all the same.
    low, high = max(-1.0, min(value, p - q - half)), min(1.0, max(value, p - q + half))
    interval = Interval(value, low, high, level, x.size, "bonett-price", undefined)
    probability = max(float(2 * spread.sf(abs(p - q) / error)), LEAST)
    if units.grouped:
        interval = replace(interval, groups=units.count)
        probability = max(probability, _sign_floor(units))
    return PairedTest(interval, probability)


def percentile_test(
    value: float,
    replicates: ArrayLike,
    units: Units,
    level: float = CONFIDENCE,
    *,
    within: Range = ANY,
) -> PairedTest:
    """A difference of a set's number with the interval of its resamples' percentiles.

    p is twice the smaller share of the resampled differences beyond 0, and never below 2^(1 - n):
    exchanging the two answers to each of n images, or groups of them, gives so many differences
    and no more. The images have to be resampled together for both, so that what is hard for both
    makes no difference; groups whole, see `resampling.limits`.

    Args:
        value: the difference on all images.
        replicates: (B,) that of each resample; NaN are left out and counted.
        units: of the images that the number is of; of a class those that have to do with it.
        level: in (0, 1).
        within: the difference's range; bounds beyond it are cut to it.
    """
    check_options(level)
    drawn = np.asarray(replicates, dtype=np.float64)
    known, n = drawn[~np.isnan(drawn)], len(units)
    if units.count < 2 or math.isnan(value) or not known.size:
        why = ONE_GROUP if units.grouped else "needs two images or more"
        why = "it is defined in no resample of both" if units.count > 1 else why
        found = missing(level, n, "percentile", why, value=value)
        return PairedTest(replace(found, groups=units.groups), math.nan)
    low, high = limits(value, known, units, level)
    lost, method = drawn.size - known.size, "group-t" if units.few else "percentile"
    interval = Interval(value, low, high, level, n, method, 0, lost, groups=units.groups)
    interval = bounded(interval, within)
    return PairedTest(interval, max(p_of(value, known, units), _sign_floor(units)))


def paired_student(
    a_by_seed: ArrayLike,
    b_by_seed: ArrayLike,
    level: float = CONFIDENCE,
    *,
    within: Range = ANY,
) -> PairedTest:
    """Mean difference b - a over seeds, Student's interval and paired t-test.

    Args:
        a_by_seed: (n,) a number a seed, by the first arm.
        b_by_seed: (n,) by the second, the same seeds in the same order. A seed with NaN in
            either is left out, and counted.
        level: in (0, 1).
        within: the difference's range; bounds beyond it are cut to it.

    Fewer than two seeds give NaN bounds and p-value. Differences that are all equal, but for
    rounding, show no spread to measure them by: p is 1 when they are 0, else NaN.

    Raises:
        DataError: the lengths differ.

    Example:
        >>> round(paired_student([1.0, 2.0, 3.0], [1.1, 2.3, 3.2]).p_value, 3)
        0.074
    """
    delta = differences(a_by_seed, b_by_seed)
    interval = student_interval(delta, level, within=within)
    x = delta[~np.isnan(delta)]
    if x.size < 2:
        return PairedTest(interval, math.nan)
    if np.ptp(x) == 0:
        return PairedTest(interval, 1.0 if x[0] == 0 else math.nan)
    x = x / np.abs(x).max()  # squares of the smallest numbers would be zero
    observed = abs(x.mean()) / (x.std(ddof=1) / math.sqrt(x.size))
    return PairedTest(interval, max(float(2 * t.sf(observed, x.size - 1)), LEAST))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for their number by Holm's step-down procedure.

    In rising order, adjusted_i = max over j <= i of min(1, (m - j + 1) p_j) (Holm 1979,
    Scand. J. Stat. 6:65). Below the level, at most that part of families has a false claim.

    Args:
        p_values: (m,) in [0, 1]. NaN (no test) stays NaN and does not count in m.

    Raises:
        DataError: a number outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64).reshape(-1)
    if ((p < 0) | (p > 1)).any():
        raise DataError(
            "p-values", expected="numbers in [0, 1]", found=str(p), remedy="pass p-values"
        )
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.minimum(1, np.arange(order.size, 0, -1) * p[order])
    adjusted = np.full_like(p, np.nan)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Each b - a, (N,), NaN where either is; `settled` where they differ by rounding alone.

    Raises:
        DataError: the lengths differ.
    """
    x, y = pair_of(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    delta = y - x
    known = ~np.isnan(delta)
    scale = np.abs(np.concatenate([x[known], y[known]])).max(initial=0)
    delta[known] = settled(delta[known], float(scale))
    return delta


def pair_of(a: NDArray, b: NDArray) -> Sequence[NDArray]:
    """Both vectors.

    Raises:
        DataError: the lengths differ.
    """
    if a.shape != b.shape or a.ndim != 1:
        raise DataError(
            "paired comparison",
            expected="two vectors of one length",
            found=f"shapes {a.shape} and {b.shape}",
            remedy="give both models' values for the same images or seeds",
        )
    return a, b
