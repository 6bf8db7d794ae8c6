"""The report of a comparison of nets for sets of labels: sets, classes, and pictures of both."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from regard.reports.album import Album
from regard.reports.blocks import Block, Card, Fact, Facts, Table
from regard.reports.compare_masks import difference_rows
from regard.reports.compare_tables import differences, outcomes_table, reading
from regard.reports.compare_words import class_words, points, verdict_words
from regard.reports.multilabel import COLUMNS
from regard.reports.pair_galleries import ENDS, Comparing, Picked, pair_galleries
from regard.reports.set_galleries import named, set_told
from regard.reports.words import between, count, decimal, p_value, percent, signed, title

Told = Mapping[str, Any]
Step = Callable[[int], None]
Show = Callable[[Any], str]


def set_facts(summary: Told, other: Told) -> Facts:
    """The mean average precision, whole sets, flips and the gaze: from what to what."""
    first, outcomes = summary["first"]["name"], other["outcomes"]
    images = f"of {count(other['images'], 'image')}"
    accuracy = differences(other)["accuracy"]
    told: list[tuple[str, Told, Show, Show]] = [
        (title("map"), other["metrics"]["map"], decimal, signed)
    ]
    told.append(("Whole sets right", accuracy, percent, points))
    if "energy" in other["scores"]:
        told.append((title("energy"), other["scores"]["energy"], decimal, signed))
    facts = []
    for text, found, show, step in told:
        difference = found["difference"]
        note = f"{show(found['before'])} with {first}, {show(found['after'])} with "
        note += f"{other['name']}; interval {between(difference, step)}"
        value = step(difference["value"]) + (" points" if step is points else "")
        facts.append(Fact(text, value, note))
    for key, who in (("right_becomes_wrong", first), ("wrong_becomes_right", other["name"])):
        facts.append(Fact(f"Whole set right with {who} alone", f"{outcomes[key]:,}", images))
    return Facts(facts)


def set_words(summary: Told, other: Told) -> list[str]:
    """What changed from the first run to this one."""
    found, first = other["metrics"]["map"], summary["first"]["name"]
    difference, accuracy = found["difference"], differences(other)["accuracy"]
    word = reading("map", difference)
    text = (
        f"With {other['name']}, the mean average precision on {summary['split']} "
        f"({count(other['images'], 'image')}) is {decimal(found['after'])}, with {first} "
        f"{decimal(found['before'])}: {signed(difference['value'])} (95 % interval over images "
        f"{between(difference, signed)}). "
    )
    text += verdict_words(other, word) + " "
    text += (
        f"The whole set is right on {percent(accuracy['after'])} of the images, with {first} on "
        f"{percent(accuracy['before'])} (McNemar's p {p_value(accuracy['p_value'])})."
    )
    return [text, class_words(other, "average_precision", "average precision")]


def set_differences(summary: Told, other: Told, pairs: pl.DataFrame) -> list[Table]:
    """Metrics of sets and scores of maps of both, and what became of the images."""
    rows = [("Whole set right", "accuracy", differences(other)["accuracy"])]
    rows += [(title(name), name, found) for name, found in other["metrics"].items()]
    rows += [(f"{title(name)} of maps", name, found) for name, found in other["scores"].items()
             if name != "sparseness"]  # fmt: skip
    caption = "Differences on the same images, with 95 % intervals over images; the dashed line is "
    return [
        difference_rows(summary, other, rows, caption + "no difference"),
        outcomes_table(pairs, summary, other, "whole sets"),
    ]


def set_class_differences(summary: Told, other: Told) -> list[Block]:
    """Each class's average precision and F1 of both, with their differences."""
    return [
        difference_rows(
            summary,
            other,
            [(name, key, own[key]) for name, own in other["per_class"].items()],
            f"{COLUMNS[key]}, class by class",
        )
        for key in ("average_precision", "f1")
    ]


def chosen_sets(pairs: pl.DataFrame, pictures: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """The images whose set became wholly right or wrong, then those whose F1 changed most."""
    change = (pl.col("f1_after") - pl.col("f1_before")).abs()
    table = pairs.with_columns(change=change).sort("change", descending=True)
    found = []
    for outcome in ("right_becomes_wrong", "wrong_becomes_right"):
        rows = table.filter(pl.col("outcome") == outcome).head(pictures).to_dicts()
        found += [(outcome, rows)] if rows else []
    return found


def set_pair_galleries(own: Comparing) -> list[Block]:
    """The photo, and of each run the map of what it has wrong, where they differ most."""
    picked = []
    for outcome, rows in chosen_sets(own.pairs, own.pictures):
        images = count(own.other["outcomes"][outcome], "image")
        title = f"Whole set right with {own.names[outcome == 'wrong_becomes_right']} alone"
        about = f"{images}, the largest change of a set's F1 first. "
        picked.append(Picked(title, f"{about}Maps of the label that changed. {own.scale}", rows))
    return pair_galleries(own, picked, _card, each=3, maps=own.maps)


def _card(albums: Sequence[Album], names: Sequence[str], row: Mapping[str, Any]) -> Card:
    index, file = row["index"], albums[0].named(row["image"])
    changed = sorted(set(row["predicted_before"]) ^ set(row["predicted_after"]))
    pictures = [albums[0].picture(index, None, f"{file}, without a map", "image")]
    for album, name, end in zip(albums, names, ENDS, strict=True):
        answer = named(row[f"predicted_{end}"])
        what = f"map of {changed[0]}"
        alt, caption = f"{file}, {name}, {what}", f"{name}: {answer}; {what}"
        pictures.append(album.picture(index, changed[0], alt, caption, label=changed[0]))
    told = [(f"{key}, {name}", text) for name, end in zip(names, ENDS, strict=True)
            for key, text in set_told(dict(row), f"_{end}") if key != "predicted"]  # fmt: skip
    return Card(pictures, named(row["labels"]), told, file)
