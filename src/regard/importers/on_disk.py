"""Files that a table names: under the names that they have on the disk, or none at all."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unicodedata import normalize

from regard.errors import DataError

Row = dict[str, Any]


class Spellings:
    """Finds files whose names a table writes otherwise than the disk.

    Windows has other slashes, and an umlaut is one sign to most programs and two to a Mac. A file
    of the name as it is written is always the one that is meant.
    """

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, str]] = {}
        self._folders: dict[Path, Path | None] = {}

    def find(self, folder: Path, name: str) -> Path:
        """The path below a folder that exists; as it is written if there is none."""
        written = folder / name
        # What can be written in one way alone is not looked for.
        if (name.isascii() and "\\" not in name) or os.path.exists(written):
            return written
        ways = dict.fromkeys((name, name.replace("\\", "/")))
        return next(filter(None, (self._spelled(folder / way) for way in ways)), written)

    def _spelled(self, path: Path) -> Path | None:
        if os.path.exists(path):
            return path
        if path.parent not in self._folders:
            above = path.parent
            self._folders[above] = None if above == path else self._spelled(above)
        above = self._folders[path.parent]
        name = None if above is None else self._inside(above).get(normalize("NFC", path.name))
        return None if above is None or name is None else above / name

    def _inside(self, folder: Path) -> dict[str, str]:
        """The names in a folder by their composed form."""
        if folder not in self._listed:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            self._listed[folder] = {normalize("NFC", name): name for name in names}
        return self._listed[folder]


def refuse_absent(rows: Iterable[Row], src: Path) -> None:
    """Refuse a table none of whose images is there: that is a wrong option.

    Single files that are missing are for the checks.

    Raises:
        DataError: there is none.
    """
    paths = [row["image"] for row in rows]
    if not any(map(os.path.exists, paths)):
        raise DataError(
            str(src),
            expected="images where the paths say",
            found=f"none of {len(paths)}, the first being {paths[0]}",
            remedy="set --images to the folder that they start from, or --image to a template",
        )


def refuse_none(rows: Iterable[Row], key: str, src: Path) -> None:
    """Refuse a column or template of files none of which is there.

    Some that are missing are for the checks, or their images have none.

    Raises:
        DataError: there is none.
    """
    paths = [row[key] for row in rows if row.get(key)]
    if paths and not any(map(os.path.isfile, paths)):
        raise DataError(
            f"{src}, --{key}",
            expected="files where the paths say",
            found=f"none of {len(paths)}, the first being {paths[0]}",
            remedy=f"correct the column or template; paths start from {src.parent}",
        )


def leave_out_absent(rows: Iterable[Row], key: str) -> None:
    """Empty the cells of a template whose files are not there."""
    for row in rows:
        if row.get(key) and not os.path.isfile(row[key]):
            row[key] = None
