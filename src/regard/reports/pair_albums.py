"""The albums of a comparison's two sides: of two runs one each, of arms those of their runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from regard.reports.album import Album, Shelf

Told = Mapping[str, Any]


class PairAlbums:
    """Opens the album that a row of the pairs is shown from, each once.

    Args:
        folder: of the comparison, from which the runs' folders are seen.
        summary: of the comparison.
        other: what is held against the first.
        pairs: its rows; of arms with `folder_before` and `folder_after`, the runs that say a row.
        limit: bytes of a photo, see `photo_limit`.
        maps: how maps are made, where that is not as the runs have it: settings of `Gaze`.
    """

    def __init__(
        self,
        folder: Path,
        summary: Told,
        other: Told,
        pairs: pl.DataFrame,
        limit: int,
        maps: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder, self._split = folder, summary["split"]
        self._sides, self._pairs = {"before": summary["first"], "after": other}, pairs
        self._limit, self._maps, self._shelf = limit, maps, Shelf()
        self._made: dict[tuple[str, str], Album] = {}

    def open(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Open the albums of these rows.

        Raises:
            MissingPicturesError: a run's pictures cannot be made.
        """
        for row in rows:
            self.of(row)

    def of(self, row: Mapping[str, Any]) -> tuple[Album, Album]:
        """The albums of both sides that show a row."""
        return self._album("before", row), self._album("after", row)

    def _album(self, end: str, row: Mapping[str, Any]) -> Album:
        side, column = self._sides[end], f"folder_{end}"
        place = row.get(column) or side["folder"]
        key = (place, side["checkpoint"])
        if key not in self._made:
            own = self._pairs
            if column in own.columns:
                own = own.filter(pl.col(column) == place)
            self._made[key] = Album(
                self._folder / place, own, self._split, self._limit, self._shelf,
                checkpoint=side["checkpoint"], maps=self._maps,
            )  # fmt: skip
        return self._made[key]
