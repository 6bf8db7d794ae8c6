"""Writing whole files or none."""

import fcntl
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Any


def write_atomically(path: Path, write: Callable[[Path], Any], *, flush: bool = True) -> Path:
    """Let `write` fill a neighbouring file, flush it to disk and swap it in.

    The neighbour's name is the same each time, and it is locked while it is filled: what a process
    that was killed had half written is written anew. Of two at once the second takes another name.

    Args:
        path: of the file; its folder is made.
        write: called with the path to fill.
        flush: wait for the disk. Without it the file may be lost with the machine, not be half
            written by a process that ends: for thousands of files that can be made again.

    Raises:
        OSError: with the path, the disk is full, say.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    held = _held(partial)
    if held is None:
        partial = path.with_name(f".{path.name}.{threading.get_native_id()}.partial")
    try:
        with blamed(path):
            write(partial)
            if flush:
                sync(partial)
            os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        if held is not None:
            os.close(held)
    if flush:
        sync(path.parent)
    return path


def _held(path: Path) -> int | None:
    """A descriptor of the file, new or left by a dead process, if nobody else fills it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except OSError:  # held, swapped in meanwhile, or a file system without locks
        pass
    os.close(handle)
    return None


@contextmanager
def whole_folder(path: Path, partial: Path) -> Iterator[Path]:
    """Let the block fill a folder under another name, flush it and rename it to its own.

    Args:
        path: of the folder; what is there already makes way for it.
        partial: its name until then; removed where the block fails.

    Raises:
        OSError: with the path, the disk is full, say.
    """
    aside = partial.with_suffix(".replaced")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process of the same number
    try:
        with blamed(path):
            partial.mkdir(parents=True)
            yield partial
            for file in partial.iterdir():
                sync(file)
            sync(partial)
            if path.exists():
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
            partial.rename(path)
            sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)


def open_lock(path: Path) -> IO[str]:
    """A file to be locked, made where it is missing; nothing in it is changed, no link followed.

    Raises:
        OSError: it is a link, or may not be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return open(path, "r+", opener=lambda name, _: os.open(name, flags, 0o644))


def append_line(file: FileIO, line: str, path: Path) -> None:
    """Append a line to an open file, or leave it as it was.

    Raises:
        OSError: with the path, the disk is full, say.
    """
    data, before = memoryview(f"{line}\n".encode()), os.fstat(file.fileno()).st_size
    with blamed(path):
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            os.ftruncate(file.fileno(), before)  # the next line must not follow half of this one
            raise


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
