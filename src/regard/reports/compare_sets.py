"""The report of a comparison of nets for sets of labels: sets, classes, and pictures of both."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from regard.language import phrase
from regard.reports.album import Album
from regard.reports.blocks import Block, Card, Fact, Facts, Table
from regard.reports.compare_tables import (
    difference_rows,
    differences,
    differences_caption,
    outcomes_table,
    reading,
    titled,
)
from regard.reports.compare_verdicts import (
    change_places,
    class_words,
    map_words,
    points,
    verdict_words,
)
from regard.reports.galleries import without_map
from regard.reports.multilabel import COLUMNS
from regard.reports.pair_galleries import ENDS, Comparing, Picked, pair_galleries
from regard.reports.set_galleries import named, set_told
from regard.reports.words import (
    between,
    count,
    decimal,
    p_value,
    percent,
    said,
    signed,
    title,
    whole,
    why_none,
)
from regard.runs.grouped import grouped_words

Told = Mapping[str, Any]
Show = Callable[[Any], str]


def set_facts(summary: Told, other: Told) -> Facts:
    """The mean average precision, whole sets, flips and the gaze: from what to what."""
    first, outcomes = summary["first"]["name"], other["outcomes"]
    images = phrase("of {images}", images=count(other["images"], "image"))
    accuracy = differences(other)["accuracy"]
    told: list[tuple[str, Told, Show, Show]] = [
        (title("map"), other["metrics"]["map"], decimal, signed)
    ]
    told.append((phrase("Whole sets right"), accuracy, percent, points))
    if "energy" in other["scores"]:
        told.append((title("energy"), other["scores"]["energy"], decimal, signed))
    facts = []
    for text, found, show, step in told:
        difference = found["difference"]
        note = why_none(difference) or phrase(
            "{before} with {first}, {after} with {other}; interval {interval}",
            before=show(found["before"]),
            first=first,
            after=show(found["after"]),
            other=other["name"],
            interval=between(difference, step),
        )
        value = step(difference["value"])
        value = phrase("{value} points", value=value) if step is points else value
        facts.append(Fact(text, value, note))
    for key, who in (("right_becomes_wrong", first), ("wrong_becomes_right", other["name"])):
        facts.append(
            Fact(phrase("Whole set right with {arm} alone", arm=who), whole(outcomes[key]), images)
        )
    return Facts(facts)


def set_words(summary: Told, other: Told) -> list[str]:
    """What changed from the first run to this one."""
    found, accuracy = other["metrics"]["map"], differences(other)["accuracy"]
    word = reading("map", found)
    text = phrase(
        "With {other}, the mean average precision on {split} ({images}) is {after}, with {first} "
        "{before}: {difference} (95 % interval over images {interval}).",
        **change_places(summary, other, found),
    )
    whole_sets = phrase(
        "The whole set is right on {after} of the images, with {first} on {before} (McNemar's p "
        "{p}).",
        after=percent(accuracy["after"]),
        first=summary["first"]["name"],
        before=percent(accuracy["before"]),
        p=p_value(accuracy["p_value"]),
    )
    text = f"{text} {verdict_words(other, word)} {whole_sets}"
    grouped = grouped_words(summary, other["images"], summary["split"])
    by_class = class_words(other, "average_precision", said("average_precision"))
    words = (text, by_class, grouped, map_words(summary, other))
    return [own for own in words if own]


def set_differences(summary: Told, other: Told, pairs: pl.DataFrame) -> list[Table]:
    """Metrics of sets and scores of maps of both, and what became of the images."""
    named = [(phrase("Whole set right"), "accuracy", differences(other)["accuracy"])]
    named += [(title(name), name, found) for name, found in other["metrics"].items()]
    named += [
        (phrase("{score} of maps", score=title(name)), name, found)
        for name, found in other["scores"].items()
        if name != "sparseness"
    ]
    rows = [(titled(text, name), name, found) for text, name, found in named]
    return [
        difference_rows(summary, other, rows, differences_caption()),
        outcomes_table(pairs, summary, other, sets=True),
    ]


def set_class_differences(summary: Told, other: Told) -> list[Block]:
    """Each class's average precision and F1 of both, with their differences."""
    return [
        difference_rows(
            summary,
            other,
            [(titled(name, key), key, own[key]) for name, own in other["per_class"].items()],
            phrase("{metric}, class by class", metric=phrase(COLUMNS[key])),
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
        arm = own.names[outcome == "wrong_becomes_right"]
        title = phrase("Whole set right with {arm} alone", arm=arm)
        about = phrase(
            "{images}, the largest change of a set's F1 first. Maps of the label that changed.",
            images=images,
        )
        picked.append(Picked(title, f"{about} {own.scale}", rows))
    return pair_galleries(own, picked, _card, each=3, maps=own.maps)


def _card(albums: Sequence[Album], names: Sequence[str], row: Mapping[str, Any]) -> Card:
    index, file = row["index"], albums[0].named(row["image"])
    changed = sorted(set(row["predicted_before"]) ^ set(row["predicted_after"]))
    pictures = [albums[0].picture(index, None, without_map(file), phrase("image"))]
    for album, name, end in zip(albums, names, ENDS, strict=True):
        answer = named(row[f"predicted_{end}"])
        what = phrase("map of {label}", label=changed[0])
        alt = f"{file}, {name}, {what}"
        caption = phrase("{arm}: {answer}; {map}", arm=name, answer=answer, map=what)
        pictures.append(album.picture(index, changed[0], alt, caption, label=changed[0]))
    told = [(f"{key}, {name}", text) for name, end in zip(names, ENDS, strict=True)
            for key, text in set_told(dict(row), f"_{end}", answer=False)]  # fmt: skip
    return Card(pictures, named(row["labels"]), told, file)
