"""Tables, YAML, and JSON that knows numbers that are not finite, written whole or not at all."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from regard.errors import RunError
from regard.files.atomic import write_atomically
from regard.files.parquet import read_parquet, write_parquet
from regard.settings.yaml_text import read_yaml_file

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# Of a file of JSON; a comparison of a hundred thousand images has some ten of them.
MOST_BYTES = 256 << 20


def damaged(where: str, found: str) -> RunError:
    """What to say of a file of a run, a study or a tuning that is not as it was written."""
    return RunError(
        where,
        expected="what regard wrote there",
        found=found,
        remedy="restore it, or let the command that writes it do so again",
    )


def write_table(path: Path, table: pl.DataFrame) -> Path:
    """Write parquet in one atomic step."""
    return write_parquet(path, table)


def write_csv(path: Path, table: pl.DataFrame) -> Path:
    """Write CSV in one atomic step.

    Text that a spreadsheet would take for a formula is written with an apostrophe before, and a
    byte order mark before all, without which Excel takes ä for another letter. CSV is for people
    to look at; the same tables in parquet have it as it is.
    """
    text = pl.col(pl.String)
    harmless = text.str.replace(r"^([=+\-@\t\r])", "'$1")
    told = table.with_columns(harmless)
    return write_atomically(path, lambda partial: told.write_csv(partial, include_bom=True))


def dump_json(value: Any, *, indent: int | None = None) -> str:
    """JSON; numbers that are not finite become the strings NaN, Infinity, -Infinity."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def read_table(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """What `write_table` wrote.

    Raises:
        OSError: there is no such file.
        RunError: it is damaged, or lacks a column.
    """
    try:
        return read_parquet(path, columns)
    except pl.exceptions.PolarsError as error:
        raise damaged(str(path), _first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def load_json(text: str | bytes, where: str = "a line") -> Any:
    """The inverse of `dump_json`; of numbers that are not finite see `number`.

    Raises:
        RunError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(where, f"no JSON ({_first_line(error)})") from error


def number(value: Any) -> float:
    """A number that `dump_json` wrote, which may be a string."""
    return NON_FINITE[value] if isinstance(value, str) else float(value)


def write_json(path: Path, value: Any) -> Path:
    """Write JSON in one atomic step."""
    return write_atomically(path, lambda p: p.write_text(dump_json(value, indent=1) + "\n"))


def read_json(path: Path) -> Any:
    """What `write_json` wrote.

    Raises:
        OSError: there is no such file.
        RunError: it is no JSON, or too large to be of Regard.
    """
    if path.stat().st_size > MOST_BYTES:
        raise damaged(str(path), f"more than {MOST_BYTES >> 20} MB")
    return load_json(path.read_bytes(), str(path))


def write_yaml(path: Path, value: Mapping[str, Any]) -> Path:
    """Write YAML in one atomic step, keys in their order."""
    text = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True)
    return write_atomically(path, lambda p: p.write_text(text))


def read_yaml(path: Path) -> dict[str, Any]:
    """What `write_yaml` wrote.

    Raises:
        OSError: there is no such file.
        RunError: it is no YAML, or no mapping.
    """
    try:
        values = read_yaml_file(path)
    except yaml.YAMLError as error:
        raise damaged(str(path), f"no YAML ({_first_line(error)})") from error
    if not isinstance(values, dict):
        raise damaged(str(path), "no mapping")
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
