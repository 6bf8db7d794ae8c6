"""What the threshold that was chosen on val makes of a split, beside one of a half."""

from collections.abc import Mapping
from typing import Any

from regard.evaluation.thresholds import ENDING, MEASURED, Choice
from regard.language import phrase, plural
from regard.reports.blocks import Block, Cell, Heading, Table, Text
from regard.reports.contents import SplitContents
from regard.reports.predictions import span
from regard.reports.words import (
    about,
    between,
    columns,
    count,
    decimal,
    percent,
    threshold_words,
    title,
    whole,
)


def threshold_blocks(split: SplitContents, now: Mapping[str, Any] | None = None) -> list[Block]:
    """How it was chosen, and the numbers at it and at one half; nothing where there is none.

    Args:
        split: an evaluated one.
        now: what the run decides by now, which may have been chosen since.
    """
    how = (split.metrics or {}).get("threshold")
    if how is None or f"recall{ENDING}" not in split.numbers:
        return []
    return [
        Heading(phrase("At the chosen threshold")),
        Text([_chosen(how), _held(split, how), *_since(split, how, now)]),
        _table(split.numbers, how),
    ]


def _chosen(how: Mapping[str, Any]) -> str:
    aim = Choice(how["by"], how["target"], how["positive"]).words
    recall = how["metrics"]["recall"]
    name, seen = how["positive"], count(how["images"], "image")
    groups = recall.get("groups")
    return phrase(
        "An image is called {label} where its probability is {threshold} or more. That was chosen "
        "on {split} for {aim}, over {images} of which {positives} are {label}; recall there is "
        "{recall} ({interval})."
        if groups is None
        else "An image is called {label} where its probability is {threshold} or more. That was "
        "chosen on {split} for {aim}, over {images} of which {positives}, of {groups}, are "
        "{label}; recall there is {recall} ({interval}).",
        groups="" if groups is None else plural(groups, "{n} group", "{n} groups"),
        label=name,
        threshold=threshold_words(how["threshold"]),
        split=how["split"],
        aim=aim,
        images=seen,
        positives=whole(how["positives"]),
        recall=percent(recall["value"]),
        interval=between(recall, percent),
    )


def _since(
    split: SplitContents, how: Mapping[str, Any], now: Mapping[str, Any] | None
) -> list[str]:
    """That another threshold was chosen since, at which the split has not been evaluated."""
    if now is None or all(now[name] == how[name] for name in ("threshold", "positive")):
        return []
    return [
        phrase(
            "Since then {threshold} was chosen for {label}, by which exports and screenings "
            "decide; the numbers of {split} are not of that one: evaluate it again.",
            threshold=threshold_words(now["threshold"]),
            label=now["positive"],
            split=split.name,
        )
    ]


def _held(split: SplitContents, how: Mapping[str, Any]) -> str:
    if split.name == how["split"]:
        return phrase(
            "The numbers below are of the very images that it was chosen on: they are too good."
        )
    recall = split.numbers[f"recall{ENDING}"]
    target = how["target"]
    text = phrase(
        "On {split} it finds {recall} of {label} ({level} interval {interval})",
        split=split.name,
        recall=percent(recall["value"]),
        label=how["positive"],
        level=percent(recall["level"], 0),
        interval=between(recall, percent),
    )
    if target is None or recall["low"] is None:
        return f"{text}."
    if recall["high"] < target:
        return phrase("{found}: less than was aimed at.", found=text)
    if recall["low"] >= target:
        return phrase("{found}: no less than was aimed at.", found=text)
    return phrase(
        "{found}: the interval includes what was aimed at, {target}.",
        found=text,
        target=percent(target),
    )


def _table(numbers: Mapping[str, Any], how: Mapping[str, Any]) -> Table:
    rows = []
    for name in MEASURED:
        half, chosen = numbers.get(name, {}), numbers[name + ENDING]
        rows.append(
            [
                Cell(title(name), note=about(name)),
                Cell(decimal(half.get("value")), note=between(half)),
                Cell(decimal(chosen["value"]), note=between(chosen)),
                Cell(span=span(chosen), above=span(half)),
            ]
        )
    half, chosen = (threshold_words(threshold) for threshold in (0.5, how["threshold"]))
    at = [f"{phrase('At {threshold}', threshold=told)}#" for told in (half, chosen)]
    drawn = phrase("0 to 1: above at {half}, below at {chosen}", half=half, chosen=chosen)
    head = (*columns("Metric"), *at, drawn)
    caption = phrase(
        "Both thresholds, with intervals over images; of {label}", label=how["positive"]
    )
    return Table(head, rows, caption)
