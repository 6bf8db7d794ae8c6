"""Maps and pictures on disk, so many bytes of them: those that were not used for longest leave."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from regard.files.atomic import write_atomically

# What is left after leaving began, as a share of the bound: so that it does not begin each time.
_KEPT = 0.9
# Seconds after which a file that was begun and never finished is nobody's any more.
_STALE = 3600.0


@dataclass
class _Making:
    lock: Lock
    askers: int = 0


class DiskCache:
    """Holds what was made under a key; of two askers at once one makes it.

    Args:
        folder: of the files; made where it is missing. Another server may use it too.
        bound: bytes of all files.
    """

    def __init__(self, folder: Path, bound: int) -> None:
        self.folder, self._bound = folder, bound
        self._lock, self._making = Lock(), dict[str, _Making]()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._total = 0
        self._shrink()

    def get(self, key: str) -> bytes | None:
        """What is held under a key; it counts as used now."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Hold it, unless the disk does not want it."""
        if len(data) > self._bound:
            return
        try:
            # A part of the key's folder: a file of the same name would be written by both at once.
            write_atomically(self._path(key), lambda p: p.write_bytes(data), flush=False)
        except OSError:
            return
        with self._lock:
            self._total += len(data)
            full = self._total > self._bound
        if full:
            self._shrink()

    def made(self, key: str, make: Callable[[], bytes]) -> bytes:
        """What is held under a key, made where it is not."""
        with self._lock:
            making = self._making.setdefault(key, _Making(Lock()))
            making.askers += 1
        try:
            with making.lock:
                data = self.get(key)
                if data is None:
                    data = make()
                    self.put(key, data)
                return data
        finally:
            with self._lock:
                making.askers -= 1
                if not making.askers:
                    del self._making[key]

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / name[:2] / name[2:]

    def _shrink(self) -> None:
        """Count what is there, and remove the least recently used beyond the bound."""
        with self._lock:
            files = sorted(_files(self.folder))
            total = sum(size for _, size, _ in files)
            wanted = self._bound if total <= self._bound else int(_KEPT * self._bound)
            for _, size, path in files:
                if total <= wanted:
                    break
                path.unlink(missing_ok=True)
                total -= size
            self._total = total


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """When each file was used last, its size, its path; what was never finished is removed."""
    found = []
    for path in folder.glob("??/*"):
        try:
            seen = path.stat()
            if path.suffix == ".partial":
                if time.time() - seen.st_mtime > _STALE:
                    path.unlink(missing_ok=True)
                continue
        except OSError:
            continue
        found.append((seen.st_mtime, seen.st_size, path))
    return found
