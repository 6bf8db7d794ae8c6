"""The images that are to be explained, and a folder that holds one set of explanations."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.errors import ConfigError, DataError
from regard.images.opening import image_size
from regard.runs.files import read_json

INDEX = "explanations.json"


def refuse_unreadable(paths: Sequence[Path]) -> None:
    """Refuse images that were named one by one, before any is explained.

    Raises:
        DataError: one is missing, a folder, or no image.
    """
    for path in paths:
        try:
            image_size(path)
        except DataError as error:
            remedy = "give the path of an image"
            if path.is_dir():
                remedy = "give the images in it one by one: --images A.jpg --images B.jpg"
            elif not path.exists():
                remedy = "check the path, which starts from the working directory"
            raise DataError(
                str(path), expected="an image", found=error.found, remedy=remedy
            ) from error


def folder_name(name: str) -> str:
    """A class's name as that of a folder: letters, digits, - and _, the rest as _."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name) or "_"


def listed(folder: Path) -> set[Path]:
    """The pictures that the folder's index lists; none where there is no index."""
    try:
        rows = read_json(folder / INDEX)
        names = [row["overlay"] for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    inside = folder.resolve()
    paths = ((folder / name).resolve() for name in names if isinstance(name, str))
    return {path for path in paths if path.is_relative_to(inside)}


def remove_stale(folder: Path, before: Iterable[Path], rows: Iterable[Mapping[str, Any]]) -> None:
    """Remove the pictures of an earlier index that the new rows do not list, and only those."""
    kept = {(folder / row["overlay"]).resolve() for row in rows}
    for path in set(before) - kept:
        path.unlink(missing_ok=True)


def refuse_limit(limit: int | None) -> None:
    """Refuse to explain less than one image.

    Raises:
        ConfigError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError(
            "limit",
            expected="1 image or more",
            found=str(limit),
            remedy="leave it out for the default",
        )
