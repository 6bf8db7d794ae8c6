"""Two segmenters on the same images: by how much the numbers of all pixels differ."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.errors import DataError
from regard.evaluation import resampling
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.paired import PairedTest, percentile_test
from regard.evaluation.ranges import difference_range, range_of
from regard.evaluation.segmentation import Pooled
from regard.evaluation.units import Units, shared_groups, units_of

_RESAMPLES, _SEED = 2000, 0


def compare_segmentations(
    a: pl.DataFrame, b: pl.DataFrame, *, level: float = CONFIDENCE
) -> dict[str, PairedTest]:
    """Each metric of b less that of a, pooled over the same images, with interval and p-value.

    The images are resampled together, so that what is hard for both makes no difference: the
    interval is that of the percentiles of the resampled differences, p twice the smaller share of
    them beyond 0.

    Args:
        a: predictions table of a segmenter: `index`, `confusion` (K x K), `boundary` (4 x K).
        b: of the same images by another one.
        level: in (0, 1).

    Returns:
        By the names of `evaluate_segmentation`, and `NAME.CLASS` with the class's number.

    Raises:
        DataError: the tables are of other images or classes, or count other pixels of them.
    """
    _same_images(a, b)
    if not same_pixels(a, b):
        raise DataError(
            "paired comparison of segmentations",
            expected="the same pixels of each image counted for both",
            found="other true pixels, as of images that were padded or cropped otherwise",
            remedy="compare runs with one data.fit, and one data.size unless it is stretch",
        )
    units = units_of(shared_groups([a, b])[0].sort("index"))
    return compare_pooled(pooled_of([a]), pooled_of([b]), units, level=level)


def same_pixels(a: pl.DataFrame, b: pl.DataFrame) -> bool:
    """Whether each image has the same true pixels of each class in both predictions tables."""
    first, second = (table.sort("index") for table in (a, b))
    if first["index"].to_list() != second["index"].to_list():
        return False
    return np.array_equal(true_pixels(first), true_pixels(second))


def true_pixels(table: pl.DataFrame) -> NDArray[np.int64]:
    """How many pixels of each class each image truly has, (N, K), from a predictions table."""
    return np.array(table["confusion"].to_list(), dtype=np.int64).sum(2)


def pooled_of(tables: Sequence[pl.DataFrame]) -> Pooled:
    """The metrics of one segmenter's images, or of several trainings' pixels together.

    Args:
        tables: of the same images, in any order.
    """
    ordered = [table.sort("index") for table in tables]
    confusions, edges = (_summed(ordered, name) for name in ("confusion", "boundary"))
    return Pooled(confusions, [*edges])


class Pooling(Protocol):
    """Metrics of a set of images by how often each is taken."""

    def __call__(self, times: NDArray[np.float64], /) -> Mapping[str, NDArray[np.float64]]:
        """Of counts (N, b) of the images each metric, (b,)."""
        ...

    def concerned(self, name: str) -> NDArray[np.bool_]:
        """Which images (N,) a metric is of."""
        ...


def compare_pooled(a: Pooling, b: Pooling, units: Units, *, level: float) -> dict[str, PairedTest]:
    """As `compare_segmentations`, of statistics of the same images, such as `pooled_of` gives."""
    whole = np.ones((len(units), 1))
    values = {name: float(b(whole)[name][0] - own[0]) for name, own in a(whole).items()}
    blocks = resampling.counts(units, _RESAMPLES, _SEED)
    parts = [(a(times), b(times)) for times in blocks]
    return {
        name: percentile_test(
            value,
            np.concatenate([y[name] - x[name] for x, y in parts]),
            units.where(a.concerned(name) | b.concerned(name)),
            level,
            within=difference_range(range_of(name)),
        )
        for name, value in values.items()
    }


def _summed(tables: Sequence[pl.DataFrame], name: str) -> NDArray[np.float64]:
    """Counts (N, ..., K) of each image, summed over the tables."""
    return np.sum([np.array(table[name].to_list(), dtype=np.float64) for table in tables], axis=0)


def _same_images(a: pl.DataFrame, b: pl.DataFrame) -> None:
    """Check that both are of the same images and classes."""
    first, second = (table.sort("index").select("index", "image").rows() for table in (a, b))
    sizes = [np.shape(table["confusion"].to_list())[1:] for table in (a, b)]
    if first != second or sizes[0] != sizes[1]:
        raise DataError(
            "paired comparison of segmentations",
            expected="two predictions tables of the same images and classes",
            found=f"{len(a)} and {len(b)} images, {len(set(first) & set(second))} of them shared",
            remedy="evaluate both models on the same split of the same manifest",
        )
