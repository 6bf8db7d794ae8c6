"""From trainings of arms to what is claimed of them: no files, so that it can be simulated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.evaluation.crossed import by_unit, corrected_folds, crossed_test
from regard.evaluation.flips import (
    mcnemar_exact,
)
from regard.evaluation.names import split_and_metric
from regard.evaluation.paired import (
    PairedTest,
    holm,
    paired_bootstrap,
    paired_student,
    percentile_test,
)
from regard.evaluation.ranges import ANY, Range, difference_range, range_of
from regard.evaluation.units import Units
from regard.studies.trained import (
    Means,
    OfSet,
    Trained,
    image_differences,
    index_of,
    paired_images,
    paired_means,
    set_differences,
    shared_values,
)

SIGNIFICANCE = 0.05
RESAMPLES = 2000
Trainings = Callable[[str, str], Sequence[Trained]]
"""The trainings of an arm, on a metric `SPLIT.METRIC`."""


@dataclass(frozen=True)
class Folds:
    """Which image is test in which fold, the same for all arms.

    Attributes:
        index: (N,) row of each image in the manifest.
        fold: (N,) its fold.
        number: of folds, K.
        val: share of the folds that are not test that is val; None: one fold is.
    """

    index: NDArray[np.int64]
    fold: NDArray[np.int64]
    number: int
    val: float | None = None

    @property
    def ratio(self) -> float:
        """n_test / n_train: a fold is test, val takes one more or its share of the others."""
        others = self.number - 1
        return 1 / (others - 1 if self.val is None else others * (1 - self.val))

    def of(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The fold (M,) of each of these images."""
        order = np.argsort(self.index)
        return self.fold[order][np.searchsorted(self.index[order], index)]


