"""Pictures of images with sets of labels: the worst sets, and the worst and best gaze."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from regard.evaluation.table import PREFIX
from regard.language import isolated, phrase, plural
from regard.progress import Step
from regard.reports.album import Album, MissingPicturesError, photo_limit
from regard.reports.blocks import Block, Card
from regard.reports.contents import RunContents, SplitContents
from regard.reports.galleries import ends, left_out, made_gallery, scaled, without_map
from regard.reports.words import decimal, percent, said, whole
from regard.saliency.base import METHODS

# Wrong classes of one image whose maps a card has room for.
_MOST = 3


def set_galleries(
    run: RunContents, split: SplitContents, pictures: int, splits: int, progress: Step | None
) -> list[Block]:
    """The galleries of a split, or why there are none; arguments as of `run_galleries`."""
    if split.predictions is None or not pictures:
        return []
    chosen = _chosen(split, pictures)
    shown = sum(len(rows) for *_, rows in chosen)
    limit = photo_limit((1 + _MOST) * max(1, shown) * splits)
    try:
        album = Album(run.folder, split.predictions, split.name, limit)
    except MissingPicturesError as error:
        return [left_out(split.name, error)]
    blocks: list[Block] = []
    for title, about, rows in chosen:
        about = f"{about} {scaled(run.maps)}"
        blocks += made_gallery(
            title, about, rows, lambda row: _card(album, row), progress, wide=True
        )
    return blocks


def _chosen(split: SplitContents, pictures: int) -> list[tuple[str, str, list[dict]]]:
    """Title, how chosen, and rows: the prediction, with `maps` to be shown."""
    assert split.predictions is not None
    table = split.predictions
    rows = {row["index"]: row for row in table.iter_rows(named=True)}
    wrong = table.filter(~pl.col("correct")).sort(
        "f1_samples", "ranking_loss", descending=[False, True]
    )
    worst = [rows[index] | {"maps": doubted(rows[index])} for index in wrong["index"]]
    about = plural(
        len(wrong),
        "{n} image of {total} has another set than predicted; maps of what is missed or wrong, the "
        "surest first.",
        "{n} images of {total} have another set than predicted, those of the lowest F1 first; maps "
        "of what is missed or wrong, the surest first.",
        total=whole(len(table)),
    )
    found = [(phrase("Wrong sets"), about, worst[:pictures])]
    if split.scores is not None and "energy" in split.scores.columns:
        known = split.scores.filter(pl.col("energy").is_finite()).sort("energy").to_dicts()
        told = [
            rows[own["index"]] | {"maps": [own["label"]], "energy": own["energy"]} for own in known
        ]
        low, high = ends(told, pictures)
        about = phrase(
            "Energy in its own region of the map of one of an image's labels, lowest first."
        )
        found.append((phrase("Looks elsewhere"), about, low))
        about = phrase(
            "Energy in its own region of the map of one of an image's labels, highest first."
        )
        found.append((phrase("Looks at the region"), about, high))
    return [entry for entry in found if entry[2]]


def doubted(row: dict[str, Any]) -> list[str]:
    """The classes that are missed or wrongly predicted, those furthest from the truth first."""
    wrong = set(row["labels"]) ^ set(row["predicted"])
    return sorted(wrong, key=lambda name: -abs(row[PREFIX + name] - (name in row["labels"])))[
        :_MOST
    ]


def _card(album: Album, row: dict[str, Any]) -> Card:
    index, file = row["index"], album.named(row["image"])
    pictures = [album.picture(index, None, without_map(file), phrase("image"))]
    targeted = METHODS[album.gaze.method].targeted
    for name in row["maps"] if targeted else row["maps"][:1]:
        what = phrase("map of {label}", label=name) if targeted else phrase("map")
        caption = f"{what}, {percent(row[PREFIX + name], 0)}" if targeted else what
        pictures.append(album.picture(index, name, f"{file}, {what}", caption, label=name))
    facts = set_told(row)
    if row.get("energy") is not None:
        facts.append((said("energy"), decimal(row["energy"])))
    return Card(pictures, named(row["labels"]), facts, file)


def set_told(row: dict[str, Any], end: str = "", *, answer: bool = True) -> list[tuple[str, str]]:
    """What is predicted, and of that what is missed and what is wrong.

    Args:
        row: of a predictions table, or of pairs of two.
        end: of the name of the column `predicted`.
        answer: whether what is predicted is said too.
    """
    true, guess = row["labels"], row[f"predicted{end}"]
    parts = {
        phrase("missed"): [name for name in true if name not in guess],
        phrase("wrong"): [name for name in guess if name not in true],
    }
    told = [(phrase("predicted"), named(guess))] if answer else []
    return told + [(key, named(own)) for key, own in parts.items() if own]


def named(labels: Sequence[str]) -> str:
    """A set of labels in words."""
    return ", ".join(map(isolated, labels)) or phrase("no label")
