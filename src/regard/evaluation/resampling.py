"""Resampling images or groups of them: draws, jackknife, and the limits read from them."""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from regard.evaluation.units import Units

Floats = NDArray[np.float64]
Statistics = Callable[[Floats], Mapping[str, Floats]]
"""Counts of each image in b resamples, (N, b), to each statistic's values, (b,)."""

_CHUNK = 1 << 20  # elements of a block of draws: 8 MiB, whatever the number of images
_PARTS = 200


def draws(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw n units with replacement: blocks (b, n) of their numbers, `resamples` rows in all.

    The numbers depend on `seed`, `n` and `resamples` alone.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _CHUNK // max(n, 1))
    for start in range(0, resamples, block):
        yield rng.integers(n, size=(min(block, resamples - start), n))


def counts(units: Units, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image occurs in each resample of whole units: blocks (N, b)."""
    n = units.count
    for rows in draws(n, resamples, seed):
        b = len(rows)
        cells = rows * b + np.arange(b)[:, None]
        found = np.bincount(cells.ravel(), minlength=n * b).reshape(n, b).astype(np.float64)
        if not units.lumped:
            yield found
            continue
        block = max(1, _CHUNK // len(units))
        for start in range(0, b, block):
            yield found[units.of, start : start + block]


def jackknife_parts(n: int, seed: int) -> NDArray[np.int64]:
    """Part of each unit, (n,), for a jackknife that leaves out a part at a time.

    Up to 200 units each is its own part. Beyond, 200 random parts of almost equal size
    give the acceleration of BCa just as well: cubes and squares of sums over m units grow
    alike, so the size cancels (Efron & Tibshirani 1993, ch. 11 and 14).
    """
    order = np.random.default_rng(seed).permutation(n)
    return order % min(n, _PARTS)


def jackknife_counts(units: Units, seed: int) -> Iterator[Floats]:
    """Counts with one part of `jackknife_parts` left out: blocks (N, p)."""
    n = units.count
    part = jackknife_parts(n, seed)[units.of]
    block = max(1, _CHUNK // len(units))
    for start in range(0, min(n, _PARTS), block):
        left_out = np.arange(start, min(start + block, n, _PARTS))
        yield (part[:, None] != left_out).astype(np.float64)


def collect(statistics: Statistics, blocks: Iterator[Floats]) -> dict[str, Floats]:
    """Values of every statistic over all blocks of counts."""
    parts = [statistics(block) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile_limits(replicates: Floats, level: float) -> tuple[float, float]:
    """Quantiles (1 - level) / 2 and (1 + level) / 2 of the replicates; NaN are left out."""
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def acceleration(jackknife: Floats) -> float:
    """Acceleration of BCa: sum d^3 / (6 (sum d^2)^1.5), d = mean - value; 0 if all equal."""
    kept = jackknife[~np.isnan(jackknife)]
    if kept.size == 0:
        return 0.0
    d = kept.mean() - kept
    spread = float((d**2).sum()) ** 1.5
    return float((d**3).sum()) / (6 * spread) if spread > 0 else 0.0


def bca_limits(
    value: float, replicates: Floats, jackknife: Floats, level: float
) -> tuple[float, float]:
    """Limits of the bias-corrected and accelerated bootstrap.

    Quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of the replicates, z = Phi^-1 of
    (1 -+ level) / 2, z0 = Phi^-1 of the part of replicates below the value (half of those
    equal to it), a the `acceleration` (Efron 1987, J. Am. Stat. Assoc. 82:171).

    Args:
        value: the statistic on the images themselves.
        replicates: (B,) the statistic on resamples; NaN are left out.
        jackknife: (G,) the statistic with a part left out; NaN are left out.
        level: in (0, 1).
    """
    kept = replicates[~np.isnan(replicates)]
    below = ((kept < value).sum() + (kept <= value).sum()) / 2
    z0 = norm.ppf(np.clip(below, 0.5, kept.size - 0.5) / kept.size)  # finite at either end
    z = z0 + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    shrink = np.maximum(1 - acceleration(jackknife) * z, 1e-3)
    low, high = np.quantile(kept, norm.cdf(z0 + z / shrink))
    # Of few images most resamples may lie on one side; the limits hold the value all the same.
    return min(float(low), value), max(float(high), value)


def bca_p(value: float, replicates: Floats, jackknife: Floats) -> float:
    """Two-sided p-value of no effect: 1 - level of the narrowest `bca_limits` that hold 0.

    At least 2 / (B + 1), as of any test by B resamples.
    """
    outside, holds = 0.0, 1.0
    for _ in range(40):
        level = (outside + holds) / 2
        low, high = bca_limits(value, replicates, jackknife, level)
        outside, holds = (outside, level) if low <= 0 <= high else (level, holds)
    return 1.0 if outside == 0 else max(1 - holds, min(1.0, 2 / (replicates.size + 1)))


def limits(
    value: float, replicates: Floats, units: Units, level: float, jackknife: Floats | None = None
) -> tuple[float, float]:
    """Limits from resamples of images, or of groups at the level of `Units.wide`.

    BCa, or without a jackknife percentiles. Of few groups, of which there are few resamples, those
    of Student's t: value -+ t sd sqrt(G / (G - 1)), sd that of the replicates.

    Args:
        value: the statistic on the images themselves.
        replicates: (B,) on resamples of the units; NaN are left out.
        units: two or more.
        level: in (0, 1).
        jackknife: (P,) with a part left out; NaN are left out.
    """
    if units.few:
        half = units.reach(level) * _deviation(replicates)
        return value - half, value + half
    if jackknife is None:
        return percentile_limits(replicates, units.wide(level))
    return bca_limits(value, replicates, jackknife, units.wide(level))


def p_of(value: float, replicates: Floats, units: Units, jackknife: Floats | None = None) -> float:
    """Two-sided p-value of no effect that belongs to `limits`; of percentiles (tail + 1) / (B + 1).

    1 where no resample differs from a value of 0.
    """
    known = replicates[~np.isnan(replicates)]
    spread, least = _deviation(known), 2 / (known.size + 1)
    by_spread = units.reached(value / spread) if spread > 0 else float(value == 0)
    if units.few:
        return by_spread
    tail = min((known >= 0).sum(), (known <= 0).sum())
    p = min(1.0, least * (float(tail) + 1)) if jackknife is None else bca_p(value, known, jackknife)
    if units.grouped and p <= least:
        # Where all resamples of groups lie on one side `wide_p` tells of their number alone.
        return max(least, min(units.wide_p(p), by_spread))
    return units.wide_p(p)


def _deviation(replicates: Floats) -> float:
    """Standard deviation of those that are defined; none of those that are all equal."""
    known = replicates[~np.isnan(replicates)]
    return float(known.std()) if known.size and np.ptp(known) > 0 else 0.0


def studentised(value: float, error: float, shifts: Floats, errors: Floats) -> tuple[Floats, float]:
    """Studentised replicates t* = (mean* - mean) / error*, (B,), and t = mean / error.

    Where a resample has no spread, t* is infinite with the sign of its difference, and 0
    when there is none: such resamples then count as the extremes that they are.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(shifts == 0, 0.0, shifts / errors)
        return t, float(np.divide(value, error))


def studentised_limits(value: float, error: float, t: Floats, level: float) -> tuple[float, float]:
    """Limits of the bootstrap-t: value - t*_high error, value - t*_low error.

    Second-order correct for means (Hall 1988, Ann. Stat. 16:927). Order statistics, not
    interpolated: infinite replicates stay infinite, and 0 is left out exactly where the
    p-value 2 (tail + 1) / (B + 1) is below 1 - level.
    """
    rank = math.ceil(round((t.size + 1) * (1 - level) / 2, 9)) - 1
    ordered, k = np.sort(t), max(rank, 1)
    return float(value - ordered[-k] * error), float(value - ordered[k - 1] * error)