def comparisons(
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[str],
    trainings: Trainings,
    folds: Folds | None = None,
    *,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """Every comparison on every metric, with what may be claimed of it.

    A family of tests is the comparisons of one metric on one split: their p-values are corrected
    together (Holm). A study of several metrics has a family each, and nothing corrects for their
    number.

    Args:
        pairs: (arm, against).
        metrics: `SPLIT.METRIC`.
        trainings: of an arm on a metric; those of the same seed are pairs.
        folds: of a cross-validation, whose trainings are pooled over the folds by seed.
        resamples: bootstrap resamples of the intervals over images.

    Returns:
        A row a comparison and metric: `arm`, `against`, `metric`; `seeds`, `images` and `both` or
        `folds`, differences with intervals and p-values, None where there is none; `basis` of the
        claim; `p_holm` and `verdict`.
    """
    found = []
    for metric in metrics:
        rows = [
            {"arm": arm, "against": against, "metric": metric}
            | difference(trainings(against, metric), trainings(arm, metric), folds,
                         resamples=resamples, shares=metric.endswith(".accuracy"),
                         within=difference_range(range_of(split_and_metric(metric)[1])))
            for arm, against in pairs
        ]  # fmt: skip
        found += judged(rows)
    return found


def difference(
    first: Sequence[Trained],
    second: Sequence[Trained],
    folds: Folds | None = None,
    *,
    resamples: int = RESAMPLES,
    shares: bool = False,
    within: Range = ANY,
) -> dict[str, Any]:
    """How much the second arm is above the first: over seeds, over images, over both or over folds.

    Of means over images those count for which both trainings of a seed are defined.

    Args:
        first: trainings of the arm that is compared with.
        second: of the other.
        folds: of a cross-validation.
        resamples: bootstrap resamples.
        shares: whether images are right or wrong, for McNemar's test of one training each.
        within: the difference's range, at which intervals end.
    """
    a, b = _matched(first, second)
    if not a:
        return dict.fromkeys(("seeds", "images", "both", "folds", "basis"))
    pairs = [shared_values(one, other) for one, other in zip(a, b, strict=True)]
    values = [one for one, _ in pairs], [other for _, other in pairs]
    images = _over_images(a, b, resamples, within)
    told = None if images is None else images.as_dict()
    if told is not None and shares and len(a) == 1 and isinstance(a[0].images, Means):
        told["mcnemar"] = _mcnemar(a[0], b[0])
    found = {"seeds": paired_student(*values, within=within).as_dict(), "images": told}
    if folds is not None:
        test = _over_folds(a, b, folds, within)
        return found | {
            "both": None,
            "folds": None if test is None else test.as_dict(),
            "basis": None if test is None else "folds",
        }
    pieces, units = _aligned(a, b)
    both = crossed_test(*values, pieces, units=units, within=within)
    basis = "seeds" if pieces is None else "seeds and images"
    tested = len(a) > 1
    return found | {"both": both.as_dict() if tested else None, "folds": None,
                    "basis": basis if tested else None}  # fmt: skip


def judged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a family with `p_holm` and `verdict`."""
    tests = [row["folds"] or row["both"] for row in rows]
    raw = [None if test is None else test["p_value"] for test in tests]
    adjusted = iter(holm([p for p in raw if p is not None]).tolist())
    done = [row | {"p_holm": None if p is None else next(adjusted)}
            for row, p in zip(rows, raw, strict=True)]  # fmt: skip
    return [row | {"verdict": verdict(row)} for row in done]


def verdict(row: dict[str, Any]) -> str:
    """`higher`, `lower`, or `no difference shown`: corrected, at 5 %.

    `not tested` where fewer than two seeds were finished by both arms and there are no folds: two
    nets are then told apart, not the arms. Differences that are all the same have no p-value, and
    nothing is shown of them either.
    """
    p, test = row["p_holm"], row["folds"] or row["both"]
    if test is None or test["difference"]["n"] < 2:
        return "not tested"
    if p is None or p >= SIGNIFICANCE:
        return "no difference shown"
    return "higher" if test["difference"]["value"] > 0 else "lower"


def _matched(
    first: Sequence[Trained], second: Sequence[Trained]
) -> tuple[list[Trained], list[Trained]]:
    """The trainings of the seeds that both have, by seed."""
    one, other = ({training.seed: training for training in side} for side in (first, second))
    shared = sorted(one.keys() & other.keys())
    return [one[seed] for seed in shared], [other[seed] for seed in shared]


def _over_images(
    a: Sequence[Trained], b: Sequence[Trained], resamples: int, within: Range
) -> PairedTest | None:
    """Over images, each with its mean over the seeds, or over their groups."""
    kinds = {type(side.images) for side in (*a, *b)}
    if kinds == {Means}:
        sides = _means(a), _means(b)
        first, second, units = paired_images(*sides)
        how = {"units": units, "resamples": resamples}
        return paired_bootstrap(first, second, within=within, **how)
    if kinds != {OfSet}:
        return None
    found = set_differences(a, b)
    if found is None:
        return None
    return percentile_test(*found, within=within)


def _means(side: Sequence[Trained]) -> list[Means]:
    return [training.images for training in side if isinstance(training.images, Means)]


def _mcnemar(a: Trained, b: Trained) -> dict[str, Any]:
    first, second, units = paired_images(_means([a]), _means([b]))
    return mcnemar_exact(first == 1, second == 1, units).as_dict()


def _aligned(
    a: Sequence[Trained], b: Sequence[Trained]
) -> tuple[NDArray[np.float64] | None, Units | None]:
    """Differences (S, N) of each seed on each image or group, and units; None where not known."""
    rows = [image_differences(one, other) for one, other in zip(a, b, strict=True)]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows) or len({len(row) for row, _ in known}) != 1:
        return None, None
    index = [index_of(side) for side in (*a, *b)]
    if not all(np.array_equal(index[0], own) for own in index if own is not None):  # type: ignore[arg-type]
        return None, None
    pieces, units = np.stack([row for row, _ in known]), known[0][1]
    # Pseudo-values are of groups already.
    each = isinstance(a[0].images, Means)
    return by_unit(pieces, units) if each else (pieces, units)


def _over_folds(
    a: Sequence[Trained], b: Sequence[Trained], folds: Folds, within: Range
) -> PairedTest | None:
    """The difference of the pooled predictions, its error from the spread of the folds."""
    rows = [_by_fold(one, other, folds) for one, other in zip(a, b, strict=True)]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return None
    pairs = [shared_values(one, other) for one, other in zip(a, b, strict=True)]
    value = float(np.mean([other - one for one, other in pairs]))
    scale = max(abs(side) for pair in pairs for side in pair)
    by_fold = np.mean(known, axis=0)
    return corrected_folds(by_fold, folds.ratio, value=value, scale=scale, within=within)


def _by_fold(a: Trained, b: Trained, folds: Folds) -> NDArray[np.float64] | None:
    """The difference b - a on each fold's test part, (K,)."""
    index = index_of(a)
    other = index_of(b)
    if index is None or other is None:
        return None
    if isinstance(a.images, Means) and isinstance(b.images, Means):
        first, second = paired_means([a.images], [b.images])
        delta, shared = second - first, np.intersect1d(index, other)
        if len(delta) != len(shared):
            return None
        fold = folds.of(shared)
        parts = [delta[(fold == k) & ~np.isnan(delta)] for k in range(folds.number)]
        return np.array([part.mean() if len(part) else np.nan for part in parts])
    if not isinstance(a.images, OfSet) or not isinstance(b.images, OfSet):
        return None
    if not a.images.resampled.like(b.images.resampled):
        return None
    fold, name = folds.of(index), a.images.name
    sides = (a.images.resampled, b.images.resampled)
    first, second = (
        np.array([side.of(fold == k, name) for k in range(folds.number)]) for side in sides
    )
    return second - first
