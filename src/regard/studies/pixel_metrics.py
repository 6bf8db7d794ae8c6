"""What a study compares of segmenters: means over classes, and each class by its name."""

from collections.abc import Mapping
from typing import Any

from regard.evaluation.segmentation import MEANS
from regard.scores.base import SCORES
from regard.studies.set_metrics import BY_CLASS

# Beside accuracy and balanced accuracy, which classifiers have too.
MEAN_METRICS = tuple(name for name in MEANS.values() if name != "balanced_accuracy")


def of_class(metric: str) -> tuple[str, str] | None:
    """Name and class of `iou:vehicle`, `energy:vehicle` and their like; None for other metrics."""
    name, colon, own = metric.partition(":")
    known = name in SCORES or name in BY_CLASS
    return (name, own) if colon and own and known else None


def class_numbers(values: Mapping[str, Any], method: str) -> dict[str, float | None]:
    """Each class's metrics and scores as `NAME:CLASS`, from `metrics/SPLIT.json`.

    Of a segmenter, or of sets of labels. A score of maps goes by its plain name only where no
    metric of a class has it.
    """
    found = {
        f"{name}:{own}": numbers[name]["value"]
        for own, numbers in values["metrics"]["per_class"].items()
        for name in BY_CLASS
        if name in numbers
    }
    gaze = values.get("gaze", {}).get(method, {}).get("per_class", {})
    scores = {
        f"{name}:{own}": score["value"]
        for own, numbers in gaze.items()
        for name, score in numbers["scores"].items()
    }
    return scores | found
