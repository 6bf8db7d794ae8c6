"""Differences that have to hold over trainings and over images, or over folds."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from regard.errors import DataError
from regard.evaluation.intervals import (
    CONFIDENCE,
    ONE_GROUP,
    Interval,
    bounded,
    check_options,
    missing,
    settled,
)
from regard.evaluation.paired import PairedTest, differences, paired_student
from regard.evaluation.ranges import ANY, Range
from regard.evaluation.units import Units

Floats = NDArray[np.float64]


def crossed_test(
    a_by_seed: ArrayLike,
    b_by_seed: ArrayLike,
    pieces: ArrayLike | None,
    level: float = CONFIDENCE,
    *,
    units: Units | None = None,
    within: Range = ANY,
) -> PairedTest:
    """Mean difference b - a over trainings that has to hold with other trainings and other images.

    With many seeds a test over seeds shows any difference that the arms have on these very images,
    also one that other images would not show; a test over images shows one that these very nets
    have. Neither is a difference of the arms. Let D_si be the difference of seed s on image i, S
    seeds, N images, d the mean, V_s the variance of the seeds' means over S, V_i that of the
    images' means over N, V_e the residual mean square over S N. Then

        T = d / sqrt(V),  V = V_s + max(0, V_i - V_e),  df = (S - 1) (V / V_s)^2

    is the test of several readers on several cases, with trainings for readers (Dorfman, Berbaum &
    Metz 1992, Invest. Radiol. 27:723; Obuchowski & Rockette 1995, Commun. Stat. Simul. 24:285; the
    degrees of freedom of Hillis 2007, Stat. Med. 26:596). With two or three seeds V_s is small by
    chance too often and T alone claims 8 to 14 % where nothing is; so p is the larger of its p and
    that of the paired t-test over seeds, and the interval the wider one. To ask that the tests
    over seeds and over images both show it is no remedy (Clark 1973, J. Verbal Learn. Verbal Behav.
    12:335): neither variance has the other in it.

    Where images are of groups these are the cases, and may be as few as readers: then
    df = V^2 / (V_s^2 / (S - 1) + (V - V_s)^2 / f) (Satterthwaite 1946, Biom. Bull. 2:110), f the
    `Units.freedom` of the groups. Of one group nothing is tested: other groups are not known.

    Args:
        a_by_seed: (S,) a metric by the first arm, a number a seed.
        b_by_seed: (S,) by the second, the same seeds in the same order.
        pieces: (S, N) difference b - a of each seed on each image; of a metric that is no mean of
            images, pseudo-values of the jackknife (`pseudo_values`). An image that is undefined
            (NaN) for any seed is left out. None: images are not told apart; then it is the paired
            t-test over seeds. Of images in groups those of each group, see `by_unit`.
        level: in (0, 1).
        units: of the images that pieces are of, see `by_unit`; None: each is its own.
        within: the difference's range; bounds beyond it are cut to it.

    Raises:
        DataError: the lengths differ.

    Example:
        >>> same_on_all_images = [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]
        >>> found = crossed_test([0, 0, 0], [0.1, 0.2, 0.3], same_on_all_images)
        >>> round(found.p_value, 3)
        0.074
    """
    check_options(level)
    seeds = paired_student(a_by_seed, b_by_seed, level, within=within)
    delta = differences(a_by_seed, b_by_seed)
    kept = ~np.isnan(delta)
    if pieces is None or kept.sum() < 2 or math.isnan(seeds.p_value):
        return seeds
    if units is not None and units.grouped and units.count < 2:
        own = seeds.difference
        none = missing(level, own.n, "crossed", ONE_GROUP, value=own.value)
        return PairedTest(replace(none, undefined=own.undefined, groups=units.count), math.nan)
    table = _pieces(pieces, len(delta))[kept]
    own = float(delta[kept].var(ddof=1)) / int(kept.sum())
    extra = images_part(table)
    if own == 0 or extra == 0:
        return seeds
    total = own + extra
    freedom = (kept.sum() - 1) * (total / own) ** 2
    if units is not None and units.grouped:
        freedom = 1 / (1 / freedom + (extra / total) ** 2 / units.freedom)
    value = seeds.difference.value
    half = float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(total)
    p = float(2 * t.sf(abs(value) / math.sqrt(total), freedom))
    low, high = seeds.difference.low, seeds.difference.high
    low, high = min(low, value - half), max(high, value + half)
    interval = replace(seeds.difference, low=low, high=high, method="crossed")
    return PairedTest(bounded(interval, within), max(p, seeds.p_value))


def by_unit(pieces: Floats, units: Units) -> tuple[Floats, Units]:
    """What each group says of a mean over images, (S, G), from what each image says, (S, N).

    `pseudo_values` of the mean with a group left out: of groups of other sizes their variance is
    not too small, as that of the linearised mean is. Images with a NaN are left out.

    Returns:
        The pieces, and units of the images that they are of.
    """
    if not units.lumped:
        return pieces, units
    known = np.asarray(~np.isnan(pieces).any(axis=0))
    own, left = pieces[:, known], units.where(known)
    if not left.lumped or left.count < 2:
        return own, left
    total, n = own.sum(1, keepdims=True), own.shape[1]
    sums = np.stack([left.sums(row) for row in own])
    return pseudo_values(total / n, (total - sums) / (n - left.sizes)), left


def images_part(pieces: Floats) -> float:
    """Variance of the mean difference that is due to the images: max(0, V_i - V_e).

    Args:
        pieces: (S, N), see `crossed_test`; images with a NaN are left out.
    """
    known = pieces[:, ~np.isnan(pieces).any(axis=0)]
    s, n = known.shape
    if s < 2 or n < 2:
        return 0.0
    by_image = known.mean(0)
    rest = known - by_image - known.mean(1, keepdims=True) + known.mean()
    error = float((rest**2).sum()) / ((s - 1) * (n - 1))
    return max(0.0, float(by_image.var(ddof=1)) / n - error / (s * n))


def pseudo_values(whole: float | Floats, left_out: Floats) -> Floats:
    """Pseudo-values (..., G) of the jackknife: G whole - (G - 1) left_out.

    Their mean is the metric less its bias, and of a mean of images each is its group's own mean
    (Tukey; Efron & Tibshirani 1993, ch. 11).

    Args:
        whole: the metric of all images.
        left_out: (..., G) of all but a group.
    """
    g = left_out.shape[-1]
    return g * whole - (g - 1) * left_out


def corrected_folds(
    by_fold: ArrayLike,
    ratio: float,
    *,
    value: float | None = None,
    scale: float | None = None,
    level: float = CONFIDENCE,
    within: Range = ANY,
) -> PairedTest:
    """A difference of a cross-validation with the corrected t-test over its folds.

    The trainings of the folds share most of their images, so their differences are no independent
    draws, and no unbiased estimate of their mean's variance exists (Bengio & Grandvalet 2004, JMLR
    5:1089). Nadeau & Bengio (2003, Mach. Learn. 52:239, eq. 8) take the correlation of the folds
    for the share of test in a split:

        T = d / sqrt((1 / K + n_test / n_train) var_k(d_k)),  df = K - 1

    An approximation: where the trainings have less in common than that, it claims too rarely.

    Args:
        by_fold: (K,) difference b - a of each fold's test part; with several seeds of their mean.
            NaN are left out and counted.
        ratio: n_test / n_train; with a fold each for test and val 1 / (K - 2).
        value: d, of the pooled predictions of all folds; None: the mean of the differences.
        scale: the size of what the differences were computed from: where they differ by rounding
            alone (1e-12 of it) they are equal and have no p-value. None: of the largest of them.
        level: in (0, 1).
        within: the difference's range; bounds beyond it are cut to it.

    Raises:
        DataError: `ratio` is not positive.

    Example:
        >>> round(corrected_folds([0.02, 0.03, 0.04], 0.5).p_value, 3)
        0.081
    """
    check_options(level)
    if not ratio > 0:
        raise DataError(
            "folds",
            expected="a positive share n_test / n_train",
            found=repr(ratio),
            remedy="give the sizes of a fold's parts",
        )
    all_ = np.asarray(by_fold, dtype=np.float64).reshape(-1)
    x = all_[~np.isnan(all_)]
    x = settled(x, float(np.abs(x).max(initial=0)) if scale is None else scale)
    undefined, k = all_.size - x.size, x.size
    middle = value if value is not None else float(x.mean()) if k else math.nan
    if k < 2 or math.isnan(middle):
        why = "needs two folds or more"
        found = missing(level, k, "corrected-t", why, value=middle, undefined=undefined)
        return PairedTest(found, math.nan)
    error = math.sqrt((1 / k + ratio) * float(x.var(ddof=1)))
    if np.ptp(x) == 0:
        why = "all folds differ alike"
        interval = missing(level, k, "corrected-t", why, value=middle, undefined=undefined)
        return PairedTest(interval, 1.0 if x[0] == 0 else math.nan)
    half = float(t.ppf((1 + level) / 2, k - 1)) * error
    interval = Interval(middle, middle - half, middle + half, level, k, "corrected-t", undefined)
    p = float(2 * t.sf(abs(middle) / error, k - 1))
    return PairedTest(bounded(interval, within), max(p, float(np.finfo(np.float64).tiny)))


def _pieces(pieces: ArrayLike, seeds: int) -> Floats:
    table = np.asarray(pieces, dtype=np.float64)
    if table.ndim != 2 or len(table) != seeds:
        raise DataError(
            "paired comparison over seeds and images",
            expected=f"differences of {seeds} seeds, a row each",
            found=f"shape {table.shape}",
            remedy="give a row a seed and a column an image",
        )
    return table
