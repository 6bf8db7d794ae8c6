"""Finding images on the disk, and naming them in a manifest."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from regard.data.manifest import natural
from regard.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
# What the splits are called elsewhere, and here.
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def split_name(name: str) -> str:
    """Our name of a split, whatever its case; other names stay as they are."""
    return SPLITS.get(name.lower(), name)


def folder_at(path: Path) -> Path:
    """The path, if it is a folder.

    Raises:
        DataError: it is missing, or a file.
    """
    if not path.is_dir():
        raise DataError(
            str(path),
            expected="a folder",
            found="a file" if path.exists() else "nothing there",
            remedy="correct the path",
        )
    return path


def folders_in(folder: Path) -> list[Path]:
    """The visible folders directly inside, in natural order."""
    inside = (path for path in folder.iterdir() if path.is_dir() and _visible(path.name))
    return sorted(inside, key=lambda path: natural(path.name))


def images_under(folder: Path) -> list[Path]:
    """The images in a folder and in its folders, by suffix; hidden files are left out."""
    return sorted(_walk(folder))


def images_in(folder: Path) -> list[Path]:
    """The images directly inside a folder."""
    return sorted(path for path in folder.iterdir() if path.is_file() and is_image(path.name))


def entry(path: str | Path, root: Path) -> str:
    """The path as a manifest in `root` has it: relative if it lies below, with slashes."""
    absolute = Path(os.path.abspath(path))
    below = Path(os.path.abspath(root))
    if absolute.is_relative_to(below):
        return absolute.relative_to(below).as_posix()
    return absolute.as_posix()


def one_a_stem(paths: Sequence[Path]) -> Path:
    """The only file of a name without its suffix.

    Raises:
        DataError: there are more, and nothing tells which one is meant.
    """
    if len(paths) > 1:
        raise DataError(
            str(paths[0].parent),
            expected="one image a name",
            found=" and ".join(path.name for path in paths[:3]),
            remedy="remove one of them",
        )
    return paths[0]


def lines_of(path: Path) -> list[str]:
    """The lines of a text.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            str(path),
            expected="a text in UTF-8",
            found=f"byte {error.start} is none of it",
            remedy="save it again as UTF-8",
        ) from error


def some(names: Iterable[object]) -> str:
    """The number of names and the first few of them, for an error line."""
    listed = [str(name) for name in names]
    return f"{len(listed)}: " + ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        # Folders of classes are often links; a link to a folder above would never end.
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = filter(_visible, folders)
        yield from (Path(here, name) for name in files if is_image(name))


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def is_image(name: str) -> bool:
    """Whether a file of this name is an image, by its suffix; hidden ones are not.

    Args:
        name: of a file, or its path with slashes: in a hidden folder it is hidden, too.
    """
    shown = all(part == ".." or _visible(part) for part in name.split("/"))
    return shown and os.path.splitext(name)[1].lower() in SUFFIXES
