"""What a study compares of sets of labels, and of labels that hang in a tree."""

from regard.data.settings import Task
from regard.evaluation import hierarchical, multilabel, segmentation

SET_METRICS = (*multilabel.POOLED, *multilabel.BY_IMAGE)
# Of single classes, as `NAME:CLASS`; a classifier's table has a row an image, not one a class.
CLASS_METRICS: dict[Task, tuple[str, ...]] = {
    "classification": (),
    "multilabel": multilabel.BY_CLASS,
    "segmentation": segmentation.BY_CLASS,
}
BY_CLASS = tuple(dict.fromkeys(name for names in CLASS_METRICS.values() for name in names))


def of_hierarchy(metric: str) -> bool:
    """Whether a metric is one of those that need a hierarchy of labels."""
    named = metric in (*hierarchical.SHARES, *hierarchical.DISTANCES)
    return named or level_of(metric) is not None


def level_of(metric: str) -> int | None:
    """The depth of `accuracy_level_N`, 1 or more; None of another metric."""
    depth = metric.removeprefix(hierarchical.ACCURACY_AT)
    level = depth != metric and depth.isdecimal() and int(depth) > 0
    return int(depth) if level else None


def of_predictions(metric: str) -> str | None:
    """The column of the predictions whose mean a metric is; None where it is no such mean."""
    if metric == "accuracy":
        return "correct"
    by_image = metric in multilabel.BY_IMAGE or metric.startswith(hierarchical.ACCURACY_AT)
    return metric if by_image or metric == hierarchical.DISTANCES[0] else None
