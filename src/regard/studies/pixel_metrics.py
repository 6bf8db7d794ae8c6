"""What a study compares of segmenters: means over classes, and each class by its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from regard.evaluation.segmentation import BY_CLASS, MEANS
from regard.evaluation.segmentation_pairs import compare_pooled, pooled_of, same_pixels
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.scores.base import SCORES
from regard.studies.set_metrics import CLASS_METRICS

# Beside accuracy and balanced accuracy, which classifiers have too.
MEAN_METRICS = tuple(name for name in MEANS.values() if name != "balanced_accuracy")
LEVEL = 0.95


def of_class(metric: str) -> tuple[str, str] | None:
    """Name and class of `iou:vehicle`, `energy:vehicle` and their like; None for other metrics."""
    name, colon, own = metric.partition(":")
    known = name in SCORES or any(name in names for names in CLASS_METRICS.values())
    return (name, own) if colon and own and known else None


def class_numbers(values: Mapping[str, Any], method: str) -> dict[str, float | None]:
    """Each class's metrics and scores as `NAME:CLASS`, from `metrics/SPLIT.json`.

    Of a segmenter, or of sets of labels. A score of maps goes by its plain name only where no
    metric of a class has it.
    """
    names = dict.fromkeys(name for known in CLASS_METRICS.values() for name in known)
    found = {
        f"{name}:{own}": numbers[name]["value"]
        for own, numbers in values["metrics"]["per_class"].items()
        for name in names
        if name in numbers
    }
    gaze = values.get("gaze", {}).get(method, {}).get("per_class", {})
    scores = {
        f"{name}:{own}": score["value"]
        for own, numbers in gaze.items()
        for name, score in numbers["scores"].items()
    }
    return scores | found


def pixel_difference(
    runs: Sequence[str], against: Sequence[str], split: str, metric: str, folder: Path
) -> dict[str, Any] | None:
    """A metric of pixels of one arm less that of another over the same images; None for others.

    Args:
        runs: of an arm, one a seed, whose pixels count together.
        against: of the other.
        split: of their manifest.
        metric: of the study.
        folder: that the runs' paths start from.
    """
    tables = [[_table(folder / run, split) for run in some] for some in (against, runs)]
    if any(table is None for some in tables for table in some):
        return None
    known = [[table for table in some if table is not None] for some in tables]
    if not all(same_pixels(known[0][0], table) for some in known for table in some):
        return None  # padded or cropped otherwise: other pixels were counted
    name = _by_number(metric, folder / runs[0], split)
    if name is None:
        return None
    before, after = map(pooled_of, known)
    found = compare_pooled(before, after, len(known[0][0]), level=LEVEL)
    return found[name].as_dict() if name in found else None


def _table(run: Path, split: str) -> pl.DataFrame | None:
    path = RunFolder(run).predictions(split)
    if not path.is_file() or "confusion" not in pl.read_parquet_schema(path):
        return None
    return pl.read_parquet(path)


def _by_number(metric: str, run: Path, split: str) -> str | None:
    """`iou:vehicle` as `iou.5`, a mean as it is; None for a score of maps."""
    named = of_class(metric)
    if named is None:
        return metric
    name, own = named
    classes = read_json(RunFolder(run).metrics(split))["classes"]
    return f"{name}.{classes.index(own)}" if name in BY_CLASS and own in classes else None
