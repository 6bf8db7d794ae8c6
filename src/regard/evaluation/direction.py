"""Which numbers are better the lower they are."""

from regard.scores.base import SCORES

LOWER = frozenset(
    {
        "log_loss",
        "brier",
        "ece",
        "dead_maps",
        "loss",
        "cross_entropy",
        "bg_gap",
        "hamming_loss",
        "ranking_loss",
        "tree_distance",
        "mistake_distance",
    }
)


def lower_is_better(metric: str) -> bool:
    """Whether less is better: of a loss, of an error, or of a score that says so.

    Args:
        metric: by itself, of a class (`energy:CLASS`) or of a split (`val.loss.energy`).
    """
    name = metric.partition(":")[0]
    return any(_is_lower(part) for part in (name, name.partition(".")[2]))


def _is_lower(name: str) -> bool:
    if name in SCORES:
        return SCORES[name].better == "lower"
    return name in LOWER or name.startswith("loss.")
