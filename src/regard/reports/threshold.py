"""What the threshold that was chosen on val makes of a split, beside one of a half."""

from collections.abc import Mapping
from typing import Any

from regard.evaluation.thresholds import ENDING, MEASURED, Choice
from regard.reports.blocks import Block, Cell, Heading, Table, Text
from regard.reports.contents import SplitContents
from regard.reports.predictions import span
from regard.reports.words import about, between, count, decimal, percent, title


def threshold_blocks(split: SplitContents) -> list[Block]:
    """How it was chosen, and the numbers at it and at one half; nothing where there is none."""
    how = (split.metrics or {}).get("threshold")
    if how is None or f"recall{ENDING}" not in split.numbers:
        return []
    return [
        Heading("At the chosen threshold"),
        Text([_chosen(how), _held(split, how)]),
        _table(split.numbers, how),
    ]


def _chosen(how: Mapping[str, Any]) -> str:
    aim = Choice(how["by"], how["target"], how["positive"]).words
    recall = how["metrics"]["recall"]
    name, seen = how["positive"], count(how["images"], "image")
    return (
        f"An image is called {name} where its probability is {how['threshold']:.3g} or more. That "
        f"was chosen on {how['split']} for {aim}, over {seen} of which {how['positives']:,} are "
        f"{name}; recall there is {percent(recall['value'])} ({between(recall, percent)})."
    )


def _held(split: SplitContents, how: Mapping[str, Any]) -> str:
    if split.name == how["split"]:
        return "The numbers below are of the very images that it was chosen on: they are too good."
    recall = split.numbers[f"recall{ENDING}"]
    text = f"On {split.name} it finds {percent(recall['value'])} of {how['positive']}"
    text += f" ({percent(recall['level'], 0)} interval {between(recall, percent)})"
    if how["target"] is None or recall["low"] is None:
        return f"{text}."
    target = how["target"]
    if recall["high"] < target:
        return f"{text}: less than was aimed at."
    if recall["low"] >= target:
        return f"{text}: no less than was aimed at."
    return f"{text}: the interval includes what was aimed at, {percent(target)}."


def _table(numbers: Mapping[str, Any], how: Mapping[str, Any]) -> Table:
    rows = []
    for name in MEASURED:
        half, chosen = numbers.get(name, {}), numbers[name + ENDING]
        rows.append(
            [
                Cell(title(name), note=about(name)),
                Cell(decimal(half.get("value")), note=between(half)),
                Cell(decimal(chosen["value"]), note=between(chosen)),
                Cell(span=span(chosen)),
            ]
        )
    head = ("Metric", "At 0.5#", f"At {how['threshold']:.3g}#", "0 to 1")
    return Table(head, rows, f"Both thresholds, with intervals over images; of {how['positive']}")
