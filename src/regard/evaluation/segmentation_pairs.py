"""Two segmenters on the same images: by how much the numbers of all pixels differ."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.errors import DataError
from regard.evaluation import resampling
from regard.evaluation.intervals import Interval, missing
from regard.evaluation.paired import PairedTest
from regard.evaluation.resampling import Statistics
from regard.evaluation.segmentation import Pooled

_RESAMPLES, _SEED = 2000, 0


def compare_segmentations(
    a: pl.DataFrame, b: pl.DataFrame, *, level: float = 0.95
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
    images = _same_images(a, b)
    if not same_pixels(a, b):
        raise DataError(
            "paired comparison of segmentations",
            expected="the same pixels of each image counted for both",
            found="other true pixels, as of images that were padded or cropped otherwise",
            remedy="compare runs with one data.fit, and one data.size unless it is stretch",
        )
    return compare_pooled(pooled_of([a]), pooled_of([b]), images, level=level)


def same_pixels(a: pl.DataFrame, b: pl.DataFrame) -> bool:
    """Whether each image has the same true pixels of each class in both predictions tables."""
    first, second = (table.sort("index") for table in (a, b))
    if first["index"].to_list() != second["index"].to_list():
        return False
    true = [np.array(t["confusion"].to_list(), dtype=np.int64).sum(2) for t in (first, second)]
    return true[0].shape == true[1].shape and bool((true[0] == true[1]).all())


def pooled_of(tables: Sequence[pl.DataFrame]) -> Pooled:
    """The metrics of one segmenter's images, or of several trainings' pixels together.

    Args:
        tables: of the same images, in any order.
    """
    ordered = [table.sort("index") for table in tables]
    confusions, edges = (_summed(ordered, name) for name in ("confusion", "boundary"))
    return Pooled(confusions, [*edges])


def compare_pooled(
    a: Statistics, b: Statistics, images: int, *, level: float
) -> dict[str, PairedTest]:
    """As `compare_segmentations`, of statistics of the same images, such as `pooled_of` gives."""
    whole = np.ones((images, 1))
    values = {name: float(b(whole)[name][0] - own[0]) for name, own in a(whole).items()}
    blocks = resampling.counts(images, _RESAMPLES, _SEED)
    parts = [(a(times), b(times)) for times in blocks]
    return {
        name: _test(value, np.concatenate([y[name] - x[name] for x, y in parts]), images, level)
        for name, value in values.items()
    }


def _test(value: float, replicates: NDArray[np.float64], n: int, level: float) -> PairedTest:
    known = replicates[~np.isnan(replicates)]
    if n < 2 or np.isnan(value) or not known.size:
        why = "needs two images or more" if n < 2 else "it is defined in no resample of both"
        return PairedTest(missing(level, n, "percentile", why, value=value), np.nan)
    low, high = resampling.percentile_limits(known, level)
    tail = min((known >= 0).sum(), (known <= 0).sum())
    p = min(1.0, 2 * (float(tail) + 1) / (known.size + 1))
    return PairedTest(Interval(value, low, high, level, n, "percentile"), p)


def _summed(tables: Sequence[pl.DataFrame], name: str) -> NDArray[np.float64]:
    """Counts (N, ..., K) of each image, summed over the tables."""
    return np.sum([np.array(table[name].to_list(), dtype=np.float64) for table in tables], axis=0)


def _same_images(a: pl.DataFrame, b: pl.DataFrame) -> int:
    """How many images there are."""
    first, second = (table.sort("index").select("index", "image").rows() for table in (a, b))
    sizes = [np.shape(table["confusion"].to_list())[1:] for table in (a, b)]
    if first != second or sizes[0] != sizes[1]:
        raise DataError(
            "paired comparison of segmentations",
            expected="two predictions tables of the same images and classes",
            found=f"{len(a)} and {len(b)} images, {len(set(first) & set(second))} of them shared",
            remedy="evaluate both models on the same split of the same manifest",
        )
    return len(first)
