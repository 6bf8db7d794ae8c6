"""Regions that were drawn anew: manifests of their own, for the next training."""

import fcntl
import hashlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl
from PIL import Image

from regard.data.atomic import write_atomically
from regard.data.decoding import Size, image_size
from regard.data.manifest import BOXES, Manifest, read_manifest
from regard.errors import DataError
from regard.server.facts import Facts
from regard.server.finding import Folder
from regard.server.kept import Kept
from regard.server.masks import mask_of
from regard.server.questions import MANIFEST, Correction
from regard.server.refusals import NotFoundError, unknown

# Of a manifest of corrections: whether the row's region was drawn anew.
CORRECTED = "corrected"
FOLDER, REGIONS = "corrections", "regions"
# What would split the samples anew, and leave the corrected manifest's splits unread.
_SPLITTING = ("split", "folds", "val_from_train")


@dataclass(frozen=True)
class Regions:
    """What is saved of an image.

    Attributes:
        boxes: in pixels of the upright photo.
        mask: the file of a mask.
    """

    boxes: list[list[float]] | None
    mask: Path | None


class Corrections:
    """Reads and writes manifests of corrections under FOLDER/corrections.

    Args:
        folder: that is served.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder, self._root = folder, folder.root / FOLDER
        self._lock = Lock()
        self._kept: Kept[Manifest] = Kept(16)

    def listed(self) -> list[tuple[str, int, int]]:
        """Name, images and corrected images of each manifest; of a damaged one nothing."""
        found = []
        names = os.listdir(self._root) if self._root.is_dir() else []
        for name in sorted(name for name in names if re.fullmatch(MANIFEST, name)):
            try:
                table = self._read(name).table
            except (DataError, NotFoundError):
                continue
            found.append((name, len(table), corrected(table)))
        return found

    def saved(self, name: str, index: int) -> Regions:
        """What is saved of an image: the boxes or the mask that were drawn anew, if any were.

        Raises:
            NotFoundError: no such manifest, or no such image in it.
        """
        manifest = self._read(name)
        if index >= len(manifest):
            raise unknown("image", str(index), "choose one of the manifest's")
        row = manifest.table.row(index, named=True)
        if not row.get(CORRECTED):
            return Regions(None, None)
        mask = row.get("region")
        path = None if mask is None else self._folder.inside(Path(manifest.resolve(mask)))
        return Regions(row.get("boxes") if path is None else None, path)

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
        """
        place = self._root / asked.manifest
        size = image_size(run.resolve(run.table["image"][asked.index]))
        boxes = _within(asked.boxes, size)
        mask = None if asked.mask is None else _png(mask_of(asked.mask, size))
        with self._held(place):
            manifest = self._own(place, run, asked)
            row = dict(manifest.table.row(asked.index, named=True))
            before = row["region"] if row[CORRECTED] else None
            if asked.boxes is None and asked.mask is None:
                row |= _as_of_the_run(run, asked.index, place)
            else:
                row |= {"boxes": boxes or None, "region": None, CORRECTED: True}
                row |= dict.fromkeys(("box_labels", "region_threshold") & row.keys())
            if mask is not None:
                row |= {"boxes": None, "region": _written(place, asked.index, mask)}
            table = _with_row(manifest.table, asked.index, row)
            file = Manifest(table, place, place / f"{asked.manifest}.parquet")
            path = file.with_table(table).write(place / f"{asked.manifest}.parquet")
            if before is not None and before != row["region"]:
                (place / REGIONS / Path(before).name).unlink(missing_ok=True)
        return str(path), corrected(table), command_of(facts, path)

    def _read(self, name: str) -> Manifest:
        path = self._root / name / f"{name}.parquet"
        self._folder.inside(path)
        if not path.is_file():
            raise unknown("manifest", name, "save a correction first")
        return self._kept.get(name, [path], lambda: read_manifest(path))

    def _own(self, place: Path, run: Manifest, asked: Correction) -> Manifest:
        """The manifest of corrections as it stands, or a copy of the run's to begin with."""
        path = place / f"{asked.manifest}.parquet"
        if path.is_file():
            own = read_manifest(path)
            _refuse_other(own, run, asked)
            return own
        table = run.table
        for name, kind in {"region": pl.String, "boxes": BOXES}.items():
            if name not in table.columns:
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
        with self._lock, (place / ".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def corrected(table: pl.DataFrame) -> int:
    """How many images of a manifest have regions that were drawn anew."""
    return int(table[CORRECTED].sum()) if table.schema.get(CORRECTED) == pl.Boolean else 0


def command_of(facts: Facts, manifest: Path) -> str:
    """How to train with a corrected manifest, whose splits are those that the run had."""
    config, data = facts.files.config, facts.config["data"]
    changes = [f"data.manifest={manifest}"]
    changes += [f"data.{name}=null" for name in _SPLITTING if data.get(name) is not None]
    words = ["regard", "train", str(config)]
    for change in changes:
        words += ["--set", change]
    out = facts.found.path.with_name(f"{facts.found.path.name}-{manifest.stem}")
    return shlex.join([*words, "--out", str(out)])


def _refuse_other(own: Manifest, run: Manifest, asked: Correction) -> None:
    """The row is the same image in both."""
    paths = [
        os.path.realpath(one.resolve(one.table["image"][asked.index]))
        if asked.index < len(one)
        else ""
        for one in (own, run)
    ]
    if len(own) != len(run) or paths[0] != paths[1]:
        raise DataError(
            f"corrections {asked.manifest}",
            expected="corrections of this run's manifest",
            found="those of another one",
            remedy="choose another name",
        )


def _within(boxes: list[list[float]] | None, size: Size) -> list[list[float]]:
    """Boxes cut to the photo.

    Raises:
        DataError: one that has nothing in it.
    """
    height, width = size
    found = []
    for left, top, right, bottom in boxes or []:
        own = [max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)]
        if not (own[2] - own[0] >= 1 and own[3] - own[1] >= 1):
            raise DataError(
                "boxes",
                expected=f"boxes [left, top, right, bottom] within {width} x {height} pixels",
                found=str([left, top, right, bottom])[:80],
                remedy="draw it anew",
            )
        found.append(own)
    return found


def _as_of_the_run(run: Manifest, index: int, place: Path) -> dict[str, Any]:
    """The cells that a correction changes, as they were before."""
    names = [n for n in ("boxes", "region", "box_labels", "region_threshold")
             if n in run.table.columns]  # fmt: skip
    cells = run.table.select(names).row(index, named=True)
    if cells.get("region") is not None and not os.path.isabs(cells["region"]):
        there = os.path.join(os.path.abspath(run.root), cells["region"])
        cells["region"] = os.path.relpath(there, os.path.abspath(place))
    return {"boxes": None, "region": None, CORRECTED: False, **cells}


def _with_row(table: pl.DataFrame, index: int, row: dict[str, Any]) -> pl.DataFrame:
    own = pl.DataFrame([row], schema=table.schema)
    return pl.concat([table[:index], own, table[index + 1 :]])


def _written(place: Path, index: int, data: bytes) -> str:
    """A mask's file, under a name of its own: until the table names it, the one before counts."""
    name = f"{REGIONS}/{index:06d}-{hashlib.sha256(data).hexdigest()[:10]}.png"
    write_atomically(place / name, lambda path: path.write_bytes(data))
    return name


def _png(mask: Image.Image) -> bytes:
    file = io.BytesIO()
    mask.save(file, "PNG", optimize=True)
    return file.getvalue()
