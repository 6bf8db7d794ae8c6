"""Numbers of a segmenter in a report: of pixels, of classes, and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import polars as pl

from regard.evaluation.bounds import marks
from regard.evaluation.gaze import is_pooled, score_names
from regard.evaluation.segmentation import MEANS
from regard.language import Phrases, phrase
from regard.reports.blocks import Block, Cell, Fact, Heading, Matrix, Table, Text
from regard.reports.confusion import confusion
from regard.reports.predictions import span
from regard.reports.words import (
    NONE,
    between,
    columns,
    count,
    decimal,
    listed,
    percent,
    real,
    title,
    whole,
)

Numbers = Mapping[str, Any]
# Pixels beyond which a matrix counts thousands of them.
_MANY = 1_000_000
# By class: the key and the head of its column.
COLUMNS: Phrases = {
    "iou": "IoU of pixels",
    "dice": "Dice",
    "recall": "Right pixels",
    "precision": "Precision",
    "boundary_f1": "Boundary F1",
}
# Scores of maps that a table of classes has room for.
_SCORES = ("energy", "energy_gain", "iou", "pointing")
_ABOUT: Phrases = {
    "accuracy": "share of all pixels",
    "mean_iou": "mean over the classes of the intersection of predicted and true pixels over "
    "their union",
    "mean_dice": "mean over the classes of twice the intersection over the sum of both",
    "balanced_accuracy": "mean over the classes of the share of their pixels that is right",
    "mean_boundary_f1": "mean over the classes of how well their edges are met",
}


def pixel_title(name: str) -> str:
    """A metric's name, where it is one of pixels."""
    return phrase("Right pixels") if name == "accuracy" else title(name)


def pixel_metrics(numbers: Numbers) -> Table:
    """Each metric of all pixels with its interval over images."""
    rows = [
        [
            Cell(pixel_title(name), note=phrase(_ABOUT[name])),
            Cell(decimal(numbers[name]["value"])),
            Cell(between(numbers[name]), note=phrase(str(numbers[name].get("reason") or ""))),
            Cell(span=span(numbers[name])),
        ]
        for name in ("accuracy", *MEANS.values())
        if name in numbers
    ]
    level = percent(numbers.get("level", 0.95), 0)
    interval = phrase("{level} interval", level=level)
    head = (*columns("Metric", "Value#"), f"{interval}#", *columns("0 to 1"))
    caption = phrase(
        "Metrics of {pixels} pixels of {images}; intervals are over images",
        pixels=whole(numbers["pixels"]),
        images=count(numbers["n"], "image"),
    )
    return Table(head, rows, caption)


def pixel_classes(numbers: Numbers) -> Table:
    """Each class: its share of the pixels, and how well it is met."""
    total = max(1, sum(own["support"] for own in numbers["per_class"].values()))
    rows = []
    for name, own in numbers["per_class"].items():
        cells = [Cell(decimal(own[k]["value"]), note=between(own[k])) for k in COLUMNS]
        rows.append([Cell(name), Cell(percent(own["support"] / total)), *cells])
    named = (f"{phrase(text)}#" for text in COLUMNS.values())
    head = (*columns("Class", "Of all pixels#"), *named)
    return Table(
        head, rows, phrase("Each class, with intervals over images"), folded=len(rows) > 24
    )


def pixel_confusion(numbers: Numbers) -> list[Block]:
    """Who is taken for whom, and the largest mistake in words; of many pixels thousands."""
    unit = 1000 if np.sum(numbers["confusion"]) > _MANY else 1
    text = phrase(
        "Counts are thousands of pixels: a row is a true class, a column a predicted one."
        if unit > 1
        else "Counts are pixels: a row is a true class, a column a predicted one."
    )
    found = [_in_units(block, unit) for block in confusion(numbers)]
    return [Heading(phrase("Classes")), Text([_first_mistake(numbers), text]), *found]


def _in_units(block: Block, unit: int) -> Block:
    if not isinstance(block, Matrix):
        return block
    cells = [[(round(number / unit), share) for number, share in row] for row in block.cells]
    return replace(block, cells=cells)


def _first_mistake(numbers: Numbers) -> str:
    names, counts = numbers["classes"], np.array(numbers["confusion"], dtype=np.int64)
    wrong = counts * (1 - np.eye(len(names), dtype=np.int64))
    if not wrong.any():
        return phrase("No pixel is misclassified.")
    shares = wrong / np.maximum(counts.sum(1, keepdims=True), 1)
    a, b = divmod(int(shares.argmax()), len(names))
    return phrase(
        "The largest part of a class that is lost to another: of {label}, {share} of the pixels "
        "are taken for {predicted}.",
        label=names[a],
        share=percent(shares[a, b]),
        predicted=names[b],
    )


