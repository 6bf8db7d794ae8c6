"""Numbers of sets of labels in a report: of classes, of pairs of them, and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from regard.language import Phrases, phrase, plural
from regard.reports.blocks import Block, Cell, Drawings, Fact, Heading, Matrix, Table, Text
from regard.reports.class_curves import class_keys, precision_recall
from regard.reports.confusion import frequent_pairs
from regard.reports.predictions import metrics_table, span
from regard.reports.words import (
    between,
    columns,
    count,
    decimal,
    general,
    listed,
    percent,
    real,
    whole,
)

Numbers = Mapping[str, Any]
# By class: the key and the head of its column.
COLUMNS: Phrases = {
    "average_precision": "Average precision",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
# What metrics are that are others of single labels.
_TOLD: Phrases = {
    "accuracy": ("Whole set right", "share of the images whose whole set of labels is right"),
    "log_loss": (
        "Log loss",
        "minus the log probability of the truth, mean over classes, in nats",
    ),
}
# Beyond so many classes pairs of them are told in a list, and curves are not told apart.
_LARGEST_MATRIX, _MOST_NAMED, _MOST_CURVES = 16, 6, 30


def set_results(numbers: Numbers, table: pl.DataFrame | None) -> list[Block]:
    """Metrics, classes, curves and pairs of classes of a split."""
    if not numbers:
        return []
    told = {name: (phrase(text), phrase(line)) for name, (text, line) in _TOLD.items()}
    blocks: list[Block] = [metrics_table(numbers, numbers.get("level", 0.95), told)]
    blocks += [Heading(phrase("Classes")), Text([_by_class_words(numbers)]), class_table(numbers)]
    blocks += [] if table is None else curves(table, numbers)
    return [*blocks, *pair_tables(numbers)]


def class_table(numbers: Numbers) -> Table:
    """Each class: how many images are of it, and how well they are ranked and told."""
    rows = []
    for name, own in numbers["per_class"].items():
        share = own["support"] / max(1, numbers["n"])
        cells = [Cell(decimal(own[k]["value"]), note=between(own[k])) for k in COLUMNS]
        drawn = Cell(span=span(own["average_precision"], [share]))
        rows.append([Cell(name), Cell(whole(own["support"])), Cell(percent(share)), *cells, drawn])
    named = (f"{phrase(text)}#" for text in COLUMNS.values())
    head = (*columns("Class", "Images#", "Share#"), *named, *columns("0 to 1"))
    caption = phrase(
        "Each class, with intervals over images; drawn is the average precision, dashed that of a "
        "ranking at random, which is the class's share"
    )
    return Table(head, rows, caption, folded=len(rows) > 24)


def curves(table: pl.DataFrame, numbers: Numbers) -> list[Drawings]:
    """Precision-recall curves of the classes with most images, but for those that all are of."""
    support = {name: own["support"] for name, own in numbers["per_class"].items()}
    told = [name for name in support if 0 < support[name] < len(table)]
    names = sorted(told, key=lambda name: -support[name])[:_MOST_CURVES]
    if not names:
        return []
    keys = class_keys(names)
    drawn = precision_recall(table, names, {"average_precision": numbers["map"]})
    return [Drawings([drawn], keys if 1 < len(names) <= _MOST_NAMED else [])]


def pair_tables(numbers: Numbers) -> list[Block]:
    """Which classes come together, and which are seen where they are not."""
    names = list(numbers["classes"])
    together = np.array(numbers["cooccurrence"], dtype=np.int64)
    alarms = np.array(numbers["false_alarms"], dtype=np.int64)
    support = together.diagonal()
    # Of the images of a class those that are not of the other one.
    without = support[:, None] - together
    of_both = together / np.maximum(support[:, None], 1)
    of_alarms = alarms / np.maximum(without, 1)
    text = [
        phrase(
            "Labels of one image are not taken for one another; what can be asked is which come "
            "together, and whether a class is seen where only its companion is."
        ),
        _companion_words(names, alarms, without),
    ]
    both = phrase(
        "Images of both classes, with the share of the row's images that are of the column's class "
        "too"
    )
    wrong = phrase(
        "False alarms: images of the row's class that the column's class is predicted of, though "
        "they are not of it; shares are of those that are not"
    )
    return [
        Heading(phrase("Classes together")),
        Text(text),
        _pairs(names, together, of_both, both, mistakes=False),
        _pairs(names, alarms, of_alarms, wrong, mistakes=True),
    ]


def _pairs(
    names: Sequence[str], counts: np.ndarray, shares: np.ndarray, caption: str, *, mistakes: bool
) -> Block:
    """A matrix, or of many classes the most frequent pairs."""
    if len(names) <= _LARGEST_MATRIX:
        cells = [
            [(int(c), float(s) if c else 0.0) for c, s in zip(row, share, strict=True)]
            for row, share in zip(counts, shares, strict=True)
        ]
        return Matrix(names, cells, caption, mistakes)
    rows = frequent_pairs(names, counts, shares)
    caption = phrase("{caption}: the most frequent", caption=caption)
    return Table(columns("Class", "With", "Images#", "Share#"), rows, caption)


def _companion_words(names: Sequence[str], alarms: np.ndarray, without: np.ndarray) -> str:
    if not alarms.any():
        return phrase("No class is predicted of an image that is not of it, beside another one.")
    a, b = divmod(int(alarms.argmax()), len(names))
    return phrase(
        "The most frequent false alarm beside another class is {alarm} on images of {label}: "
        "{alarms} of the {images} that are not of {alarm}.",
        alarm=names[b],
        label=names[a],
        alarms=whole(int(alarms[a, b])),
        images=whole(int(without[a, b])),
    )


def _by_class_words(numbers: Numbers) -> str:
    """The classes that are ranked worst, and those that are never found."""
    classes = numbers["per_class"]
    known = {n: real(own["average_precision"]["value"]) for n, own in classes.items()}
    known = {name: value for name, value in known.items() if np.isfinite(value)}
    if not known:
        return phrase("No class has an image.")
    every = [name for name in known if classes[name]["support"] == numbers["n"]]
    ranked = {name: value for name, value in known.items() if name not in every}
    told = [
        phrase(
            "The class that is ranked worst is {label}, with an average precision of {value}.",
            label=worst,
            value=decimal(ranked[worst]),
        )
        for worst in sorted(ranked, key=lambda name: ranked[name])[:1]
    ]
    lost = [name for name in known if real(classes[name]["recall"]["value"]) == 0]
    if lost:
        told.append(
            phrase(
                "Never found from a probability of {half} on: {labels}.",
                half=general(0.5),
                labels=listed(lost),
            )
        )
    if every:
        text = "All images are of {labels}: of these no ranking can be wrong."
        told.append(phrase(text, labels=listed(every)))
    if absent := numbers.get("absent"):
        told.append(phrase("Without an image, and so in no mean: {labels}.", labels=listed(absent)))
    return " ".join(told)


def set_facts(name: str, numbers: Numbers) -> list[Fact]:
    """The mean average precision and the share of right sets of a split."""
    facts = []
    for key, text, show in (
        ("map", phrase("mAP on {split}", split=name), decimal),
        ("accuracy", phrase("Whole set right on {split}", split=name), percent),
    ):
        value = numbers.get(key)
        if value is not None:
            note = phrase(
                "{interval} over {images}",
                interval=between(value, show),
                images=count(value["n"], "image"),
            )
            facts.append(Fact(text, show(value["value"]), note))
    return facts


def set_words(name: str, numbers: Numbers) -> str:
    """How well the sets of a split are told, beside a ranking at random."""
    value, accuracy, f1 = (numbers[key] for key in ("map", "accuracy", "f1_samples"))
    shares = [own["support"] / max(1, numbers["n"]) for own in numbers["per_class"].values()]
    held = [share for share in shares if share]
    random = sum(held) / len(held) if held else float("nan")
    text = phrase(
        "On {split}, the mean average precision over {classes} is {value} ({level} interval over "
        "images {interval}), where a ranking at random would have about {random}. An image has "
        "{labels} labels in the mean; the whole set is right on {right} of {images}, and the mean "
        "F1 of a set is {f1}.",
        split=name,
        classes=count(len(held), "class", "classes"),
        value=decimal(value["value"]),
        level=percent(value["level"], 0),
        interval=between(value),
        random=decimal(random),
        labels=decimal(numbers["labels"], 1),
        right=percent(accuracy["value"]),
        images=count(numbers["n"], "image"),
        f1=decimal(f1["value"]),
    )
    none = numbers.get("unlabelled")
    if not none:
        return text
    return f"{text} {plural(none, '{n} of them has no label.', '{n} of them have no label.')}"
