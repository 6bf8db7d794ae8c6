"""Right at which level of a hierarchy, and how far a mistake is from the truth."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.data.hierarchy import Hierarchy
from regard.evaluation import label_sets
from regard.evaluation import table as tables
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.confusion import ratio
from regard.evaluation.intervals import CONFIDENCE, Interval
from regard.evaluation.metrics import bca_intervals
from regard.evaluation.ranges import range_of
from regard.evaluation.units import units_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
ACCURACY_AT = "accuracy_level_"
SHARES = ("hierarchical_precision", "hierarchical_recall", "hierarchical_f1")
# Of single labels alone.
DISTANCES = ("tree_distance", "mistake_distance")
_SEED = 0


def with_levels(table: pl.DataFrame, hierarchy: Hierarchy) -> pl.DataFrame:
    """A predictions table with `accuracy_level_N`, and of single labels `tree_distance`.

    `accuracy_level_N` is whether the ancestors at depth N of what is predicted are those of what is
    true; `tree_distance` the edges between the predicted and the true label.
    """
    truth, guess = _both(table)
    columns: dict[str, NDArray] = {}
    for depth in range(1, hierarchy.levels + 1):
        up = _ancestors_at(hierarchy, depth)
        columns[f"{ACCURACY_AT}{depth}"] = (_above(truth, up) == _above(guess, up)).all(1)
    if not label_sets.is_sets(table):
        distances = hierarchy.distances[tables.labels(table), tables.predicted(table)]
        columns["tree_distance"] = distances.astype(np.float64)
    return table.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def hierarchical_metrics(
    table: pl.DataFrame, hierarchy: Hierarchy, *, resamples: int = 2000
) -> dict[str, Interval]:
    """How well a hierarchy's labels above the classes are met, each with its interval over images.

    - `accuracy_level_N`: the share of images whose predicted class has the same ancestor at depth N
      as the true one, N from 1, the coarsest; of sets of labels that have the same ancestors.
      Wilson's interval.
    - `hierarchical_precision` sum |P & T| / sum |P|, `hierarchical_recall` sum |P & T| / sum |T|,
      and `hierarchical_f1`, their harmonic mean, over the images, P and T the predicted and the
      true classes with all of their ancestors but the root. BCa. Reference: Kiritchenko et al.,
      Learning and Evaluation in the Presence of Class Hierarchies, 2006, section 3; Silla and
      Freitas, Data Min. Knowl. Discov. 22:31, 2011, section 5.
    - `tree_distance`: the mean over the images of the edges between the predicted and the true
      class by way of their lowest common ancestor; `mistake_distance`: the same of the
      misclassified images alone. Studentised bootstrap. Of single labels alone. Reference:
      Bertinetto et al., Making Better Mistakes, arXiv:1912.09393, section 3 (there the height of
      that ancestor).

    Args:
        table: a valid predictions table, of labels or of sets of them.
        hierarchy: of its classes.
        resamples: bootstrap resamples.
    """
    told = with_levels(table, hierarchy)
    options: dict[str, Any] = {"units": units_of(table), "resamples": resamples}
    options |= {"seed": _SEED, "level": CONFIDENCE}
    found = {
        name: bootstrap_interval(told[name].to_numpy(), method="wilson", **options)
        for name in told.columns
        if name.startswith(ACCURACY_AT)
    }
    found |= bca_intervals(_Shares(*_both(table), hierarchy), **options)
    if "tree_distance" in told.columns:
        distances = told["tree_distance"].to_numpy()
        mistakes = np.where(told["correct"].to_numpy(), np.nan, distances)
        for name, values in zip(DISTANCES, (distances, mistakes), strict=True):
            found[name] = bootstrap_interval(values, within=range_of(name), **options)
    return found


def told(hierarchy: Hierarchy) -> dict[str, Any]:
    """A hierarchy for a file: the `order` of its classes, and of each its ancestors and itself."""
    lines = zip(hierarchy.classes, hierarchy.lines, strict=True)
    return {"order": list(hierarchy.order), "lines": {name: list(line) for name, line in lines}}


class _Shares:
    """`SHARES` of images by how often each is taken, as the bootstrap asks for them."""

    def __init__(self, truth: Bools, guess: Bools, hierarchy: Hierarchy) -> None:
        true, said = (_above(kind, hierarchy.ancestors) for kind in (truth, guess))
        sums = [(true & said).sum(1), said.sum(1), true.sum(1)]
        self._sums = np.array(sums, dtype=np.float64)

    def __call__(self, times: Floats) -> dict[str, Floats]:
        """Each, (b,), of counts (N, b)."""
        both, said, true = self._sums @ times
        pairs = ((both, said), (both, true), (2 * both, said + true))
        return {
            name: ratio(above, below) for name, (above, below) in zip(SHARES, pairs, strict=True)
        }


def _both(table: pl.DataFrame) -> tuple[Bools, Bools]:
    """True and predicted classes of each image, (N, K) each."""
    if label_sets.is_sets(table):
        return label_sets.truth_of(table), label_sets.predicted_of(table)
    alone = np.eye(len(tables.classes(table)), dtype=bool)
    return alone[tables.labels(table)], alone[tables.predicted(table)]


def _ancestors_at(hierarchy: Hierarchy, depth: int) -> Bools:
    """(K, M): the one of the M labels at a depth that stands above each class."""
    _, places = np.unique(np.array(hierarchy.at(depth)), return_inverse=True)
    return np.eye(int(places.max()) + 1, dtype=bool)[places]


def _above(chosen: Bools, up: Bools) -> Bools:
    """(N, M): which labels stand above any of the chosen classes (N, K)."""
    return np.asarray((chosen.astype(np.float64) @ up) > 0)