_GAZE: Phrases = {
    "mask": "Of each class that an image holds the map of the pixels where it is predicted, "
    "against those where it truly is. A map is dead where the class is predicted nowhere, or "
    "where nothing in the layer speaks for it.",
    "label": "Of each label of an image the map of its logit, against the label's own region where "
    "boxes have classes, else against the image's.",
}


def gaze_classes(
    scores: pl.DataFrame, summary: Numbers, about: Literal["mask", "label"] = "mask"
) -> list[Block]:
    """Where the net looks for each class, beside what a uniform map would score."""
    classes = summary.get("per_class") or {}
    names = [n for n in _SCORES if n in score_names(scores) and not is_pooled(n)]
    if not classes or not names:
        return []
    rows = []
    for label, own in classes.items():
        table = scores.filter(pl.col("label") == label)
        cells = [_score_cell(table, own, name) for name in names]
        dead = Cell(percent(own["dead_maps"]))
        rows.append([Cell(label), Cell(percent(own["mean_area"])), *cells, dead])
    scored = (f"{title(name)}#" for name in names)
    head = (*columns("Class", "Mean area#"), *scored, f"{title('dead_maps')}#")
    return [Text([phrase(_GAZE[about])]), Table(head, rows, phrase("Gaze by class"))]


def _score_cell(table: pl.DataFrame, own: Numbers, name: str) -> Cell:
    value, held = own["scores"].get(name), marks(table, name)
    if value is None:
        return Cell(NONE)
    # That of energy is the class's area, and 1 the most that it can be.
    told = held is not None and name == "iou" and np.isfinite(held.best)
    note = between(value)
    if told and held:
        note = phrase("{interval}, at most {best}", interval=note, best=decimal(held.best, 2))
    return Cell(decimal(value["value"]), note=note)


def pixel_facts(name: str, numbers: Numbers) -> list[Fact]:
    """The mean IoU and the share of right pixels of a split."""
    facts = []
    for key, text in (
        ("mean_iou", phrase("Mean IoU on {split}", split=name)),
        ("accuracy", phrase("Right pixels on {split}", split=name)),
    ):
        value = numbers.get(key)
        if value is not None:
            note = phrase(
                "{interval} over {images}",
                interval=between(value),
                images=count(value["n"], "image"),
            )
            facts.append(Fact(text, decimal(value["value"]), note))
    return facts


def pixel_words(name: str, numbers: Numbers) -> str:
    """How well a split is segmented, its worst class, and what the commonest class would get."""
    value, accuracy = numbers["mean_iou"], numbers["accuracy"]
    classes = numbers["per_class"]
    known = [c for c in classes if np.isfinite(real(classes[c]["iou"]["value"]))]
    if not known:
        return phrase("On {split}, nothing is said of any pixel.", split=name)
    worst = min(known, key=lambda c: real(classes[c]["iou"]["value"]))
    support = {c: own["support"] for c, own in classes.items()}
    commonest = max(support, key=lambda c: support[c])
    share = support[commonest] / max(1, sum(support.values()))
    text = phrase(
        "On {split}, the mean IoU over {classes} is {value} (95 % interval over images "
        "{interval}), and {right} of the pixels are right, where {label} everywhere would have "
        "{share}.",
        split=name,
        classes=count(len(known), "class", "classes"),
        value=decimal(value["value"]),
        interval=between(value),
        right=percent(accuracy["value"]),
        label=commonest,
        share=percent(share),
    )
    return f"{text} {_worst(classes, worst)}"


def _worst(classes: Numbers, worst: str) -> str:
    """The class of the lowest IoU, or those that are never met."""
    lost = [name for name, own in classes.items() if real(own["iou"]["value"]) == 0]
    if lost:
        return phrase("No pixel of {labels} is found.", labels=listed(lost))
    value = decimal(classes[worst]["iou"]["value"])
    return phrase("The worst class is {label}, with {value}.", label=worst, value=value)


def pixel_shares(splits: Sequence[tuple[str, Numbers]]) -> Table:
    """How much of the evaluated splits' pixels each class has."""
    names = list(splits[0][1]["per_class"]) if splits else []
    totals = [max(1, sum(c["support"] for c in own["per_class"].values())) for _, own in splits]
    rows = [
        [Cell(name)]
        + [
            Cell(percent(own["per_class"][name]["support"] / total))
            for (_, own), total in zip(splits, totals, strict=True)
        ]
        for name in names
    ]
    head = (*columns("Class"), *(f"{split}#" for split, _ in splits))
    return Table(
        head, rows, phrase("Shares of the pixels that are not void, in the evaluated splits")
    )
