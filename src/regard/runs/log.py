"""The run's log: one JSON object a line, appended; cut back to a checkpoint on resume."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regard.errors import RunError
from regard.runs.files import dump_json, load_json


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
        self._file = path.open("ab")
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
        self._file.write((dump_json({"kind": kind, **values}) + "\n").encode())
        self._file.flush()

    def sync(self) -> int:
        """Flush to disk; returns the length in bytes."""
        self._file.flush()
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


def read_log(path: Path, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a log, of one kind or all; a torn last line is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                record = load_json(line)
                if kind is None or record["kind"] == kind:
                    yield record
