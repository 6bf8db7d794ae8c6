"""A table in a file, parquet or CSV, as it stands there."""

import csv
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from regard.errors import DataError
from regard.files.parquet import read_parquet
from regard.files.separators import layout_of

POLARS_ERROR = pl.exceptions.PolarsError
FAULTS = (POLARS_ERROR, OSError, UnicodeError)


def read_table(path: Path) -> pl.DataFrame:
    """A parquet file, or a CSV as of `read_csv`.

    Raises:
        DataError: it cannot be read, or a column of a CSV stands there twice.
    """
    expected, remedy = f"a readable {path.suffix[1:]} table", "write the file again"
    if path.suffix == ".csv":
        return read_csv(path, expected=expected, remedy=remedy)
    try:
        return read_parquet(path)
    except FAULTS as error:
        raise _unreadable(path, error, expected, remedy) from error


def read_csv(
    path: Path,
    *,
    expected: str = "a CSV file with a line of column names",
    remedy: str = "correct the path or the file",
) -> pl.DataFrame:
    """A CSV, in which every cell is text and empty ones are missing.

    Columns are separated as `layout_of` says.

    Args:
        path: of the file.
        expected: what the error line says of a file that cannot be read.
        remedy: what it says to do then.

    Raises:
        DataError: it cannot be read, or a column stands there twice.
    """
    try:
        between, above = layout_of(path)
        # Brackets and stars in a file's name are its name, not a pattern.
        how = {"infer_schema": False, "glob": False, "separator": between, "skip_lines": above}
        _refuse_repeated(path, how)
        return pl.read_csv(path, **how)
    except FAULTS as error:
        raise _unreadable(path, error, expected, remedy) from error


def _unreadable(path: Path, error: Exception, expected: str, remedy: str) -> DataError:
    if isinstance(error, UnicodeDecodeError) or "utf-8" in str(error).lower():
        found, remedy = "bytes that are none of it", "save it again as UTF-8"
        return DataError(str(path), expected=f"{expected}, in UTF-8", found=found, remedy=remedy)
    lines = str(error).splitlines() or [type(error).__name__]
    found = _row_at_fault(path) or lines[0].removeprefix("found ")[:200]
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
    return DataError(str(path), expected=expected, found=found, remedy=remedy)


def _row_at_fault(path: Path) -> str | None:
    """The first row of a CSV that has another number of cells than the header."""
    try:
        between, above = layout_of(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(islice(file, above, None), delimiter=between)
            header = next(rows)
            for number, row in enumerate(rows, start=1):
                if len(row) > len(header):
                    return f"{len(row)} cells in row {number}, and {len(header)} columns"
    except (OSError, ValueError, csv.Error, StopIteration):
        pass
    return None


def _refuse_repeated(path: Path, how: Mapping[str, Any]) -> None:
    """Of two columns of one name polars would rename the second, and it would be lost unsaid."""
    header = pl.read_csv(path, has_header=False, n_rows=1, **how)
    names = Counter(name for name in header.row(0) if name)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataError(
            str(path),
            expected="each column once",
            found=f"{twice[0]!r} {names[twice[0]]} times",
            remedy="rename or delete all but one of them",
        )
