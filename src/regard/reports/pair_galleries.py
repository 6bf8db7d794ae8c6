"""Galleries of a comparison: the same images as its two sides answer them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from regard.language import phrase
from regard.progress import Step
from regard.reports.album import Album, MissingPicturesError, photo_limit
from regard.reports.blocks import Block, Card, Note
from regard.reports.galleries import made_gallery, scaled
from regard.reports.pair_albums import PairAlbums

Told = Mapping[str, Any]
Row = Mapping[str, Any]
ENDS = ("before", "after")


@dataclass(frozen=True)
class Comparing:
    """What is held against the first, and what it can be shown from.

    Attributes:
        folder: of the comparison, from which the runs' folders are seen.
        summary: of the comparison.
        other: the run or arm that is held against the first.
        pairs: its rows.
        pictures: images a gallery.
        progress: called with the number of images after each.
    """

    folder: Path
    summary: Told
    other: Told
    pairs: pl.DataFrame
    pictures: int
    progress: Step | None

    @property
    def names(self) -> tuple[str, str]:
        """Of the first and of the other."""
        return self.summary["first"]["name"], self.other["name"]

    @property
    def maps(self) -> dict[str, Any]:
        """How the comparison's maps are made: settings of `Gaze`."""
        return {name: self.summary[name] for name in ("method", "contrast")}

    @property
    def scale(self) -> str:
        """How its maps are coloured, a sentence."""
        method = self.summary["method"]
        if self.summary["contrast"]:
            method = phrase("{method} with contrast", method=method)
        return scaled(method)


class Picked(NamedTuple):
    """The images of one gallery.

    Attributes:
        title: of the gallery.
        about: a sentence or two under it.
        rows: of the pairs.
    """

    title: str
    about: str
    rows: Sequence[Row]


def pair_galleries(
    own: Comparing,
    picked: Sequence[Picked],
    card: Callable[[tuple[Album, Album], tuple[str, str], Row], Card],
    *,
    each: int,
    maps: Mapping[str, Any] | None = None,
    legend: Sequence[tuple[str, str]] = (),
) -> list[Block]:
    """The galleries, or why there are none.

    Args:
        own: the comparison.
        picked: what is shown.
        card: makes one of the albums of both sides, their names and a row.
        each: photos and maps on a card.
        maps: how maps are made, where that is not as the runs have it.
        legend: of all galleries.
    """
    shown = sum(len(one.rows) for one in picked) * len(own.summary["others"])
    if not shown:
        return []
    limit = photo_limit(each * shown)
    albums = PairAlbums(own.folder, own.summary, own.other, own.pairs, limit, maps)
    try:
        albums.open(row for one in picked for row in one.rows)
    except MissingPicturesError as error:
        return [Note(phrase("Pictures are left out: {reason}", reason=error))]
    blocks: list[Block] = []
    for title, about, rows in picked:
        blocks += made_gallery(
            title,
            about,
            rows,
            lambda row: card(albums.of(row), own.names, row),
            own.progress,
            wide=True,
            legend=legend,
        )
    return blocks
