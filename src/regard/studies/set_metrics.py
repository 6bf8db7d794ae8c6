"""What a study compares of sets of labels, and of labels that hang in a tree."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.data.settings import Task
from regard.evaluation import hierarchical, multilabel, segmentation
from regard.evaluation.label_sets import is_sets, predicted_of, truth_of
from regard.evaluation.multilabel import PooledSets
from regard.evaluation.segmentation_pairs import compare_pooled
from regard.evaluation.table import classes, probabilities
from regard.runs.folder import RunFolder

SET_METRICS = (*multilabel.POOLED, *multilabel.BY_IMAGE)
# Of single classes, as `NAME:CLASS`; a classifier's table has a row an image, not one a class.
CLASS_METRICS: dict[Task, tuple[str, ...]] = {
    "classification": (),
    "multilabel": multilabel.BY_CLASS,
    "segmentation": segmentation.BY_CLASS,
}
LEVEL = 0.95


def of_hierarchy(metric: str) -> bool:
    """Whether a metric is one of those that need a hierarchy of labels."""
    depth = metric.removeprefix(hierarchical.LEVEL)
    level = depth != metric and depth.isdecimal() and int(depth) > 0
    return level or metric in (*hierarchical.SHARES, *hierarchical.DISTANCES)


def of_predictions(metric: str) -> str | None:
    """The column of the predictions whose mean a metric is; None where it is no such mean."""
    if metric == "accuracy":
        return "correct"
    by_image = metric in multilabel.BY_IMAGE or metric.startswith(hierarchical.LEVEL)
    return metric if by_image or metric == hierarchical.DISTANCES[0] else None


def set_difference(
    runs: Sequence[str], against: Sequence[str], split: str, metric: str, folder: Path
) -> dict[str, Any] | None:
    """A metric of sets of labels of one arm less that of another over the same images.

    Each arm counts with the mean over its seeds; the images are resampled for all of them together.

    Args:
        runs: of an arm, one a seed.
        against: of the other.
        split: of their manifest.
        metric: of the study.
        folder: that the runs' paths start from.

    Returns:
        None for what is no pooled metric of sets of labels, or runs of other images.
    """
    sides = [[_table(folder / run, split) for run in some] for some in (against, runs)]
    known = [[table for table in some if table is not None] for some in sides]
    if any(len(a) < len(b) for a, b in zip(known, sides, strict=True)):
        return None
    first = known[0][0]
    images = first.select("index", "labels").rows()
    if any(table.select("index", "labels").rows() != images for some in known for table in some):
        return None
    name, _, own = metric.partition(":")
    if own and own in classes(first) and name in multilabel.BY_CLASS:
        name = f"{name}.{classes(first).index(own)}"
    elif own or name not in multilabel.POOLED:
        return None
    before, after = (_Mean([_pooled(table) for table in some], name) for some in known)
    return compare_pooled(before, after, len(first), level=LEVEL)[name].as_dict()


class _Mean:
    """One metric of several trainings by how often each image is taken: the mean over them."""

    def __init__(self, parts: Sequence[PooledSets], name: str) -> None:
        self._parts, self._name = parts, name

    def __call__(self, times: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        values = np.mean([part(times)[self._name] for part in self._parts], axis=0)
        return {self._name: values}


def _pooled(table: pl.DataFrame) -> PooledSets:
    return PooledSets(truth_of(table), predicted_of(table), probabilities(table))


def _table(run: Path, split: str) -> pl.DataFrame | None:
    path = RunFolder(run).predictions(split)
    table = pl.read_parquet(path) if path.is_file() else None
    return None if table is None or not is_sets(table) else table.sort("index")
