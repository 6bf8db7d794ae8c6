"""Confidence intervals: of proportions of images (Wilson), and over seeds (Student t)."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, norm, t

from regard.errors import ConfigError
from regard.evaluation.design_effect import design_effect
from regard.evaluation.ranges import ANY, Range
from regard.evaluation.units import Units

# The level of the intervals that are told.
CONFIDENCE = 0.95

TINY = 1e-100  # of which the square is too small for a float64 to be exact
_HUGE = 1e100  # of which the square is too large for one
ROUNDING = 1e-12  # of the size of numbers: what their differences may owe to float64
BOUNDLESS = "a value is infinite, or too large to be squared"
ONE_GROUP = "needs two groups or more"


@dataclass(frozen=True)
class Interval:
    """A number with its confidence interval; NaN bounds, with a reason, when there is none.

    Attributes:
        value: the estimate.
        low: lower bound.
        high: upper bound.
        level: confidence level, in (0, 1).
        n: images (or seeds) that the estimate rests on.
        method: how the bounds were found.
        undefined: images (or seeds) left out because their value is NaN.
        undefined_resamples: bootstrap resamples left out because the statistic is NaN there.
        reason: why the value or the bounds are missing or too narrow, else None.
        groups: how many groups (patients, plants) the images are of, where these were taken for
            what was drawn at random; None where each image was.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    method: str
    undefined: int = 0
    undefined_resamples: int = 0
    reason: str | None = None
    groups: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Fields as JSON takes them: NaN and infinities become None."""
        return {
            key: None if isinstance(x, float) and not math.isfinite(x) else x
            for key, x in asdict(self).items()
        }


# Of bounds that are equal as no resample differs.
NO_WIDTH = "the same in every resample: too narrow"


def missing(
    level: float, n: int, method: str, reason: str, *, value: float = math.nan, undefined: int = 0
) -> Interval:
    """An interval without bounds, and why."""
    return Interval(value, math.nan, math.nan, level, n, method, undefined, reason=reason)


def bounded(found: Interval, within: Range = ANY) -> Interval:
    """An interval that ends where its quantity does, and has no bounds where these are equal.

    Cut to the range it holds whatever it held before that may be true. Bounds that are equal say
    that nothing differs, in resamples or over seeds, and not that the number is known for certain.

    Args:
        found: with its `reason` if there is one; without it is `NO_WIDTH` where bounds are equal.
        within: the least and the largest value that there may be, see `ranges.range_of`.
    """
    low, high = max(found.low, within[0]), min(found.high, within[1])
    if low == high:
        return replace(found, low=math.nan, high=math.nan, reason=found.reason or NO_WIDTH)
    return replace(found, low=low, high=high)


def check_options(level: float, resamples: int = 1) -> None:
    """Check that 0 < level < 1 and that there is a resample or more.

    Raises:
        ConfigError: a level outside of (0, 1), or no resample.
    """
    if not 0 < level < 1:
        raise ConfigError(
            "confidence level",
            expected="a number between 0 and 1",
            found=repr(level),
            remedy="0.95 is usual",
        )
    if resamples < 1:
        raise ConfigError(
            "resamples", expected="1 or more", found=repr(resamples), remedy="2000 is usual"
        )


def settled(values: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """The numbers, or where they differ by rounding alone one number, which may be 0.

    19/20 less 18/20 is not 18/20 less 17/20 in float64, and a test would find the same difference
    three times sure.

    Args:
        values: (n,) without NaN.
        scale: the size of what they were computed from; 1e-12 of it counts as rounding.
    """
    most = ROUNDING * scale
    if not values.size or not math.isfinite(most) or np.ptp(values) > most:
        return values
    middle = float(values.mean())
    return np.full_like(values, 0.0 if abs(middle) <= most else middle)


def student_interval(
    values: ArrayLike, level: float = CONFIDENCE, *, within: Range = ANY
) -> Interval:
    """Mean over seeds with Student's interval: mean -+ t(n-1) s / sqrt(n).

    The interval for seeds: with 3 of them a percentile bootstrap covers about 75 %, as it
    knows neither the missing degrees of freedom nor values beyond those seen.

    Args:
        values: (n,) one number a seed. NaN are left out and counted. Of values that are all equal
            there is no interval: seeds that agree are no certainty.
        level: in (0, 1).
        within: the range of the values; bounds beyond it are cut to it.

    Example:
        >>> i = student_interval([0.80, 0.82, 0.84])
        >>> round(i.low, 3), round(i.high, 3)
        (0.77, 0.87)
    """
    check_options(level)
    x, undefined = _defined(values)
    if boundless(x):
        return missing(level, x.size, "student", BOUNDLESS, undefined=undefined)
    if x.size < 2:
        mean = float(x[0]) if x.size else math.nan
        reason = "needs two values or more"
        return missing(level, x.size, "student", reason, value=mean, undefined=undefined)
    mean = float(x.mean())
    width = float(np.ptp(x))
    # In units of their range: squares of differences of 1e-200 would be zero.
    unit = width if width < TINY else 1.0
    spread = float((x / unit).std(ddof=1)) * unit if width > 0 else 0.0
    half = float(t.ppf((1 + level) / 2, x.size - 1)) * spread / math.sqrt(x.size)
    reason = "all values are equal" if width == 0 else None
    low, high = mean - half, mean + half
    found = Interval(mean, low, high, level, x.size, "student", undefined, reason=reason)
    return bounded(found, within)


def wilson_interval(hits: float, n: float, level: float = CONFIDENCE) -> Interval:
    """A proportion with Wilson's score interval.

    Bounds (p + z^2/2n -+ z sqrt(p (1-p) / n + z^2/4n^2)) / (1 + z^2/n), p = hits / n
    (Wilson 1927, J. Am. Stat. Assoc. 22:209). Chosen over the bootstrap for proportions:
    over true values 0.5 to 0.98 at n = 100 it covers 93 to 98 %, where the percentile
    bootstrap falls to 83 % as the proportion nears one, and to nothing when there is no
    error among the images at all.

    Args:
        hits: in [0, n].
        n: trials, or the effective number of them; none gives NaN.
        level: in (0, 1).
    """
    check_options(level)
    if n == 0:
        return missing(level, 0, "wilson", "no images to count")
    p, z = hits / n, float(norm.ppf((1 + level) / 2))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    low, high = max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))
    return Interval(p, low, high, level, round(n), "wilson")


def proportion_interval(
    values: ArrayLike, units: Units | None = None, level: float = CONFIDENCE
) -> Interval:
    """The mean of values that are 0 or 1, with Wilson's interval.

    Of images in groups at the effective number of them (Korn & Graubard 1998, Surv. Methodol.
    24:193): n / `design_effect` (z / t)^2, t with `Units.freedom`.

    Args:
        values: (N,).
        units: of the images; None: each its own.
        level: in (0, 1).
    """
    x = np.asarray(values, dtype=np.float64)
    units = Units.alone(len(x)) if units is None else units
    value = float(x.mean()) if len(x) else math.nan
    return effective_interval(value, float(len(x)), units, level, values=x)


def effective_interval(
    value: float,
    effective: float,
    units: Units,
    level: float,
    *,
    values: NDArray[np.float64],
    expected: NDArray[np.float64] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Interval:
    """A mean of 0 and 1 with Wilson's interval, of images that are worth fewer.

    Args:
        value: the mean.
        effective: number of images that it is worth, were they independent.
        units: of the images.
        level: in (0, 1).
        values: and the rest (N,) as of `design_effect`.
        expected: see there.
        weights: see there.
    """
    check_options(level)
    n = len(values)
    if units.grouped and units.count == 1:
        found = missing(level, n, "wilson", ONE_GROUP, value=value)
        return replace(found, groups=units.count)
    if units.lumped:
        effect = design_effect(values, units, expected=expected, weights=weights)
        quantile = (1 + level) / 2
        few = float(norm.ppf(quantile) / t.ppf(quantile, units.freedom))
        effective *= few**2 / effect
    found = wilson_interval(value * effective, effective, level)
    return replace(found, value=value, n=n, groups=units.groups)


def upper_bound(hits: int, n: int, level: float = CONFIDENCE) -> float:
    """The one-sided upper confidence bound of a rate (Clopper & Pearson 1934).

    Of none found among n it is 1 - (1 - level)^(1/n), about 3 / n at 95%: the rule of three
    (Hanley & Lippman-Hand 1983, JAMA 249:1743).

    Args:
        hits: in [0, n].
        n: trials; none gives 1.
        level: in (0, 1).

    Example:
        >>> round(upper_bound(0, 200_000) * 200_000, 3)
        2.996
    """
    check_options(level)
    return 1.0 if hits >= n else float(beta.ppf(level, hits + 1, n - hits))


def boundless(x: NDArray[np.float64]) -> bool:
    """Whether a number is infinite, or too large to be squared."""
    return bool((np.abs(x) > _HUGE).any())


def _defined(values: ArrayLike) -> tuple[NDArray[np.float64], int]:
    x = np.asarray(values, dtype=np.float64).reshape(-1)
    kept = x[~np.isnan(x)]
    return kept, x.size - kept.size
