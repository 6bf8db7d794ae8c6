"""SavedRegion that were drawn anew: manifests of their own, for the next training."""

import fcntl
import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl

from regard.data.casting import BOXES
from regard.data.manifest import Manifest, read_manifest
from regard.errors import DataError
from regard.files.atomic import open_lock, write_atomically
from regard.files.relative import seen_from
from regard.server.commands import train_command
from regard.server.drawn import CELLS, box_labels, column_of, drawn_of
from regard.server.facts import Facts
from regard.server.finding import Folder
from regard.server.kept import Kept
from regard.server.questions import MANIFEST, Correction
from regard.server.refusals import NotFoundError, unknown

# Of a manifest of corrections: whether the row's region was drawn anew.
CORRECTED = "corrected"
FOLDER = "corrections"
# By the column of a correction's file: where these files lie beside the manifest.
FOLDERS = {"region": "regions", "mask": "masks"}
# Of a manifest: its name, its images, and how many of them are corrected.
Listed = tuple[str, int, int]


@dataclass(frozen=True)
class SavedRegion:
    """What is saved of an image.

    Attributes:
        boxes: in pixels of the upright photo; none of them where its evidence is nowhere.
        box_labels: the class of each box, where boxes have one.
        mask: the file of a mask.
        classes: of a segmenter the file of the ids of classes.
    """

    boxes: list[list[float]] | None = None
    box_labels: list[str] | None = None
    mask: Path | None = None
    classes: Path | None = None


class Corrections:
    """Reads and writes manifests of corrections under FOLDER/corrections.

    Args:
        folder: that is served.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder, self._root = folder, folder.root / FOLDER
        self._lock = Lock()
        self._kept: Kept[Manifest] = Kept(16)
        self._fitting: Kept[bool] = Kept(100)

    def listed(self, of: tuple[Facts, Manifest] | None = None) -> list[Listed]:
        """The manifests; of damaged ones nothing.

        Args:
            of: a run and its manifest: only those that correct it; None: all of them.
        """
        found = []
        for name in sorted(name for name in self._names() if re.fullmatch(MANIFEST, name)):
            try:
                own = self._read(name)
            except (DataError, NotFoundError):
                continue
            if of is None or self._corrects(name, own, *of):
                found.append((name, len(own), corrected(own.table)))
        return found

    def free(self) -> str:
        """A name that no manifest has."""
        names = self._names()
        numbered = (f"{CORRECTED}-{number}" for number in itertools.count(2))
        return next(name for name in itertools.chain([CORRECTED], numbered) if name not in names)

    def _names(self) -> set[str]:
        return set(os.listdir(self._root)) if self._root.is_dir() else set()

    def _corrects(self, name: str, own: Manifest, facts: Facts, run: Manifest) -> bool:
        """Whether a manifest is one of corrections of a run's."""
        column = column_of(facts)
        files = [self._file_of(name), facts.manifest, facts.files.config]
        key = name, facts.found.path
        return self._fitting.get(key, files, lambda: _corrects(own, run, column))

    def saved(self, facts: Facts, run: Manifest, name: str, index: int) -> SavedRegion:
        """What is saved of an image: what was drawn anew; nothing in a manifest of other images.

        Args:
            facts: of the run that the image is of.
            run: its manifest.
            name: of the manifest of corrections.
            index: of the image in both.

        Raises:
            NotFoundError: no such manifest.
        """
        manifest = self._read(name)
        if not self._corrects(name, manifest, facts, run):
            return SavedRegion()
        row = manifest.table.row(index, named=True)
        if not row[CORRECTED]:
            return SavedRegion()
        if column_of(facts) == "mask":
            return SavedRegion(classes=self._file(manifest, row["mask"]))
        mask = self._file(manifest, row["region"])
        if mask is not None:
            return SavedRegion(mask=mask)
        return SavedRegion(row["boxes"] or [], box_labels(facts, manifest, index))

    def _file(self, manifest: Manifest, name: str | None) -> Path | None:
        return None if name is None else self._folder.inside(Path(manifest.resolve(name)))

    def save(self, facts: Facts, run: Manifest, asked: Correction) -> tuple[str, int, str]:
        """Write a correction; none of another that is written at the same time is lost.

        Args:
            facts: of the run whose manifest is copied by the first correction.
            run: its manifest, with the run's splits.
            asked: what is saved.

        Returns:
            The manifest's path, how many of its images are corrected, and a command to train.

        Raises:
            DataError: boxes or a mask that do not fit the image, or a manifest of other images.
            NotFoundError: something is to be taken back from a manifest that is not there.
        """
        place, column = self._root / asked.manifest, column_of(facts)
        drawn = drawn_of(facts, run, asked)
        if drawn is None:
            self._read(asked.manifest)
        with self._held(place):
            manifest = self._own(place, run, asked, column)
            row = dict(manifest.table.row(asked.index, named=True))
            before = row[column] if row[CORRECTED] else None
            if drawn is None:
                row |= _as_of_the_run(run, asked.index, place, CELLS[column])
            else:
                row |= dict.fromkeys({*CELLS[column]} - {column} & row.keys())
                row |= {**drawn.cells, CORRECTED: True}
                if drawn.file is not None:
                    row[column] = _written(place, FOLDERS[column], asked.index, drawn.file)
            table = _with_row(manifest.table, asked.index, row)
            file = Manifest(table, place, place / f"{asked.manifest}.parquet")
            path = file.with_table(table).write(place / f"{asked.manifest}.parquet")
            if before is not None and before != row[column]:
                (place / FOLDERS[column] / Path(before).name).unlink(missing_ok=True)
        return str(path), corrected(table), train_command(facts, path)

    def _read(self, name: str) -> Manifest:
        path = self._file_of(name)
        self._folder.inside(path)
        if not path.is_file():
            raise unknown("manifest", name, "save a correction first")
        return self._kept.get(name, [path], lambda: read_manifest(path))

    def _file_of(self, name: str) -> Path:
        return self._root / name / f"{name}.parquet"

    def _own(self, place: Path, run: Manifest, asked: Correction, column: str) -> Manifest:
        """The manifest of corrections as it stands, or a copy of the run's to begin with."""
        path = place / f"{asked.manifest}.parquet"
        if path.is_file():
            own = read_manifest(path)
            if not _corrects(own, run, column):
                raise DataError(
                    f"corrections {asked.manifest}",
                    expected="corrections of this run's manifest",
                    found="those of another one",
                    remedy="choose another name",
                )
            return own
        table = run.table
        for name, kind in {"region": pl.String, "boxes": BOXES}.items():
            if name not in table.columns and column == "region":
                table = table.with_columns(pl.lit(None, dtype=kind).alias(name))
        table = table.with_columns(pl.lit(False).alias(CORRECTED))
        copy = Manifest(table, run.root, run.path)
        copy.write(path)
        return read_manifest(path)

    @contextmanager
    def _held(self, place: Path) -> Iterator[None]:
        """Keep other threads and other servers waiting."""
        self._folder.inside(place)
        place.mkdir(parents=True, exist_ok=True)
        with self._lock, open_lock(place / ".lock") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def corrected(table: pl.DataFrame) -> int:
    """How many images of a manifest have regions that were drawn anew."""
    return int(table[CORRECTED].sum()) if table.schema.get(CORRECTED) == pl.Boolean else 0


