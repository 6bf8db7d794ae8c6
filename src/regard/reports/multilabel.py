"""Numbers of sets of labels in a report: of classes, of pairs of them, and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from regard.reports.blocks import Block, Cell, Drawings, Fact, Heading, Key, Matrix, Table, Text
from regard.reports.predictions import metrics_table, precision_recall, span
from regard.reports.words import between, count, decimal, listed, percent, real

Numbers = Mapping[str, Any]
# By class: the key and the head of its column.
COLUMNS = {
    "average_precision": "Average precision",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
# What metrics are that are others of single labels.
_TOLD = {
    "accuracy": ("Whole set right", "share of the images whose whole set of labels is right"),
    "log_loss": (
        "Log loss",
        "minus the log probability of the truth, mean over classes, in nats",
    ),
}
# Beyond so many classes pairs of them are told in a list, and curves are not told apart.
_LARGEST_MATRIX, _MOST_NAMED, _MOST_CURVES, _MOST_PAIRS = 16, 6, 30, 20


def set_results(numbers: Numbers, table: pl.DataFrame | None) -> list[Block]:
    """Metrics, classes, curves and pairs of classes of a split."""
    if not numbers:
        return []
    blocks: list[Block] = [metrics_table(numbers, numbers.get("level", 0.95), _TOLD)]
    blocks += [Heading("Classes"), Text([_by_class_words(numbers)]), class_table(numbers)]
    blocks += [] if table is None else curves(table, numbers)
    return [*blocks, *pair_tables(numbers)]


def class_table(numbers: Numbers) -> Table:
    """Each class: how many images are of it, and how well they are ranked and told."""
    rows = []
    for name, own in numbers["per_class"].items():
        share = own["support"] / max(1, numbers["n"])
        cells = [Cell(decimal(own[k]["value"]), note=between(own[k])) for k in COLUMNS]
        drawn = Cell(span=span(own["average_precision"], [share]))
        rows.append([Cell(name), Cell(f"{own['support']:,}"), Cell(percent(share)), *cells, drawn])
    head = ("Class", "Images#", "Share#", *(f"{text}#" for text in COLUMNS.values()), "0 to 1")
    caption = "Each class, with intervals over images; drawn is the average precision, dashed that "
    caption += "of a ranking at random, which is the class's share"
    return Table(head, rows, caption, folded=len(rows) > 24)


def curves(table: pl.DataFrame, numbers: Numbers) -> list[Drawings]:
    """Precision-recall curves of the classes with most images, but for those that all are of."""
    support = {name: own["support"] for name, own in numbers["per_class"].items()}
    told = [name for name in support if 0 < support[name] < len(table)]
    names = sorted(told, key=lambda name: -support[name])[:_MOST_CURVES]
    if not names:
        return []
    keys = [Key(name, tone) for tone, name in enumerate(names)]
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
        "Labels of one image are not taken for one another; what can be asked is which come "
        "together, and whether a class is seen where only its companion is.",
        _companion_words(names, alarms, without),
    ]
    both = "Images of both classes, with the share of the row's images that are of the column's "
    both += "class too"
    wrong = "False alarms: images of the row's class that the column's class is predicted of, "
    wrong += "though they are not of it; shares are of those that are not"
    return [
        Heading("Classes together"),
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
    counts = counts * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-counts, axis=None, kind="stable")[:_MOST_PAIRS]
    places = [divmod(int(place), len(names)) for place in order]
    rows = [
        [Cell(names[a]), Cell(names[b]), Cell(f"{counts[a, b]:,}"), Cell(percent(shares[a, b]))]
        for a, b in places
        if counts[a, b]
    ]
    return Table(("Class", "With", "Images#", "Share#"), rows, f"{caption}: the most frequent")


def _companion_words(names: Sequence[str], alarms: np.ndarray, without: np.ndarray) -> str:
    if not alarms.any():
        return "No class is predicted of an image that is not of it, beside another one."
    a, b = divmod(int(alarms.argmax()), len(names))
    return (
        f"The most frequent false alarm beside another class is {names[b]} on images of "
        f"{names[a]}: {alarms[a, b]:,} of the {without[a, b]:,} that are not of {names[b]}."
    )


def _by_class_words(numbers: Numbers) -> str:
    """The classes that are ranked worst, and those that are never found."""
    classes = numbers["per_class"]
    known = {n: real(own["average_precision"]["value"]) for n, own in classes.items()}
    known = {name: value for name, value in known.items() if np.isfinite(value)}
    if not known:
        return "No class has an image."
    worst = min(known, key=lambda name: known[name])
    text = f"The class that is ranked worst is {worst}, with an average precision of "
    text += f"{decimal(known[worst])}."
    lost = [name for name in known if real(classes[name]["recall"]["value"]) == 0]
    text += f" Never found from a probability of 0.5 on: {listed(lost)}." if lost else ""
    every = [name for name in known if classes[name]["support"] == numbers["n"]]
    text += (
        f" All images are of {listed(every)}: of these no ranking can be wrong." if every else ""
    )
    absent = numbers.get("absent")
    return text + (f" Without an image, and so in no mean: {listed(absent)}." if absent else "")


def set_facts(name: str, numbers: Numbers) -> list[Fact]:
    """The mean average precision and the share of right sets of a split."""
    facts = []
    for key, text, show in (
        ("map", "mAP", decimal),
        ("accuracy", "Whole set right", percent),
    ):
        value = numbers.get(key)
        if value is not None:
            note = f"{between(value, show)} over {count(value['n'], 'image')}"
            facts.append(Fact(f"{text} on {name}", show(value["value"]), note))
    return facts


def set_words(name: str, numbers: Numbers) -> str:
    """How well the sets of a split are told, beside a ranking at random."""
    value, accuracy, f1 = (numbers[key] for key in ("map", "accuracy", "f1_samples"))
    shares = [own["support"] / max(1, numbers["n"]) for own in numbers["per_class"].values()]
    held = [share for share in shares if share]
    random = sum(held) / len(held) if held else float("nan")
    text = (
        f"On {name}, the mean average precision over {count(len(held), 'class', 'classes')} is "
        f"{decimal(value['value'])} ({percent(value['level'], 0)} interval over images "
        f"{between(value)}), where a ranking at random would have about {decimal(random)}. "
        f"An image has {decimal(numbers['labels'], 1)} labels in the mean; the whole set is right "
        f"on {percent(accuracy['value'])} of {count(numbers['n'], 'image')}, and the mean F1 of a "
        f"set is {decimal(f1['value'])}."
    )
    none = numbers.get("unlabelled")
    return text + (f" {none:,} of them have no label." if none else "")
