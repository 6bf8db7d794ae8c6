"""Of a comparison of classifiers: every metric, every class, and the calibration of both."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regard.data.plotting import MUTED
from regard.reports.blocks import Block, Cell, Drawing, Drawings, Key, Table, Text
from regard.reports.compare_tables import reach_of, reading, span_of
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.predictions import unit_axes
from regard.reports.words import (
    about,
    between,
    decimal,
    lower_is_better,
    p_value,
    real,
    said,
    signed,
    title,
)

Told = Mapping[str, Any]
_MARKS = {"better": "good", "worse": "bad"}
_NAMES = {"recall": "Recall", "precision": "Precision", "f1": "F1"}
# Classes that a reader looks through; the table of more is shut.
_MANY = 12


def metrics_table(summary: Told, other: Told) -> list[Block]:
    """Every metric of both, with the difference; nothing of a comparison that has none."""
    found = other.get("metrics") or {}
    if not found:
        return []
    shares = [own["difference"] for name, own in found.items() if name != "log_loss"]
    reach = reach_of(shares)
    rows = [
        [
            Cell(title(name), note=about(name) + "; lower is better" * lower_is_better(name)),
            *_numbers(own),
            Cell(span=None if name == "log_loss" else span_of(own["difference"], reach)),
            Cell(p_value(own["p_value"])),
            _reading(name, own),
        ]
        for name, own in found.items()
    ]
    head = ("", f"{summary['first']['name']}#", f"{other['name']}#", "Difference#",
            f"{signed(-reach, 2)} to {signed(reach, 2)}", "p#", "Reading")  # fmt: skip
    caption = (
        "Other metrics of the same images, with 95 % intervals over images; not corrected for "
    )
    caption += "their number"
    return [Table(head, rows, caption)]


def classes_table(other: Told) -> list[Block]:
    """Recall, precision and F1 of every class: the second run's and the difference."""
    found = other.get("per_class") or {}
    if not found:
        return []
    rows = [
        [
            Cell(label),
            Cell(f"{own['support']:,}"),
            *(_of_class(name, own[name]) for name in _NAMES),
        ]
        for label, own in found.items()
    ]
    head = ("Class", "Images#", *(f"{name}#" for name in _NAMES.values()))
    caption = f"Each class: {other['name']}, and the difference with its 95 % interval; not "
    caption += "corrected for the number of classes"
    return [Table(head, rows, caption, folded=len(rows) > _MANY)]


def calibration(summary: Told, other: Told) -> list[Block]:
    """Reliability diagrams of both side by side, and how much the calibration error differs."""
    found, error = other.get("reliability"), (other.get("metrics") or {}).get("ece")
    if not found or not error:
        return []
    names = {"before": summary["first"]["name"], "after": other["name"]}
    drawings = [_diagram(found[end], names[end], error[end]) for end in names]
    word = reading("ece", error["difference"])
    text = f"The calibration error goes from {decimal(error['before'])} to "
    text += f"{decimal(error['after'])}: {signed(error['difference']['value'])}, interval over "
    text += (
        f"images {between(error['difference'], signed)}, p {p_value(error['p_value'])} ({word})."
    )
    text += " On few images the error is never 0, even of a calibrated net: hold differences "
    text += "against their interval."
    keys = [Key("a bin of images, its accuracy with interval", 0, "dot")]
    return [Text([text]), Drawings(drawings, keys)]


def _diagram(found: Told, name: str, error: Any) -> Drawing:
    used = [i for i, n in enumerate(found["count"]) if n]
    x, y, low, high, n = (
        np.array([real(found[key][i]) for i in used], dtype=float)
        for key in ("confidence", "accuracy", "low", "high", "count")
    )
    with canvas(300, 300) as drawn:
        axes = unit_axes(plot(drawn, "confidence", "accuracy"))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.vlines(x, low, high, color=colour(0), linewidth=1, alpha=0.6)
        axes.scatter(x, y, 12 + 60 * n / max(n.max(initial=1), 1), color=colour(0), linewidths=0,
                     zorder=3)  # fmt: skip
        alt = f"Accuracy against confidence of {name} in {len(used)} bins; error {decimal(error)}"
        return Drawing(inline(drawn, alt), f"Calibration, {name}", f"error {decimal(error)}")


def _of_class(name: str, own: Told) -> Cell:
    difference = own["difference"]
    if difference["value"] is None:
        return Cell(decimal(own["after"]))
    note = f"{signed(difference['value'])}, {between(difference, signed)}"
    return Cell(decimal(own["after"]), note=note, mark=_MARKS.get(reading(name, difference), ""))


def _numbers(own: Told) -> list[Cell]:
    difference = own["difference"]
    return [
        Cell(decimal(own["before"])),
        Cell(decimal(own["after"])),
        Cell(signed(difference["value"]), note=between(difference, signed)),
    ]


def _reading(name: str, own: Told) -> Cell:
    word = reading(name, own["difference"])
    return Cell(word, mark=_MARKS.get(word, "quiet"))


def metric_words(other: Told) -> str:
    """What is shown of calibration and balance, in a sentence; nothing where there is none."""
    found = other.get("metrics") or {}
    told = [
        f"{said(name)} goes from {decimal(found[name]['before'])} to "
        f"{decimal(found[name]['after'])} ({reading(name, found[name]['difference'])})"
        for name in ("f1_macro", "ece")
        if name in found
    ]
    return f"The {' and the '.join(told)}." if told else ""
