"""Of a comparison of classifiers: every metric, every class, and the calibration of both."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regard.images.plotting import MUTED
from regard.language import phrase
from regard.reports.blocks import Block, Cell, Drawing, Drawings, Key, Table, Text
from regard.reports.class_curves import unit_axes
from regard.reports.compare_tables import MARKS, READINGS, difference_rows, reading
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.words import (
    between,
    columns,
    decimal,
    listed,
    meaning,
    p_value,
    real,
    said,
    sentence,
    signed,
    title,
    whole,
)

Told = Mapping[str, Any]
_NAMES = ("recall", "precision", "f1")
# Classes that a reader looks through; the table of more is shut.
_MANY = 12


def metrics_table(summary: Told, other: Told) -> list[Block]:
    """Every metric of both, with the difference; nothing of a comparison that has none."""
    found = other.get("metrics") or {}
    if not found:
        return []
    rows = [(Cell(title(name), note=meaning(name)), name, own) for name, own in found.items()]
    caption = phrase(
        "Other metrics of the same images, with 95 % intervals over images; not corrected for "
        "their number"
    )
    return [difference_rows(summary, other, rows, caption)]


def classes_table(other: Told) -> list[Block]:
    """Recall, precision and F1 of every class: the second run's and the difference."""
    found = other.get("per_class") or {}
    if not found:
        return []
    rows = [
        [
            Cell(label),
            Cell(whole(own["support"])),
            *(_of_class(name, own[name]) for name in _NAMES),
        ]
        for label, own in found.items()
    ]
    head = columns("Class", "Images#") + tuple(f"{title(name)}#" for name in _NAMES)
    caption = phrase(
        "Each class: {other}, and the difference with its 95 % interval; not corrected for the "
        "number of classes",
        other=other["name"],
    )
    return [Table(head, rows, caption, folded=len(rows) > _MANY)]


def calibration(summary: Told, other: Told) -> list[Block]:
    """Reliability diagrams of both side by side, and how much the calibration error differs."""
    found, error = other.get("reliability"), (other.get("metrics") or {}).get("ece")
    if not found or not error:
        return []
    names = {"before": summary["first"]["name"], "after": other["name"]}
    drawings = [_diagram(found[end], names[end], error[end]) for end in names]
    word = reading("ece", error)
    text = phrase(
        "The calibration error goes from {before} to {after}: {difference}, interval over images "
        "{interval}, p {p} ({reading}). On few images the error is never 0, even of a calibrated "
        "net: hold differences against their interval.",
        before=decimal(error["before"]),
        after=decimal(error["after"]),
        difference=signed(error["difference"]["value"]),
        interval=between(error["difference"], signed),
        p=p_value(error["p_value"]),
        reading=phrase(READINGS[word]),
    )
    keys = [Key(phrase("a bin of images, its accuracy with interval"), 0, "dot")]
    return [Text([text]), Drawings(drawings, keys)]


def _diagram(found: Told, name: str, error: Any) -> Drawing:
    used = [i for i, n in enumerate(found["count"]) if n]
    x, y, low, high, n = (
        np.array([real(found[key][i]) for i in used], dtype=float)
        for key in ("confidence", "accuracy", "low", "high", "count")
    )
    with canvas(300, 300) as drawn:
        axes = unit_axes(plot(drawn, phrase("confidence"), phrase("accuracy")))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.vlines(x, low, high, color=colour(0), linewidth=1, alpha=0.6)
        axes.scatter(x, y, 12 + 60 * n / max(n.max(initial=1), 1), color=colour(0), linewidths=0,
                     zorder=3, clip_on=False)  # fmt: skip
        alt = phrase(
            "Accuracy against confidence of {name} in {bins} bins; error {error}",
            name=name,
            bins=len(used),
            error=decimal(error),
        )
        note = phrase("error {error}", error=decimal(error))
        return Drawing(inline(drawn, alt), phrase("Calibration, {name}", name=name), note)


def _of_class(name: str, own: Told) -> Cell:
    difference = own["difference"]
    if difference["value"] is None:
        return Cell(decimal(own["after"]))
    note = f"{signed(difference['value'])}, {between(difference, signed)}"
    return Cell(decimal(own["after"]), note=note, mark=MARKS.get(reading(name, own), ""))


def metric_words(other: Told) -> str:
    """What is shown of calibration and balance, in a sentence; nothing where there is none."""
    found = other.get("metrics") or {}
    told = [
        phrase(
            "the {metric} goes from {before} to {after} ({reading})",
            metric=said(name),
            before=decimal(found[name]["before"]),
            after=decimal(found[name]["after"]),
            reading=phrase(READINGS[reading(name, found[name])]),
        )
        for name in ("f1_macro", "ece")
        if name in found
    ]
    return sentence(listed(told)) if told else ""
