"""The manifest: one table, one row a sample, read from parquet or CSV and checked on reading."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from regard.data.columns import COLUMNS, PATHS, VIEWS, checked, has_evidence
from regard.errors import DataError, near
from regard.files.atomic import write_atomically
from regard.files.parquet import write_parquet
from regard.files.relative import seen_from
from regard.files.table_files import read_table


@dataclass(frozen=True)
class Manifest:
    """A checked table of samples and the folder that its paths start from.

    Attributes:
        table: one row a sample, columns as in `COLUMNS`; columns beyond those are kept.
        root: the folder that relative paths start from.
        path: the file that the table was read from, None for one made in memory.
    """

    table: pl.DataFrame
    root: Path
    path: Path | None = None

    def __len__(self) -> int:
        return self.table.height

    @property
    def views(self) -> tuple[str, ...]:
        """The views that every sample has."""
        return tuple(v for v in VIEWS if v in self.table.columns)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels in use, in natural order (so that `10` comes after `9`)."""
        if "label" not in self.table.columns:
            return ()
        return tuple(sorted(self.table["label"].drop_nulls().unique().to_list(), key=natural))

    @property
    def several(self) -> bool:
        """Whether samples have sets of labels: some have `labels`, and no `label` in its place."""
        if "labels" not in self.table.columns:
            return False
        alone = pl.col("label").is_null() if "label" in self.table.columns else pl.lit(True)
        return self.table.filter(alone & pl.col("labels").is_not_null()).height > 0

    @property
    def set_classes(self) -> tuple[str, ...]:
        """The labels in use in the sets `labels`, in natural order."""
        if "labels" not in self.table.columns:
            return ()
        used = self.table["labels"].explode().drop_nulls().unique().to_list()
        return tuple(sorted(used, key=natural))

    @property
    def has_regions(self) -> bool:
        """Whether any sample says where its evidence is, or is not."""
        return has_evidence(self.table)

    def resolve(self, path: str) -> str:
        """The absolute path of an entry of one of the path columns."""
        return os.path.join(self.root, path)

    def with_table(self, table: pl.DataFrame) -> "Manifest":
        """The same manifest over another table; checked again."""
        return Manifest(checked(table, str(self.path or "manifest")), self.root, self.path)

    def select(self, split: str) -> pl.DataFrame:
        """The rows of one split, with their row number in the manifest as `index`.

        Raises:
            DataError: no column `split`, or no sample in this one.
        """
        if "split" not in self.table.columns:
            raise DataError(
                str(self.path or "manifest"),
                expected="a column 'split'",
                found="columns " + ", ".join(self.table.columns),
                remedy="set data.split in the config, or import with --split",
            )
        # A column of that name in the user's own table gives way to the row number.
        table = self.table.drop("index", strict=False).with_row_index("index")
        rows = table.filter(pl.col("split") == split)
        if rows.is_empty():
            known = self.table["split"].drop_nulls().unique().to_list()
            remedy = near(split, known) if known else "give samples a split"
            if split == "test" and {*known} == {"train", "val"}:
                remedy = "set data.val_from_train, and val becomes test and part of train val"
            raise DataError(
                str(self.path or "manifest"),
                expected=f"samples in split {split!r}",
                found="none",
                remedy=remedy,
            )
        return rows

    def write(self, path: str | Path) -> Path:
        """Write parquet or CSV (lists as JSON) in one atomic step; returns the path.

        In another folder than `root`, relative paths are rewritten to lead to the same files.
        """
        path = Path(path)
        _known_suffix(path)
        table = self._seen_from(path.parent)
        if path.suffix == ".csv":
            return write_atomically(path, _lists_to_json(table).write_csv)
        return write_parquet(path, table)

    def _seen_from(self, folder: Path) -> pl.DataFrame:
        if os.path.realpath(self.root) == os.path.realpath(folder):
            return self.table

        def moved(path: str | None) -> str | None:
            if path is None or os.path.isabs(path):
                return path
            return seen_from(folder, path, self.root)

        columns = [name for name in PATHS if name in self.table.columns]
        return self.table.with_columns(
            pl.Series(name, map(moved, self.table[name].to_list()), dtype=pl.String)
            for name in columns
        )


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest, parquet or CSV, and check its columns, types and values.

    In CSV, lists are JSON: `[[10, 20, 30, 40]]` in `boxes`, `["a", "b"]` in `labels`.

    Raises:
        DataError: the file is missing or of another kind, a required column is missing, a
            column's type is wrong (the row is named), a box has not four numbers.
    """
    path = Path(path)
    if not os.path.isfile(path):  # which takes any name, however long
        raise DataError(
            str(path),
            expected="a manifest file",
            found="a folder" if os.path.isdir(path) else "no such file",
            remedy="make one with: regard data import {folder,csv,...} SRC --out M.parquet",
        )
    _known_suffix(path)
    table = read_table(path)
    return Manifest(checked(table, str(path)), path.parent.resolve(), path)


def _known_suffix(path: Path) -> None:
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(
            str(path),
            expected="a .parquet or .csv file",
            found=f"suffix {path.suffix!r}",
            remedy="convert it, or use: regard data import",
        )


def manifest_from_rows(rows: Iterable[Mapping[str, Any]], root: Path) -> Manifest:
    """A checked manifest from one mapping a sample, as importers make them.

    Raises:
        DataError: a name that is no UTF-8, or what `checked` refuses.
    """
    rows = list(rows)
    names = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    schema = {name: COLUMNS[name][0] for name in names}
    data = {name: [row.get(name) for row in rows] for name in names}
    try:
        table = pl.DataFrame(data, schema=schema)
    except UnicodeEncodeError as error:
        raise DataError(
            str(root),
            expected="names of files and classes in UTF-8",
            found=ascii(error.object)[:160],
            remedy="rename the file or folder",
        ) from error
    return Manifest(checked(table, str(root)), root)


def natural(text: str) -> tuple[int, float, str]:
    """A sort key: numbers by value and before words."""
    try:
        number = float(text)
    except ValueError:
        return (1, 0.0, text)
    # "nan" and "inf" are words: the first would make the order depend on where it stood.
    return (0, number, text) if math.isfinite(number) else (1, 0.0, text)


def _lists_to_json(table: pl.DataFrame) -> pl.DataFrame:
    def encoded(value: Any) -> str | None:
        return None if value is None else json.dumps(value, default=str)

    nested = [name for name, dtype in table.schema.items() if dtype.is_nested()]
    return table.with_columns(
        pl.Series(name, map(encoded, table[name].to_list()), dtype=pl.String) for name in nested
    )
