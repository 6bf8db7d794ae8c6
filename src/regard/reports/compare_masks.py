"""The report of a comparison of segmenters: pixels, classes, gaze, and pictures of both."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from regard.data.mask_classes import VOID
from regard.images.mask_colours import WRONG, class_colours
from regard.language import phrase
from regard.reports import layers
from regard.reports.album import Album
from regard.reports.blocks import Block, Card, Fact, Facts, Picture, Table
from regard.reports.compare_tables import (
    difference_rows,
    differences_caption,
    reading,
    titled,
)
from regard.reports.compare_verdicts import change_places, class_words, map_words, verdict_words
from regard.reports.mask_galleries import shown_masks
from regard.reports.pair_galleries import Comparing, Picked, pair_galleries
from regard.reports.segmentation import COLUMNS, pixel_title
from regard.reports.words import (
    between,
    decimal,
    percent,
    signed,
    title,
    why_none,
)
from regard.runs.grouped import grouped_words

Told = Mapping[str, Any]


def mask_facts(summary: Told, other: Told) -> Facts:
    """The mean IoU, the right pixels and the gaze: from what to what."""
    named = [(pixel_title(name), other["metrics"][name]) for name in ("mean_iou", "accuracy")]
    named += [(title("energy"), other["scores"]["energy"])] if "energy" in other["scores"] else []
    names = summary["first"]["name"], other["name"]
    facts = []
    for text, found in named:
        note = why_none(found["difference"]) or phrase(
            "{before} with {first}, {after} with {other}; interval {interval}",
            before=decimal(found["before"]),
            first=names[0],
            after=decimal(found["after"]),
            other=names[1],
            interval=between(found["difference"], signed),
        )
        facts.append(Fact(text, signed(found["difference"]["value"]), note))
    return Facts(facts)


def mask_words(summary: Told, other: Told) -> list[str]:
    """What changed from the first run to this one."""
    found = other["metrics"]["mean_iou"]
    word = reading("mean_iou", found)
    text = phrase(
        "With {other}, the mean IoU on {split} ({images}) is {after}, with {first} {before}: "
        "{difference} (95 % interval over images {interval}).",
        **change_places(summary, other, found),
    )
    grouped = grouped_words(summary, other["images"], summary["split"])
    words = [f"{text} {verdict_words(other, word)}", class_words(other, "iou", "IoU"), grouped]
    words.append(map_words(summary, other))
    return [text for text in words if text]


def metrics_differences(summary: Told, other: Told) -> Table:
    """The metrics of pixels and the scores of maps of both runs, with their differences."""
    rows = [
        (titled(pixel_title(name), name), name, found) for name, found in other["metrics"].items()
    ]
    rows += [
        (titled(phrase("{score} of maps", score=title(name)), name), name, found)
        for name, found in other["scores"].items()
        if name != "sparseness"
    ]
    return difference_rows(summary, other, rows, differences_caption())


def class_differences(summary: Told, other: Told, key: str) -> Table:
    """One metric of each class of both runs, with its difference."""
    rows = [(titled(name, key), key, own[key]) for name, own in other["per_class"].items()]
    caption = phrase("{metric}, class by class", metric=phrase(COLUMNS[key]))
    return difference_rows(summary, other, rows, caption)


def chosen_pairs(pairs: pl.DataFrame, pictures: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """The images whose own mean IoU rose most, and those where it fell most."""
    change = pl.col("iou_after") - pl.col("iou_before")
    table = pairs.with_columns(change=change).filter(pl.col("change").is_finite())
    risen = table.filter(pl.col("change") > 0).sort("change", descending=True).head(pictures)
    fallen = table.filter(pl.col("change") < 0).sort("change").head(pictures)
    found = [("risen", risen.to_dicts()), ("fallen", fallen.to_dicts())]
    return [(kind, rows) for kind, rows in found if rows]


def mask_pair_galleries(own: Comparing) -> list[Block]:
    """Photo, truth, and what each run predicts, where they differ most."""
    colours = class_colours(own.summary["classes"])
    legend = [*zip(own.summary["classes"], colours, strict=True), (phrase("wrong"), WRONG)]
    about = phrase("The largest change of an image's own mean IoU first.")
    picked = [
        Picked(phrase("Better with {arm}", arm=own.names[kind == "risen"]), about, rows)
        for kind, rows in chosen_pairs(own.pairs, own.pictures)
    ]
    return pair_galleries(own, picked, _card, each=5, legend=legend)


def _card(albums: Sequence[Album], names: Sequence[str], row: Mapping[str, Any]) -> Card:
    index, file = row["index"], albums[0].named(row["image"])
    (first, true), (second, _) = (shown_masks(album, index) for album in albums)
    colours = class_colours(albums[0].run.classes)
    told = [(phrase("photo"), None, colours), (phrase("truth"), true, colours)]
    told += [(name, guess, colours) for name, guess in zip(names, (first, second), strict=True)]
    lost = (second != true) & (true != VOID)
    told.append(
        (
            phrase("wrong with {arm}", arm=names[1]),
            np.where(lost, 0, VOID).astype(np.uint8),
            [WRONG],
        )
    )
    shown = albums[0].shown(index)
    height, width = shown.size
    pictures = [
        Picture(
            shown.photo, f"{file}, {what}", width, height,
            "" if ids is None else layers.classes(ids, own), "", what,
        )
        for what, ids, own in told
    ]  # fmt: skip
    facts = [
        (
            phrase("mean IoU"),
            " → ".join(decimal(row[f"iou_{end}"], 2) for end in ("before", "after")),
        ),
        (
            phrase("right pixels"),
            " → ".join(percent(row[f"right_{e}"]) for e in ("before", "after")),
        ),
    ]
    return Card(pictures, "", facts, file)
