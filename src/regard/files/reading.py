"""The bytes of a file of unknown origin: of a regular one alone, and of a bounded length."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from regard.errors import DataError

MAX_BYTES = 2**31
# Without it the opening of a pipe waits for someone to write into it.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class OddFileError(DataError):
    """What is there is no regular file, or longer than any that is read."""


def open_file(path: str | Path) -> BinaryIO:
    """A file, open for reading.

    Raises:
        OddFileError: a pipe, a socket or a device, which may have no end, or more than 2 GiB.
        OSError: missing, a folder, or not to be read.
    """
    return os.fdopen(_opened(path), "rb")


def read_file(path: str | Path) -> bytes:
    """All of a file; see `open_file`."""
    # Unbuffered: that much faster where a file is small.
    with os.fdopen(_opened(path), "rb", buffering=0) as file:
        return file.readall()


def _opened(path: str | Path) -> int:
    """The descriptor of a regular file of no more bytes than may be."""
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    try:
        seen = os.fstat(descriptor)
        if stat.S_ISDIR(seen.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(seen.st_mode):
            raise _no_file(path, "a pipe or a device")
        refuse_length(seen.st_size, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def refuse_length(length: int, name: str | Path) -> None:
    """Refuse what would fill the memory before a header is looked at.

    Raises:
        OddFileError: more than 2 GiB.
    """
    if length > MAX_BYTES:
        raise _no_file(name, f"{length:,} bytes")


def _no_file(name: str | Path, found: str) -> OddFileError:
    return OddFileError(
        os.fspath(name),
        expected=f"a regular file of at most {MAX_BYTES:,} bytes",
        found=found,
        remedy="replace or remove it",
    )
