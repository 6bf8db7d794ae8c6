"""Pictures of a comparison: the same images with the maps of both runs, by what became of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from regard.reports.album import Album, MissingPicturesError, photo_limit
from regard.reports.blocks import Block, Card, Gallery, Note
from regard.reports.galleries import made_cards, scaled, unreadable
from regard.reports.pair_albums import PairAlbums
from regard.reports.words import count, decimal, percent, said

Step = Callable[[int], None]
Told = Mapping[str, Any]
Chosen = tuple[str, int, Sequence[dict[str, Any]]]
_ENDS, _SCORES = ("before", "after"), ("magtr", "energy")


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


def compare_galleries(
    folder: Path,
    summary: Told,
    other: Told,
    pairs: pl.DataFrame,
    chosen: Sequence[Chosen],
    shown: int,
    progress: Step | None,
) -> list[Block]:
    """A gallery an outcome, or why there is none.

    Args:
        folder: of the comparison, from which the runs' folders are seen.
        summary: of the comparison.
        other: the run that is held against the first.
        pairs: its rows.
        chosen: of `gallery_rows`.
        shown: images on the whole page.
        progress: called with the number of images after each.
    """
    if not chosen:
        return []
    maps = {"method": summary["method"], "contrast": summary["contrast"]}
    albums = PairAlbums(folder, summary, other, pairs, photo_limit(3 * shown), maps)
    try:
        albums.open(row for *_, rows in chosen for row in rows)
    except MissingPicturesError as error:
        return [Note(f"Pictures are left out: {error}")]
    names = (summary["first"]["name"], other["name"])
    blocks: list[Block] = []
    for outcome, number, rows in chosen:
        title, about = _said(outcome, number, *names)
        cards, wrong = made_cards(rows, lambda row: _card(albums.of(row), names, row), progress)
        kind = summary["method"] + (" with contrast" if summary["contrast"] else "")
        about += f" Maps of the label. {scaled(kind)}"
        blocks += [Gallery(title, about, cards, wide=True)] if cards else []
        blocks += unreadable(wrong, title)
    return blocks


def _said(outcome: str, number: int, before: str, after: str) -> tuple[str, str]:
    images = count(number, "image")
    return {
        "stays_right": (
            f"Right with both, lowest MAGTR with {after}",
            f"Of {images} right with both and scored, those with the lowest MAGTR first. Where "
            f"energy is low too, {after} may be right for another reason than the region.",
        ),
        "right_becomes_wrong": (
            f"Right with {before}, wrong with {after}",
            f"{images}, the most confident mistakes first.",
        ),
        "wrong_becomes_right": (
            f"Wrong with {before}, right with {after}",
            f"{images}, the surest first.",
        ),
    }[outcome]


def _card(albums: tuple[Album, Album], names: tuple[str, str], row: Mapping[str, Any]) -> Card:
    index, label = row["index"], row["label"]
    file = albums[0].named(row["image"])
    pictures = [albums[0].picture(index, None, f"{file}, without a map", "image")]
    for album, name, end in zip(albums, names, _ENDS, strict=True):
        answer = f"{row[f'predicted_{end}']}{'' if row[f'right_{end}'] else ' (wrong)'}"
        caption = f"{name}: {answer}, {percent(row[f'probability_{end}'], 0)}"
        pictures.append(album.picture(index, label, f"{file}, {name}, map of {label}", caption))
    facts = [(said(score), _change(row, score)) for score in _SCORES if f"{score}_after" in row]
    return Card(pictures, label, facts, file)


def _change(row: Mapping[str, Any], score: str) -> str:
    return " → ".join(decimal(row[f"{score}_{end}"], 2) for end in _ENDS)
