"""The manifest: one table, one row a sample, read from parquet or CSV and checked on reading."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl

from regard.errors import DataError, near

STRINGS = pl.List(pl.String)
BOXES = pl.List(pl.List(pl.Float64))

# One row of meaning a column. Paths are relative to the manifest's folder, or absolute.
COLUMNS: dict[str, tuple[pl.DataType | type[pl.DataType], str]] = {
    "image": (pl.String, "path of the image; required"),
    "segmented": (pl.String, "path of the segmented view: the subject on black"),
    "label": (pl.String, "the class"),
    "labels": (STRINGS, "the classes of a sample that has several"),
    "hierarchy": (STRINGS, "the label's ancestors, root first"),
    "mask": (pl.String, "path of a label image for segmentation: one class id a pixel"),
    "boxes": (BOXES, "[[xmin, ymin, xmax, ymax], ...] in pixel edges of the upright image"),
    "box_labels": (STRINGS, "the class of each box"),
    "region": (pl.String, "path of a grey image: where the evidence should be"),
    "region_threshold": (pl.Int64, "region is 1 where grey > this; empty: grey / 255"),
    "avoid": (pl.String, "path of a grey image: where the evidence must not be"),
    "ignore": (pl.String, "path of a grey image: pixels that no score and no term counts"),
    "split": (pl.String, "train, val, test or another name"),
    "group": (pl.String, "samples of one group stay in one split (patient, plant, product)"),
    "synthetic": (pl.Boolean, "made, not photographed: used in training alone"),
}
PATHS = ("image", "segmented", "mask", "region", "avoid", "ignore")
VIEWS = ("image", "segmented")


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
    def has_regions(self) -> bool:
        """Whether any sample says where its evidence is, or is not."""
        return any(
            c in self.table.columns and self.table[c].drop_nulls().len() > 0
            for c in ("region", "boxes", "avoid")
        )

    def resolve(self, path: str) -> str:
        """The absolute path of an entry of one of the path columns."""
        return os.path.join(self.root, path)

    def with_table(self, table: pl.DataFrame) -> "Manifest":
        """The same manifest over another table; checked again."""
        return Manifest(checked(table, str(self.path or "manifest")), self.root, self.path)

    def select(self, split: str) -> pl.DataFrame:
        """The rows of one split, with their row number in the manifest as `index`."""
        if "split" not in self.table.columns:
            raise DataError(
                str(self.path or "manifest"),
                expected="a column 'split'",
                found="columns " + ", ".join(self.table.columns),
                remedy="set data.split in the config, or import with --split",
            )
        rows = self.table.with_row_index("index").filter(pl.col("split") == split)
        if rows.is_empty():
            known = self.table["split"].drop_nulls().unique().to_list()
            raise DataError(
                str(self.path or "manifest"),
                expected=f"samples in split {split!r}",
                found="none",
                remedy=near(split, known) if known else "give samples a split",
            )
        return rows

    def write(self, path: Path) -> Path:
        """Write parquet or CSV (lists as JSON) in one atomic step; returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        if path.suffix == ".csv":
            _lists_to_json(self.table).write_csv(partial)
        else:
            self.table.write_parquet(partial)
        os.replace(partial, path)
        return path


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest, parquet or CSV, and check its columns, types and values.

    In CSV, lists are JSON: `[[10, 20, 30, 40]]` in `boxes`, `["a", "b"]` in `labels`.

    Raises:
        DataError: the file is missing or of another kind, a required column is missing, a
            column's type is wrong (the row is named), a box has not four numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            str(path),
            expected="a manifest file",
            found="a folder" if path.is_dir() else "no such file",
            remedy="make one with: regard data import {folder,csv,pairs,voc} SRC --out M.parquet",
        )
    if path.suffix not in (".parquet", ".csv"):
        raise DataError(
            str(path),
            expected="a .parquet or .csv file",
            found=f"suffix {path.suffix!r}",
            remedy="convert it, or use: regard data import",
        )
    try:
        csv = path.suffix == ".csv"
        table = pl.read_csv(path, infer_schema=False) if csv else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            str(path),
            expected=f"a readable {path.suffix[1:]} table",
            found=str(error).splitlines()[0][:200],
            remedy="write the file again",
        ) from error
    return Manifest(checked(table, str(path)), path.parent.resolve(), path)


