"""The report of a comparison of segmenters: pixels, classes, gaze, and pictures of both."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from regard.data.mask_classes import VOID
from regard.data.mask_colours import WRONG, class_colours
from regard.reports import layers
from regard.reports.album import Album
from regard.reports.blocks import Block, Card, Cell, Fact, Facts, Picture, Table
from regard.reports.compare_tables import reach_of, reading, span_of
from regard.reports.compare_words import class_words, verdict_words
from regard.reports.mask_galleries import shown_masks
from regard.reports.pair_galleries import Comparing, Picked, pair_galleries
from regard.reports.segmentation import COLUMNS, pixel_title
from regard.reports.words import (
    between,
    count,
    decimal,
    lower_is_better,
    p_value,
    percent,
    signed,
    title,
)

Told = Mapping[str, Any]
Step = Callable[[int], None]
_MARKS = {"better": "good", "worse": "bad"}


def mask_facts(summary: Told, other: Told) -> Facts:
    """The mean IoU, the right pixels and the gaze: from what to what."""
    named = [(pixel_title(name), other["metrics"][name]) for name in ("mean_iou", "accuracy")]
    named += [(title("energy"), other["scores"]["energy"])] if "energy" in other["scores"] else []
    names = summary["first"]["name"], other["name"]
    facts = []
    for text, found in named:
        note = f"{decimal(found['before'])} with {names[0]}, {decimal(found['after'])} with "
        note += f"{names[1]}; interval {between(found['difference'], signed)}"
        facts.append(Fact(text, signed(found["difference"]["value"]), note))
    return Facts(facts)


def mask_words(summary: Told, other: Told) -> list[str]:
    """What changed from the first run to this one."""
    found, first = other["metrics"]["mean_iou"], summary["first"]["name"]
    word = reading("mean_iou", found["difference"])
    text = (
        f"With {other['name']}, the mean IoU on {summary['split']} "
        f"({count(other['images'], 'image')}) is {decimal(found['after'])}, with {first} "
        f"{decimal(found['before'])}: {signed(found['difference']['value'])} (95 % interval over "
        f"images {between(found['difference'], signed)}). "
    )
    return [text + verdict_words(other, word), class_words(other, "iou", "IoU")]


def metrics_differences(summary: Told, other: Told) -> Table:
    """The metrics of pixels and the scores of maps of both runs, with their differences."""
    rows = [(pixel_title(name), name, found) for name, found in other["metrics"].items()]
    rows += [
        (f"{title(name)} of maps", name, found)
        for name, found in other["scores"].items()
        if name != "sparseness"
    ]
    caption = "Differences on the same images, with 95 % intervals over images; the dashed line is "
    return difference_rows(summary, other, rows, caption + "no difference")


def class_differences(summary: Told, other: Told, key: str) -> Table:
    """One metric of each class of both runs, with its difference."""
    rows = [(name, key, own[key]) for name, own in other["per_class"].items()]
    return difference_rows(summary, other, rows, f"{COLUMNS[key]}, class by class")


def difference_rows(
    summary: Told, other: Told, rows: Sequence[tuple[str, str, Told]], caption: str
) -> Table:
    """Numbers of both runs with their differences: a title, the metric and what was found each."""
    reach = reach_of([found["difference"] for _, name, found in rows if name != "energy_gain"])
    cells = []
    for text, name, found in rows:
        difference, word = found["difference"], reading(name, found["difference"])
        cells.append(
            [
                Cell(text, note="lower is better" if lower_is_better(name) else ""),
                Cell(decimal(found["before"])),
                Cell(decimal(found["after"])),
                Cell(signed(difference["value"]), note=between(difference, signed)),
                Cell(span=None if name == "energy_gain" else span_of(difference, reach)),
                Cell(p_value(found["p_value"])),
                Cell(word, mark=_MARKS.get(word, "quiet")),
            ]
        )
    axis = f"{signed(-reach, 2)} to {signed(reach, 2)}"
    names = f"{summary['first']['name']}#", f"{other['name']}#"
    return Table(("", *names, "Difference#", axis, "p#", "Reading"), cells, caption)


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
    legend = [*zip(own.summary["classes"], colours, strict=True), ("wrong", WRONG)]
    about = "The largest change of an image's own mean IoU first."
    picked = [
        Picked(f"Better with {own.names[kind == 'risen']}", about, rows)
        for kind, rows in chosen_pairs(own.pairs, own.pictures)
    ]
    return pair_galleries(own, picked, _card, each=5, legend=legend)


def _card(albums: Sequence[Album], names: Sequence[str], row: Mapping[str, Any]) -> Card:
    index, file = row["index"], albums[0].named(row["image"])
    (first, true), (second, _) = (shown_masks(album, index) for album in albums)
    colours = class_colours(albums[0].run.classes)
    told = [("photo", None, colours), ("truth", true, colours)]
    told += [(name, guess, colours) for name, guess in zip(names, (first, second), strict=True)]
    lost = (second != true) & (true != VOID)
    told.append((f"wrong with {names[1]}", np.where(lost, 0, VOID).astype(np.uint8), [WRONG]))
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
        ("mean IoU", " → ".join(decimal(row[f"iou_{end}"], 2) for end in ("before", "after"))),
        ("right pixels", " → ".join(percent(row[f"right_{e}"]) for e in ("before", "after"))),
    ]
    return Card(pictures, "", facts, file)
