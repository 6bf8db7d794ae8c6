"""Writing whole files or none."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], Any], *, flush: bool = True) -> Path:
    """Let `write` fill a neighbouring file, flush it to disk and swap it in.

    Args:
        path: of the file; its folder is made.
        write: called with the path to fill.
        flush: wait for the disk. Without it the file may be lost with the machine, not be half
            written by a process that ends: for thousands of files that can be made again.

    Raises:
        OSError: with the path, the disk is full, say.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with blamed(path):
            write(partial)
            if flush:
                sync(partial)
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if flush:
        sync(path.parent)
    return path


@contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Let an error of the system name the path, whatever a library makes of it.

    Raises:
        OSError: with the path.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _number(error: Exception) -> int | None:
    """The system's number of an error; libraries in Rust have it in their text alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return None if found is None else int(found[1])


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
