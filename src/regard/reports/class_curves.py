"""Curves of classes: ROC, precision-recall, and how far confidence is accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regard.evaluation.curves import precision_recall_curve, reliability_diagram, roc_curve
from regard.evaluation.thresholds import ENDING
from regard.images.plotting import GRID, INK, MUTED, shortened
from regard.language import PhraseTuple, phrase
from regard.reports.blocks import (
    Drawing,
    Drawings,
    Key,
)
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.history import LOOKS
from regard.reports.words import (
    between,
    clauses,
    count,
    decimal,
    listed,
    real,
)

Intervals = Mapping[str, Any]

_MOST_CURVES = 30
_MOST_NAMED = 6
_IN_A_BIN = 20


def ranking_curves(table: pl.DataFrame, numbers: Mapping[str, Any]) -> list[Drawings]:
    """ROC and precision-recall of the positive class or of each against the rest; calibration."""
    names = _curve_classes(numbers)
    few = len(names) <= _MOST_NAMED
    keys = class_keys(names) if few and len(names) > 1 else []
    areas = [_roc(table, names, numbers), precision_recall(table, names, numbers)]
    calibration = _calibration(table, numbers)
    return [Drawings([*areas, calibration], keys)]


def _curve_classes(numbers: Mapping[str, Any]) -> list[str]:
    """The positive class of two; else those with most images."""
    if numbers.get("positive") is not None:
        return [numbers["positive"]]
    support = {name: values["support"] for name, values in numbers["per_class"].items()}
    return sorted(support, key=lambda name: -support[name])[:_MOST_CURVES]


def _roc(table: pl.DataFrame, names: Sequence[str], numbers: Mapping[str, Any]) -> Drawing:
    with canvas(300, 300) as drawn:
        axes = unit_axes(plot(drawn, phrase("false positive rate"), phrase("true positive rate")))
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
        for tone, name in enumerate(names):
            found = roc_curve(table, name)
            _thin(axes, found["false_positive_rate"], found["true_positive_rate"], tone, len(names))
        _mark(axes, 1 - _at(numbers, "specificity"), _at(numbers, "recall"))
        return _area(drawn, _ROC, names, numbers.get("roc_auc", {}), marked=_decides(numbers))


def precision_recall(
    table: pl.DataFrame, names: Sequence[str], numbers: Mapping[str, Any]
) -> Drawing:
    """Precision-recall curves of classes, with the area that the numbers have for them."""
    with canvas(300, 300) as drawn:
        axes = unit_axes(plot(drawn, phrase("recall"), phrase("precision")))
        for tone, name in enumerate(names):
            found = precision_recall_curve(table, name)
            _thin(axes, *_steps(found), tone, len(names), steps=True)
        _mark(axes, _at(numbers, "recall"), _at(numbers, "precision"))
        area = numbers.get("average_precision", {})
        return _area(drawn, _PRECISION, names, area, marked=_decides(numbers))


def _at(numbers: Mapping[str, Any], name: str) -> float:
    """A number at the threshold that was chosen; NaN for none."""
    return real(numbers.get(name + ENDING, {}).get("value"))


def _decides(numbers: Mapping[str, Any]) -> bool:
    return f"recall{ENDING}" in numbers


def _mark(axes: Axes, x: float, y: float) -> None:
    """A ring where the threshold lies on a curve, if one was chosen."""
    if np.isfinite(x) and np.isfinite(y):
        how = {"facecolor": "white", "edgecolor": INK, "linewidths": 1.6, "zorder": 4}
        axes.scatter([x], [y], 46, clip_on=False, **how)


def _steps(curve: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Recall and precision, rising from 0: each precision holds back to the recall before.

    The area under these steps is the average precision. Of points of the same recall the one
    with the fewest false alarms counts, and those without any hit have no place. Nothing is
    drawn of a class without images, or with all of them.
    """
    best: dict[float, float] = {}
    for recall, precision in zip(curve["recall"], curve["precision"], strict=True):
        if recall > 0:
            best[recall] = max(precision, best.get(recall, 0))
    recalls = sorted(best)
    if not recalls:
        return [], []
    return [0.0, *recalls], [best[recall] for recall in [*recalls[:1], *recalls]]


def _area(
    drawn: Figure,
    told: tuple[str, str, str],
    names: Sequence[str],
    area: Intervals,
    *,
    marked: bool,
) -> Drawing:
    note = phrase(
        "area {area}, interval {interval}",
        area=decimal(area.get("value")),
        interval=between(area),
    )
    ring = phrase("the ring is the threshold chosen on val") if marked else ""
    note = clauses(note, ring)
    of = listed([shortened(name, 40) for name in names], _MOST_NAMED)
    name, of_one, alt = told
    title = phrase(of_one, label=of) if len(names) == 1 else phrase(name)
    return Drawing(inline(drawn, phrase(alt, labels=of, note=note)), title, note)


# Title, title of one class, and the text alternative.
_ROC: PhraseTuple = ("ROC", "ROC, {label}", "ROC curve of {labels} against the rest; {note}")
_PRECISION: PhraseTuple = (
    "Precision–recall",
    "Precision–recall, {label}",
    "Precision–recall curve of {labels} against the rest; {note}",
)


def _thin(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    tone: int,
    many: int,
    *,
    steps: bool = False,
) -> None:
    named = many <= _MOST_NAMED
    axes.plot(
        x,
        y,
        color=colour(tone if named else 0),
        drawstyle="steps-pre" if steps else "default",
        **LOOKS[_shape(tone, many) if named else "thin"],
    )


def class_keys(names: Sequence[str]) -> list[Key]:
    """The legend of the curves of classes."""
    return [Key(name, tone, _shape(tone, len(names))) for tone, name in enumerate(names)]


def _shape(tone: int, many: int) -> str:
    """How a class's curve is drawn, so that curves on top of each other are all seen."""
    return "line" if many == 1 else ("wide", "line", "dashed", "dotted")[tone % 4]


def unit_axes(axes: Axes) -> Axes:
    """Axes from 0 to 1, both alike."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.set_aspect("equal")
    axes.grid(axis="both")
    axes.tick_params(labelcolor=INK)
    return axes


def _calibration(table: pl.DataFrame, numbers: Mapping[str, Any]) -> Drawing:
    # A dot of few images lies anywhere; of a small table every dot is a quarter at least.
    least = max(1, min(_IN_A_BIN, len(table) // 4))
    found = reliability_diagram(table, least=least)
    used = [i for i, n in enumerate(found["count"]) if n]
    x, y, low, high, n = (
        np.array([found[key][i] for i in used], dtype=float)
        for key in ("confidence", "accuracy", "low", "high", "count")
    )
    with canvas(300, 300) as drawn:
        axes = unit_axes(plot(drawn, phrase("confidence"), phrase("accuracy")))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.vlines(x, low, high, color=colour(0), linewidth=1, alpha=0.6)
        sizes = 12 + 60 * n / max(n.max(initial=1), 1)
        axes.scatter(x, y, sizes, color=colour(0), linewidths=0, zorder=3, clip_on=False)
        error = numbers.get("ece", {})
        note = phrase(
            "error {error}, interval {interval}",
            error=decimal(error.get("value")),
            interval=between(error),
        )
        alt = phrase(
            "Accuracy against confidence in {bins} bins; calibration {note}",
            bins=len(used),
            note=note,
        )
        images = count(least, "image")
        note = clauses(note, phrase("a dot is of {images} or more", images=images))
        return Drawing(inline(drawn, alt), phrase("Calibration"), note)
