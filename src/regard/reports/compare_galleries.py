"""Pictures of a comparison: the same images with the maps of both runs, by what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from regard.language import Phrases, phrase
from regard.reports.album import Album
from regard.reports.blocks import Block, Card
from regard.reports.galleries import answer_of, without_map
from regard.reports.pair_galleries import ENDS, Comparing, Picked, pair_galleries
from regard.reports.words import count, decimal, percent, said

Chosen = tuple[str, int, Sequence[dict[str, Any]]]
_SCORES = ("magtr", "energy")


def gallery_rows(pairs: pl.DataFrame, pictures: int) -> list[Chosen]:
    """Outcome, of how many images, and the rows that are shown; outcomes without images are not.

    Images that stay right come by their MAGTR after, lowest first, those without one left out; the
    others by how sure the second run is.
    """
    found = []
    for outcome in ("stays_right", "right_becomes_wrong", "wrong_becomes_right"):
        rows = pairs.filter(pl.col("outcome") == outcome)
        if outcome == "stays_right":
            if "magtr_after" not in pairs.columns:
                continue
            rows = rows.filter(pl.col("magtr_after").is_finite()).sort("magtr_after")
        else:
            rows = rows.sort("probability_after", descending=True)
        if len(rows) and pictures:
            found.append((outcome, len(rows), rows.head(pictures).to_dicts()))
    return found


def compare_galleries(own: Comparing) -> list[Block]:
    """A gallery an outcome, or why there is none; of arms from the nets of one seed."""
    if "seed" in own.pairs.columns:
        first = pl.col("seed") == pl.col("seed").min()
        own = replace(own, pairs=own.pairs.filter(first))
    picked = []
    for outcome, number, rows in gallery_rows(own.pairs, own.pictures):
        title, about = _said(outcome, number, *own.names)
        picked.append(Picked(title, f"{about} {phrase('Maps of the label.')} {own.scale}", rows))
    return pair_galleries(own, picked, _card, each=3, maps=own.maps)


def _said(outcome: str, number: int, before: str, after: str) -> tuple[str, str]:
    values = {"images": count(number, "image"), "before": before, "after": after}
    title, about = _GALLERIES[outcome]
    return phrase(title, **values), phrase(about, **values)


# Title, and how the images were chosen.
_GALLERIES: Phrases = {
    "stays_right": (
        "Right with both, lowest MAGTR with {after}",
        "Of {images} right with both and scored, those with the lowest MAGTR first. Where energy "
        "is low too, {after} may be right for another reason than the region.",
    ),
    "right_becomes_wrong": (
        "Right with {before}, wrong with {after}",
        "{images}, the most confident mistakes first.",
    ),
    "wrong_becomes_right": (
        "Wrong with {before}, right with {after}",
        "{images}, the surest first.",
    ),
}


def _card(albums: tuple[Album, Album], names: tuple[str, str], row: Mapping[str, Any]) -> Card:
    index, label = row["index"], row["label"]
    file = albums[0].named(row["image"])
    pictures = [albums[0].picture(index, None, without_map(file), phrase("image"))]
    for album, name, end in zip(albums, names, ENDS, strict=True):
        caption = phrase(
            "{arm}: {answer}, {probability}",
            arm=name,
            answer=answer_of(row[f"predicted_{end}"], right=row[f"right_{end}"]),
            probability=percent(row[f"probability_{end}"], 0),
        )
        alt = f"{file}, {name}, {phrase('map of {label}', label=label)}"
        pictures.append(album.picture(index, label, alt, caption))
    facts = [(said(score), _change(row, score)) for score in _SCORES if f"{score}_after" in row]
    return Card(pictures, label, facts, file)


def _change(row: Mapping[str, Any], score: str) -> str:
    return " → ".join(decimal(row[f"{score}_{end}"], 2) for end in ENDS)
