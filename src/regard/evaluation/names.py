"""Metrics as they are called in tables of several splits: `SPLIT.METRIC`."""

import re

# A split may have dots in its name, a class behind a colon too; a metric has none.
_NAMED = re.compile(r"(.+?)\.([^.:]+(?::.*)?)", re.DOTALL)


def split_and_metric(name: str) -> tuple[str, str]:
    """The parts of `SPLIT.METRIC`, or of `SPLIT.METRIC:CLASS`.

    Example:
        >>> split_and_metric("test2024.1.iou:no. 7")
        ('test2024.1', 'iou:no. 7')
    """
    found = _NAMED.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no metric of a split")
    return found[1], found[2]
