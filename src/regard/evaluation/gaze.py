"""Gaze scores of a set of images: how a table keeps them, their intervals, and differences."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from regard.evaluation import resampling
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.intervals import CONFIDENCE, Interval, missing
from regard.evaluation.metrics import bca_intervals
from regard.evaluation.paired import PairedTest, paired_bootstrap, percentile_test
from regard.evaluation.ranges import SHARE, difference_range
from regard.evaluation.undefined import why_of_tables
from regard.evaluation.units import COLUMN, Units, shared_groups, told_groups, units_of
from regard.scores.base import SCORES, Score

Floats = NDArray[np.float64]
# Of each class of an image: how much of it is predicted so, or how surely it is.
_BY_CLASS = {"share", "probability"}
_OTHERS = {"index", "image", COLUMN, "label", "predicted", "correct", "method", "area", "dead"}
_OTHERS |= _BY_CLASS
# Lists, as arrays of two dimensions are only half supported: they cannot be turned around.
_COUNTS = pl.List(pl.List(pl.UInt32))
_RESAMPLES, _SEED = 2000, 0


def score_names(scores: pl.DataFrame) -> list[str]:
    """The scores in a table, `energy` first."""
    names = [name for name in scores.columns if name not in _OTHERS]
    return sorted(names, key=lambda name: name != "energy")


def by_class(scores: pl.DataFrame) -> bool:
    """Whether a table's rows are of an image and one of its classes.

    Those of a segmenter are, and those of images with sets of labels.
    """
    return bool(_BY_CLASS & set(scores.columns))


def by_image(scores: pl.DataFrame) -> pl.DataFrame:
    """One row an image and method: means over the classes of an image that has several.

    A table of a classifier is given back as it is. A score is averaged over the classes for which
    it is defined, `area` too; an image is `dead` where the maps of all its classes are. A pooled
    score, which is no number of one image, is left out.
    """
    if not by_class(scores):
        return scores
    names = [name for name in score_names(scores) if not is_pooled(name)]
    numbers = [pl.col(n).cast(pl.Float64).fill_nan(None).mean().fill_null(np.nan)
               for n in ("area", *names)]  # fmt: skip
    rows = scores.group_by("index", "method", maintain_order=True)
    fixed = pl.col("image", *told_groups(scores)).first()
    return rows.agg(fixed, pl.col("dead").all(), *numbers)


def is_pooled(name: str) -> bool:
    """Whether a score is a number of a set of images, made from counts of each."""
    return name in SCORES and SCORES[name].pooled is not None


def column(name: str, rows: NDArray) -> pl.Series:
    """Scores of images as a table keeps them.

    Numbers (N,) as they are, NaN where undefined; counts (N, R, T) of a pooled score as lists of R
    lists of whole numbers, null where undefined.
    """
    if rows.ndim == 1:
        return pl.Series(name, rows.astype(np.float64))
    defined = pl.Series(_defined(rows))
    counts = pl.Series(name, np.nan_to_num(rows).astype(np.uint32)).cast(_COUNTS)
    return pl.select(pl.when(defined).then(counts).alias(name)).to_series()


def kept(scores: pl.DataFrame, name: str) -> Floats:
    """What a table keeps of a score, as `column` took it: (N,) or (N, R, T), NaN undefined."""
    values = scores[name]
    if not isinstance(values.dtype, pl.List):
        return values.cast(pl.Float64).to_numpy()
    defined = values.is_not_null().to_numpy()
    counts = values.drop_nulls()
    shape = np.shape(counts[0].to_list()) if len(counts) else (1, 1)
    rows = np.full((len(values), *shape), np.nan)
    rows[defined] = counts.explode().explode().to_numpy().reshape(-1, *shape)
    return rows


def each_image(scores: pl.DataFrame, name: str) -> Floats:
    """The score (N,) of each image, of a pooled score by itself; NaN where it is undefined."""
    rows = kept(scores, name)
    if rows.ndim == 1:
        return rows
    defined, found = _defined(rows), np.full(len(rows), np.nan)
    if defined.any():
        found[defined] = SCORES[name].alone(torch.from_numpy(rows[defined])).numpy()
    return found


def score_interval(scores: pl.DataFrame, name: str) -> Interval:
    """A score of all images with its 95% interval over images, or over their groups.

    The mean, with the interval of `bootstrap_interval`; or what is pooled, with that of BCa. Where
    an image has several classes it counts with the mean over them.

    Args:
        scores: of one method, with a column `group` where images were drawn in groups.
        name: of the score.
    """
    if by_class(scores) and not is_pooled(name):
        scores = by_image(scores)
    rows, units = kept(scores, name), units_of(scores)
    if rows.ndim == 1:
        return bootstrap_interval(rows, units=units, within=SCORES[name].within)
    there = _defined(rows)
    known, units = rows[there], units.where(there)
    undefined = len(rows) - len(known)
    if not len(known):
        return missing(CONFIDENCE, 0, "bca", "no value is defined", undefined=undefined)
    statistic = _Pooled(SCORES[name], known)
    found = bca_intervals(
        lambda times: {name: statistic(times)},
        units,
        resamples=_RESAMPLES,
        seed=_SEED,
        level=CONFIDENCE,
    )
    return replace(found[name], undefined=undefined)


def paired_scores(a: pl.DataFrame, b: pl.DataFrame, name: str) -> PairedTest:
    """A score of the images in b less that in a, over the images where both are defined.

    By `paired_bootstrap`; of a pooled score by `percentile_test` of the differences between the
    same resamples of both. Of segmenters see `paired_values`.

    Args:
        a: scores table of some images.
        b: of the same images by another method or model.
        name: a score of both.
    """
    first, second, units = paired_values(a, b, name)
    if first.ndim == 1:
        within = difference_range(SCORES[name].within)
        return paired_bootstrap(first, second, units=units, within=within)
    defined = _defined(first) & _defined(second)
    n, undefined, units = int(defined.sum()), int((~defined).sum()), units.where(defined)
    one, other = (_Pooled(SCORES[name], rows[defined]) for rows in (first, second))

    def difference(times: Floats) -> Floats:
        return other(times) - one(times)

    value = float(difference(np.ones((n, 1)))[0]) if n else np.nan
    blocks = resampling.counts(units, _RESAMPLES, _SEED) if n else ()
    replicates = np.concatenate([np.empty(0), *map(difference, blocks)])
    test = percentile_test(value, replicates, units, within=difference_range(SHARE))
    return replace(test, difference=replace(test.difference, undefined=undefined))


def score_differences(
    before: pl.DataFrame, after: pl.DataFrame, names: Iterable[str]
) -> dict[str, Any]:
    """By score the means `before` and `after` where both are defined, and that of `paired_scores`.

    The means are None where both are defined for no image, and the difference's `reason` says why.

    Args:
        before: scores table of one method.
        after: of the same images by another model.
        names: scores of both that are numbers of an image.
    """
    found = {}
    for name in names:
        values = np.stack(paired_values(before, after, name)[:2], 1)
        both = values[~np.isnan(values).any(1)]
        means = both.mean(0).tolist() if len(both) else [None, None]
        ends = dict(zip(("before", "after"), means, strict=True))
        test = paired_scores(before, after, name)
        if not len(both):
            none = replace(test.difference, reason=why_of_tables(before, after))
            test = replace(test, difference=none)
        found[name] = ends | test.as_dict()
    return found


def shared_names(before: pl.DataFrame, after: pl.DataFrame) -> list[str]:
    """The scores that are numbers of an image in both tables."""
    return [n for n in score_names(before) if n in after.columns and not is_pooled(n)]


def pooled_statistic(scores: pl.DataFrame, name: str) -> Callable[[Floats], dict[str, Floats]]:
    """A pooled score by how often each image is taken: counts (N, b) to its values (b,).

    Args:
        scores: table of one method, of images where the score is defined.
        name: a pooled score in it.
    """
    statistic = _Pooled(SCORES[name], kept(scores, name))
    return lambda times: {name: statistic(times)}


def paired_values(a: pl.DataFrame, b: pl.DataFrame, name: str) -> tuple[Floats, Floats, Units]:
    """A score of the images that both tables have, as `kept` gives it, in one order, and units.

    Of segmenters the means over the classes of an image for which both are defined: a class whose
    map is zero under one of them must not make its mean another one.

    Args:
        a: scores table of one method.
        b: of another one, or of another model.
        name: a score of both.
    """
    on = ["index", "label"] if by_class(a) else ["index"]
    a, b = shared_groups([a, b])
    own = a.select(*on, *told_groups(a), name)
    both = own.join(b.select(*on, name), on, suffix="_b").sort(on)
    if by_class(a) and not is_pooled(name):
        both = _means_of_both(both, name)
    second = both.select(pl.col(f"{name}_b").alias(name))
    return kept(both, name), kept(second, name), units_of(both)


def _means_of_both(both: pl.DataFrame, name: str) -> pl.DataFrame:
    columns = [name, f"{name}_b"]
    numbers = [pl.col(column).cast(pl.Float64).fill_nan(None) for column in columns]
    there = pl.all_horizontal(number.is_not_null() for number in numbers)
    values = [
        pl.when(there).then(number).alias(c) for c, number in zip(columns, numbers, strict=True)
    ]
    groups = told_groups(both)
    rows = both.select("index", *groups, *values).group_by("index", maintain_order=True)
    means = rows.agg(pl.col(groups).first(), pl.col(columns).mean())
    return means.with_columns(pl.col(columns).fill_null(np.nan))


class _Pooled:
    """A pooled score of images by how often each is taken, as the bootstrap asks for it."""

    def __init__(self, score: Score, rows: Floats) -> None:
        assert score.pooled is not None
        self._pooled, self._shape = score.pooled, rows.shape[1:]
        self._rows = rows.reshape(len(rows), math.prod(self._shape))

    def __call__(self, times: Floats) -> Floats:
        """The score (b,) of so many times (N, b) each image."""
        means = (times / times.sum(0)).T @ self._rows
        return self._pooled(torch.from_numpy(means.reshape(-1, *self._shape))).numpy()


def _defined(rows: NDArray) -> NDArray[np.bool_]:
    """Which images (N,) have counts."""
    return np.asarray(~np.isnan(rows).any(axis=(1, 2)))
