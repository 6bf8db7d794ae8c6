"""What the runs of a study wrote of each image, read as trainings that can be compared."""

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation import label_sets
from regard.evaluation import table as tables
from regard.evaluation.counted import Resampled, resampled_predictions
from regard.evaluation.gaze import by_class, is_pooled, pooled_statistic
from regard.evaluation.multilabel import PooledSets
from regard.evaluation.names import split_and_metric
from regard.evaluation.ranges import range_of
from regard.evaluation.segmentation import Pooled
from regard.evaluation.segmentation_pairs import pooled_of, true_pixels
from regard.evaluation.units import COLUMN, shared_groups, told_groups, units_of
from regard.runs.files import read_json, read_table
from regard.runs.folder import RunFolder
from regard.runs.reliance import GAP, MEASURED
from regard.scores.base import SCORES
from regard.studies.pixel_metrics import of_class
from regard.studies.set_metrics import BY_CLASS, of_predictions
from regard.studies.trained import Means, OfSet, Trained


class Answers:
    """The trainings of a study's arms, from the files of its finished runs.

    Args:
        done: one row a training: `arm`, `seed`, `run` (its folder) and the metrics.
        folder: that the runs' paths start from.
    """

    def __init__(self, done: pl.DataFrame, folder: Path) -> None:
        self._done, self._folder = done, folder
        # An arm is compared with several others, on several metrics of one table.
        self._resampled, self._known = cache(self._resampled_of), cache(self._read)
        self._groups = cache(self._groups_of)

    def __call__(self, arm: str, metric: str) -> list[Trained]:
        """The trainings of an arm on `SPLIT.METRIC`, by seed."""
        return self._known(arm, metric)

    def _read(self, arm: str, metric: str) -> list[Trained]:
        split, name = split_and_metric(metric)
        own = self._done.filter(pl.col("arm") == arm).sort("seed")
        if metric not in own.columns:
            return []
        values = own[metric].cast(pl.Float64).fill_null(np.nan).to_list()
        rows = zip(own["seed"].to_list(), values, own["run"].to_list(), strict=True)
        return [Trained(seed, value, self._images(run, split, name)) for seed, value, run in rows]

    def _images(self, run: str, split: str, metric: str) -> Means | OfSet | None:
        own = self._means(RunFolder(self._folder / run), split, metric)
        if own is not None:
            return own
        kind = "scores" if is_pooled(metric) else "predictions"
        resampled = self._resampled(run, split, metric if kind == "scores" else kind)
        if resampled is None:
            return None
        name = self._statistic(run, split, metric)
        return OfSet(name, resampled) if name in resampled.whole else None

    def _means(self, files: RunFolder, split: str, metric: str) -> Means | None:
        named = of_class(metric)
        score, own = named or (metric, "")
        if is_pooled(score) or (named and score in BY_CLASS):
            return None
        path, column = _table_of(files, split, score)
        if not path.is_file() or column not in pl.read_parquet_schema(path):
            return None
        table = self._table(path, split)
        keys = ["index"]
        if path == files.scores(split):
            table = of_method(table, files)
            table = table.filter(pl.col("label") == own) if own else table
            keys = ["index", "label"] if by_class(table) else keys
        value = pl.col(column).cast(pl.Float64).fill_null(np.nan)
        values = table.select(*keys, *told_groups(table), value=value).sort(keys)
        return Means(values, range_of(score))

    def _resampled_of(self, run: str, split: str, what: str) -> Resampled | None:
        """Of the predictions, or of a score that is a number of a set."""
        files = RunFolder(self._folder / run)
        path = files.predictions(split) if what == "predictions" else files.scores(split)
        if not path.is_file():
            return None
        table = self._table(path, split)
        if what != "predictions":
            return _of_score(of_method(table, files), what)
        if "confusion" in table.columns:
            return _pixels(table.sort("index"))
        if label_sets.is_sets(table):
            return _sets(label_sets.validate_sets(table).sort("index"))
        told = read_json(files.metrics(split))["metrics"].get("positive")
        return resampled_predictions(tables.validate(table), told)

    def _table(self, path: Path, split: str) -> pl.DataFrame:
        """A table of a run, with the groups that any run tells."""
        table, groups = read_table(path), self._groups(split)
        return table if groups is None else shared_groups([table, groups])[0]

    def _groups_of(self, split: str) -> pl.DataFrame | None:
        """The group of each image of a split, of the first run that tells it."""
        for run in self._done["run"].to_list():
            path = RunFolder(self._folder / run).predictions(split)
            if path.is_file() and COLUMN in pl.read_parquet_schema(path):
                return read_table(path).select("index", COLUMN)
        return None

    def _statistic(self, run: str, split: str, metric: str) -> str:
        """`iou:vehicle` of a segmenter as `iou.5`, of sets of labels alike; others as they are."""
        named = of_class(metric)
        if named is None or named[0] not in BY_CLASS:
            return metric
        classes = read_json(RunFolder(self._folder / run).metrics(split))["classes"]
        return f"{named[0]}.{classes.index(named[1])}" if named[1] in classes else metric


class _WithTruth(Resampled):
    """Metrics of images whose truth, (N, K), tells whether those of others are comparable."""

    def __init__(self, statistics: Pooled | PooledSets, table: pl.DataFrame, true: NDArray) -> None:
        index = table["index"].to_numpy().astype(np.int64)
        super().__init__(statistics, index, statistics.concerned, units_of(table))
        self.true = true

    def like(self, other: Resampled) -> bool:
        """Whether both are of the same images, with the same said of them."""
        alike = isinstance(other, _WithTruth) and np.array_equal(self.true, other.true)
        return super().like(other) and alike


def _pixels(table: pl.DataFrame) -> Resampled:
    """A segmenter's metrics; comparable where the same pixels are counted."""
    return _WithTruth(pooled_of([table]), table, true_pixels(table))


def _sets(table: pl.DataFrame) -> Resampled:
    """The metrics of sets of labels."""
    true, guess = label_sets.truth_of(table), label_sets.predicted_of(table)
    return _WithTruth(PooledSets(true, guess, tables.probabilities(table)), table, true)


def of_method(table: pl.DataFrame, files: RunFolder) -> pl.DataFrame:
    """The rows of scores of the method that the run's gaze is measured by."""
    method = method_of(files)
    if method is None or "method" not in table.columns:
        return table
    return table.filter(pl.col("method") == method)


def method_of(files: RunFolder) -> str | None:
    """The method that the run's gaze is measured by.

    None for what was pooled over folds, which has no config, and that method alone.
    """
    return files.read_config()["gaze"]["method"] if files.config.is_file() else None


def _table_of(files: RunFolder, split: str, score: str) -> tuple[Path, str]:
    """The file that has a metric image by image, and the column there."""
    told = of_predictions(score)
    if told is not None:
        return files.predictions(split), told
    if score in (*MEASURED, GAP):
        return files.backgrounds(split), score
    if score == "dead_maps":
        return files.scores(split), "dead"
    return files.scores(split), score


def _of_score(table: pl.DataFrame, score: str) -> Resampled | None:
    """Of `max_box_acc` and its like, of the images where they are defined."""
    if score not in SCORES or score not in table.columns or by_class(table):
        return None
    known = table.filter(pl.col(score).is_not_null()).sort("index")
    if known.is_empty():
        return None
    index = known["index"].to_numpy().astype(np.int64)
    return Resampled(pooled_statistic(known, score), index, units=units_of(known))