def _corrects(own: Manifest, run: Manifest, column: str) -> bool:
    """Whether a manifest has what a correction changes, and the images of another, row by row."""
    if len(own) != len(run) or not {column, CORRECTED} <= {*own.table.columns}:
        return False
    roots = [os.path.realpath(one.root) for one in (own, run)]
    names = [one.table["image"].to_list() for one in (own, run)]
    return all(
        _same(*(os.path.normpath(os.path.join(*place)) for place in zip(roots, pair, strict=True)))
        for pair in zip(*names, strict=True)
    )


def _same(own: str, other: str) -> bool:
    """Whether two paths lead to one file, whatever links there are on the way."""
    return own == other or os.path.realpath(own) == os.path.realpath(other)


def _as_of_the_run(
    run: Manifest, index: int, place: Path, names: tuple[str, ...]
) -> dict[str, Any]:
    """The cells that a correction changes, as they were before."""
    known = [name for name in names if name in run.table.columns]
    cells = run.table.select(known).row(index, named=True)
    for name in FOLDERS.keys() & cells.keys():
        if cells[name] is not None and not os.path.isabs(cells[name]):
            cells[name] = seen_from(place, cells[name], run.root)
    empty = dict.fromkeys({"boxes", "region"} & {*names})
    return {**empty, CORRECTED: False, **cells}


def _with_row(table: pl.DataFrame, index: int, row: dict[str, Any]) -> pl.DataFrame:
    own = pl.DataFrame([row], schema=table.schema)
    return pl.concat([table[:index], own, table[index + 1 :]])


def _written(place: Path, folder: str, index: int, data: bytes) -> str:
    """A mask's file, under a name of its own: until the table names it, the one before counts."""
    name = f"{folder}/{index:06d}-{hashlib.sha256(data).hexdigest()[:10]}.png"
    write_atomically(place / name, lambda path: path.write_bytes(data))
    return name