def manifest_from_rows(rows: Iterable[Mapping[str, Any]], root: Path) -> Manifest:
    """A checked manifest from one mapping a sample, as importers make them."""
    rows = list(rows)
    names = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    schema = {name: COLUMNS[name][0] for name in names}
    data = {name: [row.get(name) for row in rows] for name in names}
    return Manifest(checked(pl.DataFrame(data, schema=schema), str(root)), root)


def checked(table: pl.DataFrame, where: str) -> pl.DataFrame:
    """The table with every known column in its type; raises with row and column otherwise."""
    if "image" not in table.columns:
        raise DataError(
            where,
            expected="a column 'image'",
            found="columns " + (", ".join(table.columns[:12]) or "none"),
            remedy="rename the column of image paths to 'image', or: regard data import csv",
        )
    if table.is_empty():
        raise DataError(
            where, expected="at least one sample", found="no rows", remedy="add samples"
        )
    for name in table.columns:
        if name in COLUMNS:
            table = table.with_columns(_cast(table[name], name, where))
    _check_values(table, where)
    return table


def natural(text: str) -> tuple[int, float, str]:
    """A sort key: numbers by value and before words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def _cast(column: pl.Series, name: str, where: str) -> pl.Series:
    dtype = COLUMNS[name][0]
    if column.dtype == dtype:
        return column
    if column.dtype == pl.String and isinstance(dtype, pl.List):
        return _from_json(column, name, dtype, where)
    if column.dtype == pl.String and dtype == pl.Boolean:
        column = column.str.to_lowercase().replace_strict(
            {"true": True, "false": False, "1": True, "0": False, "": None},
            default=None,
            return_dtype=pl.Boolean,
        )
        return column
    try:
        # A CSV is read as text, so a label of digits stays the label it is.
        return column.cast(cast(Any, dtype))
    except pl.exceptions.PolarsError as error:
        bad = next((i for i, v in enumerate(column.to_list()) if not _fits(v, dtype)), 0)
        raise _wrong(where, bad, name, f"{dtype}", repr(column[bad])) from error


def _fits(value: Any, dtype: Any) -> bool:
    try:
        pl.Series([value]).cast(dtype)
    except (pl.exceptions.PolarsError, TypeError):
        return False
    return True


def _from_json(column: pl.Series, name: str, dtype: pl.DataType, where: str) -> pl.Series:
    values: list[Any] = []
    for row, text in enumerate(column.to_list()):
        try:
            value = json.loads(text) if text else None
            pl.Series([value], dtype=dtype, strict=True)
        except (json.JSONDecodeError, TypeError, pl.exceptions.PolarsError) as error:
            raise _wrong(where, row, name, "a JSON list", repr(text)) from error
        values.append(value)
    return pl.Series(name, values, dtype=dtype)


def _check_values(table: pl.DataFrame, where: str) -> None:
    missing = table["image"].is_null() | (table["image"] == "")
    if missing.any():
        raise _wrong(where, int(missing.arg_true()[0]), "image", "a path", "an empty cell")
    if "boxes" in table.columns:
        bad = table["boxes"].list.eval(pl.element().list.len() != 4).list.any().fill_null(False)
        if bad.any():
            row = int(bad.arg_true()[0])
            found = str(table["boxes"][row].to_list())
            raise _wrong(where, row, "boxes", "boxes of 4 numbers", found)
    if {"boxes", "box_labels"} <= set(table.columns):
        differ = (table["boxes"].list.len() != table["box_labels"].list.len()).fill_null(False)
        if differ.any():
            row = int(differ.arg_true()[0])
            raise _wrong(where, row, "box_labels", "a label a box", "another number of labels")


def _wrong(where: str, row: int, column: str, expected: str, found: str) -> DataError:
    return DataError(
        f"{where}, row {row + 1}, column {column!r}",
        expected=expected,
        found=found[:120],
        remedy="correct that cell",
    )


def _lists_to_json(table: pl.DataFrame) -> pl.DataFrame:
    lists = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.List)]
    encode = [
        pl.Series(name, [None if v is None else json.dumps(v) for v in table[name].to_list()])
        for name in lists
    ]
    return table.with_columns(encode)
