"""Parquet whose every byte is checked when it is read again.

The digest lies in the gap before the footer, where no reader of parquet looks: the file is one like
any other. One that another program wrote has none and is read as it is.
"""

import hashlib
from io import BytesIO
from pathlib import Path

import polars as pl

from regard.files.atomic import write_atomically

_MARK, _DIGEST, _END = b"regard:sha256:", 32, b"PAR1"
_GAP = len(_MARK) + _DIGEST
# In the footer: there is a digest before it, even if it is damaged past knowing.
_KEY = "regard:sealed"


def write_parquet(path: Path, table: pl.DataFrame) -> Path:
    """Write a table in one atomic step, with its digest."""
    made = BytesIO()  # a full disk is told as such by Python alone
    table.write_parquet(made, metadata={_KEY: "sha256"})
    data = made.getvalue()
    footer = _footer(data)
    sealed = data[:footer] + _MARK + _digest(data[:footer], data[footer:]) + data[footer:]
    return write_atomically(path, lambda partial: partial.write_bytes(sealed))


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """What `write_parquet` wrote, or another program.

    Raises:
        OSError: there is no such file, or it is none that can be read.
        PolarsError: it is no parquet, is not what was written, or lacks a column.
    """
    data = path.read_bytes()
    try:
        footer = _footer(data)
        start = footer - _GAP
        gap = data[start:footer]
        if gap.startswith(_MARK) or _KEY.encode() in data[footer:]:
            if gap != _MARK + _digest(data[:start], data[footer:]):
                raise pl.exceptions.ComputeError("not what was written, its digest is another one")
        return pl.read_parquet(data, columns=columns)
    except pl.exceptions.PanicException as error:  # of Rust, and no Exception
        raise pl.exceptions.ComputeError("a table that is damaged") from error


def _footer(data: bytes) -> int:
    """Where the footer begins; it ends with its own length and four letters."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if data[-4:] != _END or start < len(_END):
        raise pl.exceptions.ComputeError("no parquet, or the end of it is missing")
    return start


def _digest(before: bytes, after: bytes) -> bytes:
    found = hashlib.sha256(before)
    found.update(after)
    return found.digest()
