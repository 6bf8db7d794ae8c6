"""A hierarchy of labels in a report: accuracy by level, and how far mistakes are from the truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regard.evaluation.hierarchical import ACCURACY_AT
from regard.language import phrase
from regard.reports.blocks import Block, Cell, Heading, Table, Text
from regard.reports.predictions import span
from regard.reports.words import between, columns, decimal, listed, real, whole

Numbers = Mapping[str, Any]
_MOST_NAMED = 6


def level_blocks(numbers: Numbers) -> list[Block]:
    """Accuracy from the coarsest level down to the classes; nothing without a hierarchy."""
    if "hierarchy" not in numbers:
        return []
    rows = []
    levels = [name for name in numbers if name.startswith(ACCURACY_AT)]
    for name in levels:
        depth = int(name.removeprefix(ACCURACY_AT))
        labels = _labels(numbers, depth)
        about = phrase("{number}: {labels}", number=len(labels), labels=listed(labels, _MOST_NAMED))
        rows.append(_row(phrase("Level {depth}", depth=depth), about, numbers[name]))
    rows.append(_row(phrase("Classes"), whole(len(numbers["classes"])), numbers["accuracy"]))
    table = Table(
        columns("Level", "Labels", "Accuracy#", "Interval#", "0 to 1"),
        rows,
        phrase("A prediction is right at a level where it has the true label's ancestor there"),
    )
    text = _distance_words(numbers)
    return [Heading(phrase("By level")), *([Text([text])] if text else []), table]


def _row(level: str, labels: str, value: Numbers) -> list[Cell]:
    texts = (level, labels, decimal(value["value"]), between(value))
    return [*(Cell(text) for text in texts), Cell(span=span(value))]


def _labels(numbers: Numbers, depth: int) -> list[str]:
    tree = numbers["hierarchy"]
    lines = (tree["lines"][name] for name in tree["order"])
    return list(dict.fromkeys(line[min(depth, len(line)) - 1] for line in lines))


def _distance_words(numbers: Numbers) -> str:
    """The mean distance of a mistake, beside that of mistakes at random."""
    value = numbers.get("mistake_distance")
    if value is None or real(value["value"]) != real(value["value"]):
        return ""
    return phrase(
        "A mistake is {distance} edges from the true label in the mean (interval {interval}), by "
        "way of their lowest common ancestor. A wrong class drawn at random for each of the "
        "mistakes would be {random} away.",
        distance=decimal(value["value"], 2),
        interval=between(value),
        random=decimal(_at_random(numbers), 2),
    )


def _at_random(numbers: Numbers) -> float:
    """The mean distance of a wrong class drawn evenly, over the true labels of the mistakes."""
    lines = [numbers["hierarchy"]["lines"][name] for name in numbers["classes"]]
    counts = np.array(numbers["confusion"], dtype=np.int64)
    mistakes = counts.sum(1) - counts.diagonal()
    means = [np.mean([_edges(one, other) for other in lines if other != one]) for one in lines]
    return float((mistakes * np.array(means)).sum() / max(1, mistakes.sum()))


def _edges(one: list[str], other: list[str]) -> int:
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return len(one) + len(other) - 2 * shared


def in_order(numbers: Numbers) -> Numbers:
    """The numbers with the confusion in the order of the tree, where there is one."""
    if "hierarchy" not in numbers or "confusion" not in numbers:
        return numbers
    order = numbers["hierarchy"]["order"]
    places = [list(numbers["classes"]).index(name) for name in order]
    counts = np.array(numbers["confusion"], dtype=np.int64)[places][:, places]
    return {**numbers, "classes": order, "confusion": counts.tolist()}
