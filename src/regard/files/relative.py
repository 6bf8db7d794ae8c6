"""Relative paths that lead to the same file whatever links there are on the way."""

import os
from pathlib import Path


def seen_from(folder: str | Path, path: str | Path, old: str | Path = ".") -> str:
    """A path that starts in `old` as it starts in `folder`, with slashes.

    The system follows links before it goes up by `..`, so that both folders are taken for where
    they really are. A link at the end stays one, and so do those below `old`.

    Args:
        folder: which need not be there yet.
        path: an absolute one leads from `folder`, too.
        old: that a relative one starts in.
    """
    place = os.path.join(os.path.realpath(old), path)
    # Above what follows, links have to be gone: `..` would lead out of where they lead to.
    above, name = os.path.split(place)
    if os.path.isabs(path) or ".." in Path(path).parts:
        place = os.path.join(os.path.realpath(above), name)
    there = os.path.realpath(place) if name in ("", ".", "..") else place
    return Path(os.path.relpath(there, os.path.realpath(folder))).as_posix()


def known_by(path: str | Path) -> str:
    """The same text for all ways to a file through links to folders; a link itself is kept."""
    above, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(above), name)


def beside(folder: Path, ending: str) -> Path:
    """A folder next to this one, of its name and an ending."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(named.resolve().name + ending)
