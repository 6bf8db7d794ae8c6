"""What values a metric or a score may have: its intervals end where they do."""

import math

from regard.scores.base import SCORES

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
SHARE: Range = (0.0, 1.0)
UPWARDS: Range = (0.0, math.inf)
_SHARES = frozenset(
    {
        "balanced_accuracy",
        "precision",
        "recall",
        "specificity",
        "f1",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "f1_micro",
        "f1_samples",
        "hamming_loss",
        "ranking_loss",
        "roc_auc",
        "average_precision",
        "map",
        "ap_micro",
        "ece",
        "iou",
        "dice",
        "boundary_f1",
        "mean_iou",
        "mean_dice",
        "mean_boundary_f1",
        "hierarchical_precision",
        "hierarchical_recall",
        "hierarchical_f1",
        "dead_maps",
    }
)
_OTHERS: dict[str, Range] = {
    "log_loss": UPWARDS,
    "cross_entropy": UPWARDS,
    "tree_distance": UPWARDS,
    "mistake_distance": UPWARDS,
    "brier": (0.0, 2.0),
    "bg_gap": (-1.0, 1.0),
}


def range_of(metric: str) -> Range:
    """The least and the largest value that a metric or a score may have; infinite where unknown.

    Args:
        metric: by itself, of a class (`iou:CLASS`, `iou.5`) or at a threshold.

    Example:
        >>> range_of("roc_auc"), range_of("recall:moss"), range_of("energy_gain")
        ((0.0, 1.0), (0.0, 1.0), (0.0, inf))
    """
    name = metric.partition(":")[0].partition(".")[0].removesuffix("_at_threshold")
    if name in SCORES:
        return SCORES[name].within
    # By level, and with another background, it is the accuracy of these.
    if name in _SHARES or name.startswith("accuracy"):
        return SHARE
    return _OTHERS.get(name, ANY)


def difference_range(within: Range) -> Range:
    """The range of a difference of two values of a range: of two shares -1 to 1."""
    low, high = within
    return low - high, high - low
