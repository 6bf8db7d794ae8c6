"""The run's log: one JSON object a line, appended; cut back to a checkpoint on resume."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regard.errors import RunError
from regard.files.atomic import append_line, blamed
from regard.runs.files import damaged, dump_json, load_json


class Log:
    """Appends to `log.jsonl`.

    Args:
        path: of the file.
        offset: None to append; else the file is cut to this many bytes first.

    Raises:
        RunError: the file is shorter than the offset.
    """

    def __init__(self, path: Path, offset: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab", buffering=0)
        size = self._file.tell()
        if offset is not None and offset > size:
            self._file.close()
            raise RunError(
                str(path),
                expected=f"at least the {offset} bytes that the checkpoint knows of",
                found=str(size),
                remedy="restore it, or train anew into another --out",
            )
        if offset is not None and offset < size:
            self._file.truncate(offset)
            self._file.seek(offset)

    def write(self, kind: str, **values: Any) -> None:
        """Append one line."""
        append_line(self._file, dump_json({"kind": kind, **values}), self._path)

    def sync(self) -> int:
        """Flush to disk; returns the length in bytes."""
        with blamed(self._path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Unwritten:
    """The log of a process that leaves writing to another."""

    def write(self, kind: str, **values: Any) -> None:
        """Write nothing."""

    def sync(self) -> int:
        """Of no length."""
        return 0

    def close(self) -> None:
        """Nothing is open."""


def add_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append a line to a file that holds one JSON object a line; a torn last line goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        file.seek(0)
        before = file.readall()
        if before and not before.endswith(b"\n"):
            os.ftruncate(file.fileno(), before.rfind(b"\n") + 1)
        append_line(file, dump_json(values), path)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line; a torn last line is left out.

    Raises:
        RunError: a line is none.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.endswith(b"\n"):
                record = load_json(line, f"{path}, line {number}")
                if not isinstance(record, dict):
                    raise damaged(f"{path}, line {number}", "no JSON object")
                yield record


def read_log(path: Path, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a log, of one kind or all; none where there is no log.

    Raises:
        RunError: a line is none of a log.
    """
    if not path.is_file():
        return
    for number, record in enumerate(read_lines(path), start=1):
        if not isinstance(record.get("kind"), str):
            raise damaged(f"{path}, line {number}", "a line without its kind")
        if kind is None or record["kind"] == kind:
            yield record
