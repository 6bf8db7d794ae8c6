"""What was made of files, kept in memory for as long as those files stay as they were."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp_of(files: Sequence[Path]) -> Stamp:
    """When each file was written, how large and which it is; None for one that is not there."""
    return tuple(_stamp(path) for path in files)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except (OSError, ValueError):
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


@dataclass
class _Entry(Generic[T]):
    lock: Lock = field(default_factory=Lock)
    stamp: Stamp | None = None
    value: T | None = None


class Kept(Generic[T]):
    """Holds the `most` values that were asked for last; of two askers at once one makes it.

    Attributes:
        made: how often something was made.
    """

    def __init__(self, most: int) -> None:
        self.made = 0
        self._most, self._lock = most, Lock()
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()

    def get(self, key: Hashable, files: Sequence[Path], make: Callable[[], T]) -> T:
        """The value of a key, made anew if one of the files has changed since."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            # Taken before the files are read: a change meanwhile is seen the next time.
            stamp = stamp_of(files)
            if entry.stamp != stamp:
                entry.stamp = None
                entry.value = make()
                entry.stamp, self.made = stamp, self.made + 1
            return entry.value  # type: ignore[return-value]
