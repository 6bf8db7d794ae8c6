"""Two models on the same images: what each has right, and McNemar's test."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from regard.errors import DataError
from regard.evaluation import table as tables
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.label_sets import is_sets, validate_sets
from regard.evaluation.paired import LEAST, pair_of, paired_bootstrap
from regard.evaluation.units import Units, shared_groups, units_of


@dataclass(frozen=True)
class McNemar:
    """McNemar's test.

    Attributes:
        p_value: exact, two-sided.
        lost: images that a has right and b wrong.
        won: images that a has wrong and b right.
        n: images.
        groups: that they are of, where the answers of whole groups are exchanged.
    """

    p_value: float
    lost: int
    won: int
    n: int
    groups: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Fields as JSON takes them."""
        return asdict(self)


def mcnemar_exact(
    correct_a: ArrayLike, correct_b: ArrayLike, units: Units | None = None
) -> McNemar:
    """McNemar's exact test that two models are right equally often, on the same images.

    Given the m images that one has right and the other wrong, the number won is
    Binomial(m, 1/2): p = min(1, 2 P(X <= min(won, lost))). Its error rate is never above
    the level, and below it with few flips.

    Of images in groups the answers of the models to whole groups are exchanged: p is the share of
    all 2^G exchanges that make the difference of won and lost as large, which with an image a
    group is the same test.

    Args:
        correct_a: (N,) whether the first model is right.
        correct_b: (N,) whether the second is, in the same order.
        units: of the images; None: each its own.

    No flips at all give 1. Raises DataError if the lengths differ.

    Example:
        >>> mcnemar_exact([1, 1, 1, 0, 0], [0, 0, 0, 1, 0]).p_value
        0.625
    """
    a, b = pair_of(np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool))
    lost, won = int((a & ~b).sum()), int((~a & b).sum())
    if units is not None and units.lumped:
        tail = _exchanged(units.sums(b.astype(np.float64) - a))
        return McNemar(min(1.0, max(tail, LEAST)), lost, won, a.size, units.count)
    fewer, m = min(lost, won), lost + won
    tail = 2 * float(binom.cdf(fewer, m, 0.5))
    return McNemar(min(1.0, max(tail, LEAST)), lost, won, a.size)


def _exchanged(differences: NDArray[np.float64]) -> float:
    """P(|sum of +-d_g| >= |sum d_g|) over all signs, of whole numbers d_g (G,), exactly."""
    sizes, counts = np.unique(np.abs(differences).astype(np.int64), return_counts=True)
    reached = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        if size:
            # `count` signs of `size` each: their sum rises in steps of two sizes.
            steps = np.zeros(2 * size * count + 1)
            steps[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
            reached = np.convolve(reached, steps)
    sums = np.arange(len(reached)) - len(reached) // 2
    return float(reached[np.abs(sums) >= abs(int(differences.sum()))].sum())


def same_images(table_a: pl.DataFrame, table_b: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both tables, of labels or of sets of them, in the order of `index`, with the same groups.

    Raises:
        DataError: they do not hold the same images with the same labels.
    """
    both = (table_a, table_b)
    sets = any(map(is_sets, both))
    a, b = ((validate_sets if sets else tables.validate)(t).sort("index") for t in both)
    for column in ("index", "image", "labels" if sets else "label"):
        x, y = (_hashable(table[column].to_list()) for table in (a, b))
        if x != y:
            other = len(set(x) ^ set(y)) or sum(i != j for i, j in zip(x, y, strict=True))
            raise DataError(
                f"paired comparison, column {column!r}",
                expected="two predictions tables of the same images",
                found=f"{len(x)} and {len(y)} rows that differ in {other} entries",
                remedy="evaluate both models on the same split of the same manifest",
            )
    a, b = shared_groups([a, b])
    return a, b


def _hashable(cells: list[Any]) -> list[Any]:
    return [tuple(cell) if isinstance(cell, list) else cell for cell in cells]


def flips(table_a: pl.DataFrame, table_b: pl.DataFrame) -> dict[str, list[int]]:
    """Images by what happened to them from a to b, as rows of the manifest, rising.

    Keys `lost` (right, then wrong), `won` (wrong, then right), `both_wrong`, `both_right`.

    Raises:
        DataError: the tables are of other images.
    """
    a, b = same_images(table_a, table_b)
    index, x, y = (s.to_numpy() for s in (a["index"], a["correct"], b["correct"]))
    kinds = {"lost": x & ~y, "won": ~x & y, "both_wrong": ~x & ~y, "both_right": x & y}
    return {name: index[rows].tolist() for name, rows in kinds.items()}


def compare_accuracy(
    table_a: pl.DataFrame, table_b: pl.DataFrame, level: float = CONFIDENCE
) -> dict[str, Any]:
    """Accuracy of b less that of a, ready for JSON: `difference`, `mcnemar` and `flips`.

    Raises:
        DataError: the tables are of other images.
    """
    a, b = same_images(table_a, table_b)
    x, y, units = a["correct"].to_numpy(), b["correct"].to_numpy(), units_of(a)
    return {
        "difference": paired_bootstrap(x, y, units=units, level=level).difference.as_dict(),
        "mcnemar": mcnemar_exact(x, y, units).as_dict(),
        "flips": flips(a, b),
    }
