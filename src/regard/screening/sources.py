"""What is screened: the images of a folder, of a manifest, or of a tar."""

import errno
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from regard.data.manifest import read_manifest
from regard.errors import DataError
from regard.files.reading import read_file, refuse_length
from regard.importers.files import images_under
from regard.screening.tars import Place, images_in

Box = tuple[float, float, float, float]
Grouping = Literal["folder", "none"]
Grouped = Literal["folder", "none", "column group"]


@dataclass(frozen=True)
class Source(ABC):
    """Images in an order that does not change from one opening to the next.

    Attributes:
        path: of the folder, the manifest or the tar.
        names: of the images, as the file system or the tar has them.
        groups: of each image, the patient or the slide, say; None: they have none.
        boxes: of each image, in pixel edges of the upright image; None: there are none.
        grouped: what the groups are of.
    """

    path: Path
    names: Sequence[str]
    groups: Sequence[str | None] | None = None
    boxes: Sequence[Sequence[Box]] | None = None
    grouped: Grouped = "none"

    @abstractmethod
    def read(self, row: int) -> bytes:
        """The file of an image."""

    def absolute(self) -> Self:
        """The same for a process that works in another folder."""
        return replace(self, path=self.path.resolve())

    def __getstate__(self) -> dict[str, Any]:
        # Another process cannot read from this one's open file.
        return {own.name: getattr(self, own.name) for own in fields(self)}

    @cached_property
    def digest(self) -> str:
        """Of all names, groups, boxes and places in a tar: whether it is the same source."""
        return _digest(self._told(row) for row in range(len(self.names)))

    @cached_property
    def digest_of_groups(self) -> str:
        """Of the groups alone."""
        return _digest(str(group) for group in self.groups or ())

    def shown(self, row: int) -> str:
        """The name of an image as text, whatever bytes it has."""
        return printable(self.names[row])

    def _told(self, row: int) -> str:
        """What tells an image from another."""
        boxes, groups = self.boxes or {}, self.groups or {}
        return f"{self.names[row]}\0{boxes and boxes[row]}\0{groups and groups[row]}"


@dataclass(frozen=True)
class Files(Source):
    """Files below a folder, or those that a manifest lists."""

    root: Path = Path()

    def absolute(self) -> Self:
        """The same for a process that works in another folder."""
        return replace(super().absolute(), root=self.root.resolve())

    def read(self, row: int) -> bytes:
        """The file of an image."""
        return read_file(self.root / self.names[row])


@dataclass(frozen=True)
class Members(Source):
    """Files of an uncompressed tar, read where they lie.

    Attributes:
        places: of each; None: a link that leads nowhere.
    """

    places: Sequence[Place | None] = ()

    @cached_property
    def _handle(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def read(self, row: int) -> bytes:
        """The file of an image."""
        place = self.places[row]
        if place is None:
            raise FileNotFoundError(errno.ENOENT, "a link to nothing in the tar")
        refuse_length(place.length, self.names[row])
        return os.pread(self._handle, place.length, place.start)

    def _told(self, row: int) -> str:
        return f"{super()._told(row)}\0{self.places[row]}"


def _digest(lines: Iterable[str]) -> str:
    found = hashlib.sha256()
    for line in lines:
        found.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def open_source(path: Path, grouping: Grouping = "none") -> Source:
    """Open a folder, a manifest (.parquet, .csv) or a tar (.tar).

    Args:
        path: of it.
        grouping: `folder`: the folder that an image lies in is its group; a manifest has a column.

    Raises:
        DataError: none of these, without an image, or a compressed tar.
    """
    if path.is_dir():
        names = [image.relative_to(path).as_posix() for image in images_under(path)]
        groups = _folders(names, grouping)
        return _with_images(Files(path, names, groups, grouped=grouping, root=path))
    if path.suffix == ".tar" and path.is_file():
        return _with_images(_tar(path, grouping))
    if path.suffix in (".parquet", ".csv") and path.is_file():
        return _with_images(_manifest(path, grouping))
    raise DataError(
        str(path),
        expected="a folder of images, a manifest (.parquet, .csv) or a .tar",
        found=f"a file {path.suffix or 'without a suffix'}" if path.exists() else "nothing there",
        remedy="give one of these",
    )


def _tar(path: Path, grouping: Grouping) -> Members:
    found = images_in(path)
    names = [*found]
    groups, places = _folders(names, grouping), [*found.values()]
    return Members(path, names, groups, grouped=grouping, places=places)


def _manifest(path: Path, grouping: Grouping) -> Files:
    manifest = read_manifest(path)
    table = manifest.table
    names: list[str] = table["image"].to_list()
    own = table["group"].to_list() if "group" in table.columns else None
    groups = _folders(names, grouping) if grouping == "folder" else own
    grouped = "column group" if groups is own and own else grouping
    boxes = None
    if "boxes" in table.columns:
        boxes = [tuple(tuple(box) for box in row or ()) for row in table["boxes"].to_list()]
    return Files(path, names, groups, boxes, grouped, root=manifest.root)


def _folders(names: Sequence[str], grouping: Grouping) -> list[str] | None:
    if grouping == "none":
        return None
    return [printable(Path(name).parent.as_posix()) for name in names]


def printable(name: str) -> str:
    """A name as text, in which bytes that are no UTF-8 are escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _with_images(source: Source) -> Source:
    if not source.names:
        raise DataError(
            str(source.path),
            expected="images",
            found="none",
            remedy="see regard data import --help for what an image file is",
        )
    return source
