"""Tables, YAML, and JSON that knows numbers that are not finite, written whole or not at all."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from regard.data.atomic import write_atomically

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def write_table(path: Path, table: pl.DataFrame) -> Path:
    """Write parquet in one atomic step."""
    return write_atomically(path, table.write_parquet)


def write_csv(path: Path, table: pl.DataFrame) -> Path:
    """Write CSV in one atomic step.

    Text that a spreadsheet would take for a formula is written with an apostrophe before. CSV is
    for people to look at; the same tables in parquet have it as it is.
    """
    text = pl.col(pl.String)
    harmless = text.str.replace(r"^([=+\-@\t\r])", "'$1")
    return write_atomically(path, table.with_columns(harmless).write_csv)


def dump_json(value: Any, *, indent: int | None = None) -> str:
    """JSON; numbers that are not finite become the strings NaN, Infinity, -Infinity."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def load_json(text: str) -> Any:
    """The inverse of `dump_json` where numbers are expected; see `number`."""
    return json.loads(text)


def number(value: Any) -> float:
    """A number that `dump_json` wrote, which may be a string."""
    return NON_FINITE[value] if isinstance(value, str) else float(value)


def write_json(path: Path, value: Any) -> Path:
    """Write JSON in one atomic step."""
    return write_atomically(path, lambda p: p.write_text(dump_json(value, indent=1) + "\n"))


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text())


def write_yaml(path: Path, value: Mapping[str, Any]) -> Path:
    """Write YAML in one atomic step, keys in their order."""
    text = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True)
    return write_atomically(path, lambda p: p.write_text(text))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
