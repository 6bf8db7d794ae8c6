"""The folder that is served: which runs, studies and tunings lie in it."""

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

from regard.errors import ConfigError
from regard.server.limits import Limits
from regard.server.refusals import NotFoundError, unknown

Kind = Literal["run", "study", "tuning"]
# Seconds for which what was found is taken for what is there.
FRESH = 2.0
# So many times as long as a look took it is not taken again.
_PATIENCE = 10
# Any of them says that a config.yaml, or a folder without one, is of a run.
_OF_A_RUN = ("log.jsonl", "environment.json", "checkpoints", "arm.json")
_DESCRIBED: dict[str, Kind] = {"study.yaml": "study", "tuning.yaml": "tuning"}


@dataclass(frozen=True)
class Found:
    """A run, a study or a tuning.

    Attributes:
        id: its folder, relative to the one that is served.
        path: its folder.
        kind: which it is.
        parent: the ID of the study or the tuning that it is of.
    """

    id: str
    path: Path
    kind: Kind
    parent: str | None = None


class Folder:
    """Finds runs under a folder; no link is followed, and nothing outside is read.

    Args:
        root: the folder.
        limits: how far it is looked through.

    Raises:
        ConfigError: no such folder.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        if not root.is_dir():
            raise ConfigError(
                str(root),
                expected="a folder of runs and studies",
                found="a file" if root.exists() else "no such folder",
                remedy="give the folder that regard train or study wrote to",
            )
        self.root, self._limits = root.resolve(), limits
        self._lock, self._known = Lock(), dict[str, Found]()
        self._looked, self._took = -float("inf"), 0.0

    def found(self, fresh: float = FRESH) -> dict[str, Found]:
        """All of them by ID, studies before their runs; known for `fresh` seconds at most."""
        with self._lock:
            began = time.monotonic()
            # In a folder of a million photos a look takes long, and is taken the more seldom.
            if began - self._looked >= max(fresh, _PATIENCE * self._took):
                self._known = {found.id: found for found in self._look()}
                self._looked = time.monotonic()
                self._took = self._looked - began
            return self._known

    def named(self, name: str) -> Found:
        """The run, study or tuning of an ID; the text is looked up, never made part of a path.

        Raises:
            NotFoundError: there is none.
        """
        # One that is not known may have begun just now.
        found = self.found().get(name) or self.found(FRESH / 10).get(name)
        if found is None or not found.path.is_dir():
            raise unknown("run", name, "choose one that /api/overview lists")
        return found

    def run(self, name: str) -> Found:
        """The run of an ID, see `named`.

        Raises:
            NotFoundError: there is none.
        """
        found = self.named(name)
        if found.kind != "run":
            raise unknown("run", name, "choose one that /api/overview lists")
        return found

    def inside(self, path: Path) -> Path:
        """The path, if the file lies in the folder, whatever links there are on the way.

        Raises:
            NotFoundError: it leads out.
        """
        try:
            within = path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # links that lead to each other
            within = False
        if not within:
            raise NotFoundError(
                path.name,
                expected="a file in the folder that is served",
                found="a link that leads out of it",
                remedy="put the file itself there",
            )
        return path

    def _look(self) -> Iterator[Found]:
        """Breadth first, so that of too many folders the deepest are left out."""
        waiting: deque[tuple[Path, str | None, int]] = deque([(self.root, None, 0)])
        seen = 0
        while waiting and seen < self._limits.folders:
            folder, parent, depth = waiting.popleft()
            seen += 1
            files, folders = _entries(folder)
            kind = _kind_of(files, folders)
            if kind is not None:
                found = Found(self._id(folder), folder, kind, parent)
                yield found
                parent = found.id
            if kind != "run" and depth < self._limits.depth:
                waiting.extend((folder / name, parent, depth + 1) for name in sorted(folders))

    def _id(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()


def own_files(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder that are no links, by name; none where the folder is a link."""
    if folder.is_symlink():
        return []
    return sorted(path for path in folder.glob(pattern) if not path.is_symlink())


def _entries(folder: Path) -> tuple[set[str], set[str]]:
    """Names of files and of folders; none where the folder has gone or cannot be read."""
    files, folders = set[str](), set[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):
                        folders.add(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.add(entry.name)
    except OSError:
        return set(), set()
    return files, folders


def _kind_of(files: set[str], folders: set[str]) -> Kind | None:
    for name, kind in _DESCRIBED.items():
        if name in files:
            return kind
    telling = sum(name in files or name in folders for name in _OF_A_RUN)
    # A damaged run may have lost its config, and a new one has nothing beside it yet.
    return "run" if ("config.yaml" in files and telling) or telling >= 2 else None
