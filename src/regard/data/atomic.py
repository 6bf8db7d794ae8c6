"""Writing whole files or none."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], Any], *, flush: bool = True) -> Path:
    """Let `write` fill a neighbouring file, flush it to disk and swap it in.

    Args:
        path: of the file; its folder is made.
        write: called with the path to fill.
        flush: wait for the disk. Without it the file may be lost with the machine, not be half
            written by a process that ends: for thousands of files that can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        if flush:
            sync(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if flush:
        sync(path.parent)
    return path


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
