"""What one training is worth on one metric, image by image: what arms are compared by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation.counted import Resampled
from regard.evaluation.crossed import pseudo_values
from regard.evaluation.ranges import ANY, Range
from regard.evaluation.units import COLUMN, Units, told_groups

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """Of a metric that is a mean over images what each of them adds to it.

    Attributes:
        table: one row an image with `index`, rising, and `value`, NaN where undefined; of a
            segmenter's scores one row an image and class with `label`; with `group` where images
            were drawn in groups.
        within: the least and the largest value that there may be.
    """

    table: pl.DataFrame
    within: Range = ANY

    @property
    def by_class(self) -> bool:
        """Whether rows are of an image and a class."""
        return "label" in self.table.columns


@dataclass(frozen=True)
class OfSet:
    """Of a metric that is a number of a set of images its statistic.

    Attributes:
        name: of the metric among the statistics.
        resampled: of the training's images.
    """

    name: str
    resampled: Resampled


@dataclass(frozen=True)
class Trained:
    """A training, or those of all folds with one seed together.

    Attributes:
        seed: of the training.
        value: the metric, of all images; NaN where undefined.
        images: None where the metric is not measured image by image.
    """

    seed: int
    value: float
    images: Means | OfSet | None = None


def index_of(training: Trained) -> NDArray[np.int64] | None:
    """The images (N,), rising, that a training is told apart by."""
    images = training.images
    if isinstance(images, OfSet):
        return images.resampled.index
    if isinstance(images, Means):
        return np.unique(images.table["index"].to_numpy()).astype(np.int64)
    return None


def shared_values(a: Trained, b: Trained) -> tuple[float, float]:
    """The metric of both, a mean over images of those alone for which both are defined.

    Maps are dead on other images in one training than in another, and an arm that sees nothing in
    hard images is none the better for it.
    """
    if not isinstance(a.images, Means) or not isinstance(b.images, Means):
        return a.value, b.value
    first, second = paired_means([a.images], [b.images])
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        return np.nan, np.nan
    return float(first[both].mean()), float(second[both].mean())


def image_differences(a: Trained, b: Trained) -> tuple[Floats, Units] | None:
    """What each image says of b - a, (N,), and their units; None where that is not known.

    Of means the differences, NaN where either is undefined; of a set's number pseudo-values of the
    jackknife, which leaves out images, groups of them, or 200 parts.
    """
    if isinstance(a.images, Means) and isinstance(b.images, Means):
        first, second, units = paired_images([a.images], [b.images])
        return second - first, units
    sides = _of_sets(a, b)
    if sides is None:
        return None
    one, other = (
        pseudo_values(side.resampled.whole[side.name], side.resampled.left_out[side.name])
        for side in sides
    )
    return other - one, _concerned(sides)


def paired_means(a: Sequence[Means], b: Sequence[Means]) -> tuple[Floats, Floats]:
    """The values of `paired_images` alone."""
    return paired_images(a, b)[:2]


def paired_images(a: Sequence[Means], b: Sequence[Means]) -> tuple[Floats, Floats, Units]:
    """The values (N,) of the images that both sides have, each its mean over the trainings.

    And units of these images.

    Of those pairs of trainings where it is defined for both; NaN where it is for none. Of
    segmenters the mean over the classes of an image for which both sides are defined.

    Args:
        a: trainings of one arm.
        b: of another, each the pair of one of the former.
    """
    if not any(side.by_class for side in (*a, *b)):
        index, one, other = _plain(a, b)
        return one, other, _units([*a, *b], index)
    pairs = [_pair_rows(one, other) for one, other in zip(a, b, strict=True)]
    rows = pl.concat(pairs).group_by("index", "label", maintain_order=True).mean()
    means = rows.drop("label").group_by("index").mean().sort("index")
    one, other = (means[name].fill_null(np.nan).to_numpy() for name in ("value", "value_b"))
    return one, other, _units([*a, *b], means["index"].to_numpy())


def _units(sides: Sequence[Means], index: NDArray[np.int64]) -> Units:
    """Of the images with these rows in the manifest, by the groups that trainings tell."""
    telling = [side.table for side in sides if told_groups(side.table)]
    if not telling:
        return Units.alone(len(index))
    groups = {image: name for table in telling for image, name in table["index", COLUMN].rows()}
    return Units.grouped_by([groups.get(image) for image in index.tolist()])


def _plain(a: Sequence[Means], b: Sequence[Means]) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Of one number an image: arrays, as studies are simulated by the thousand."""
    columns = [
        (side.table["index"].to_numpy(), side.table["value"].to_numpy()) for side in (*a, *b)
    ]
    index = columns[0][0]
    if not all(np.array_equal(own, index) for own, _ in columns):
        shared = set(index.tolist()).intersection(*(own.tolist() for own, _ in columns))
        index = np.array(sorted(shared), dtype=np.int64)
        columns = [(index, values[np.isin(own, index)]) for own, values in columns]
    values = np.stack([own for _, own in columns]).astype(np.float64)
    first, second = values[: len(a)], values[len(a) :]
    there = ~np.isnan(first) & ~np.isnan(second)
    return index, _mean(first, there), _mean(second, there)


def _mean(table: Floats, there: NDArray[np.bool_]) -> Floats:
    number = there.sum(0)
    nan = np.full(table.shape[1], np.nan)
    return np.divide(np.where(there, table, 0.0).sum(0), number, out=nan, where=number > 0)


def _pair_rows(one: Means, other: Means) -> pl.DataFrame:
    """The values of both of each image and class that both know, null where either is undefined."""
    first, second = (
        side.table.with_columns(pl.col("value").fill_nan(None)) for side in (one, other)
    )
    both = first.join(second, on=["index", "label"], suffix="_b").with_columns(
        there=pl.col("value").is_not_null() & pl.col("value_b").is_not_null()
    )
    values = [pl.when("there").then(name).alias(name) for name in ("value", "value_b")]
    return both.select("index", "label", *values)


def set_differences(
    a: Sequence[Trained], b: Sequence[Trained]
) -> tuple[float, Floats, Units] | None:
    """Of a set's number the difference b - a, that of each resample (B,), and units of its images.

    Both are means over the trainings; None where they are of other images.
    """
    parts = [_of_sets(one, other) for one, other in zip(a, b, strict=True)]
    sides = [part for part in parts if part is not None]
    if len(sides) < len(parts) or not sides:
        return None
    name = sides[0][0].name
    if not all(one.resampled.like(sides[0][0].resampled) for one, _ in sides):
        return None
    whole = np.mean([y.resampled.whole[name] - x.resampled.whole[name] for x, y in sides])
    rows = [y.resampled.resamples[name] - x.resampled.resamples[name] for x, y in sides]
    return float(whole), np.mean(rows, axis=0), _concerned([own for pair in sides for own in pair])


def _concerned(sides: Sequence[OfSet]) -> Units:
    """Units of the images that have to do with the number for any of these."""
    told = [own.resampled.concerned(own.name) for own in sides]
    return sides[0].resampled.units.where(np.logical_or.reduce(told))


def _of_sets(a: Trained, b: Trained) -> tuple[OfSet, OfSet] | None:
    if not isinstance(a.images, OfSet) or not isinstance(b.images, OfSet):
        return None
    return (a.images, b.images) if a.images.resampled.like(b.images.resampled) else None
