"""Figures and tables of what a run predicted on a split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regard.evaluation.hierarchical import ACCURACY_AT
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.thresholds import ENDING
from regard.language import phrase
from regard.reports.blocks import (
    Cell,
    Span,
    Table,
)
from regard.reports.words import (
    about,
    between,
    clauses,
    columns,
    count,
    decimal,
    percent,
    real,
    title,
    whole,
)

Intervals = Mapping[str, Any]


def metrics_table(
    numbers: Mapping[str, Any],
    level: float = CONFIDENCE,
    told: Mapping[str, tuple[str, str]] | None = None,
) -> Table:
    """Each metric with its interval over images, but for those by level and at a threshold.

    Args:
        numbers: of a split.
        level: of the intervals.
        told: titles and meanings by name, where they are not those of `words`.
    """
    own = told or {}
    named = {
        key: value
        for key, value in numbers.items()
        if isinstance(value, Mapping)
        and "value" in value
        and not key.startswith(ACCURACY_AT)
        and not key.endswith(ENDING)
    }
    rows = [
        [
            Cell(*own.get(name, (title(name), about(name)))),
            Cell(decimal(value["value"])),
            Cell(between(value), note=phrase(str(value.get("reason") or ""))),
            Cell(span=span(value)),
        ]
        for name, value in named.items()
    ]
    interval = phrase("{level} interval", level=percent(level, 0))
    head = (*columns("Metric", "Value#"), f"{interval}#", *columns("0 to 1"))
    positive = numbers.get("positive")
    caption = phrase("Metrics over {images}", images=count(int(numbers["n"]), "image"))
    if positive:
        text = phrase("precision, recall and areas are those of {label}", label=positive)
        caption = clauses(caption, text)
    return Table(head, rows, caption)


def span(value: Intervals, marks: Sequence[float] = ()) -> Span | None:
    """A number and its interval on an axis from 0 to 1, if it lies there."""
    middle, low, high = (real(value.get(key)) for key in ("value", "low", "high"))
    inside = 0 <= middle <= 1 and (np.isnan(high) or high <= 1) and (np.isnan(low) or low >= 0)
    if not inside:
        return None
    low, high = (middle if np.isnan(x) else x for x in (low, high))
    return Span(low, middle, high, [m for m in marks if 0 <= m <= 1])


def class_table(numbers: Mapping[str, Any]) -> Table:
    """Precision, recall and F1 of each class."""
    rows = [
        [Cell(name), Cell(whole(values["support"]))]
        + [
            Cell(decimal(values[key]["value"]), note=between(values[key]))
            for key in ("precision", "recall", "f1")
        ]
        for name, values in numbers["per_class"].items()
    ]
    head = columns("Class", "Images#", "Precision#", "Recall#", "F1#")
    return Table(
        head, rows, phrase("Each class, with intervals over images"), folded=len(rows) > 12
    )
