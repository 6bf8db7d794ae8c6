"""Where the parts of a COCO set lie: JSON files, and the folders of their images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from regard.errors import DataError
from regard.importers.files import SPLITS, some

KINDS = ("instances", "panoptic")
# In each folder of a split, beside the images: as Roboflow exports.
BESIDE = "_annotations.coco.json"


@dataclass(frozen=True)
class Layout:
    """A set's folder and what is said of it.

    Attributes:
        src: the folder.
        annotations: one of `KINDS`, or the path of one JSON.
        images: the folder of images, if it is named.
        skip_missing: images that are missing are left out, where others are there.
    """

    src: Path
    annotations: str
    images: str | None
    skip_missing: bool = False

    def files(self) -> list[Path]:
        """The JSON files, at least one.

        Raises:
            DataError: there is none.
        """
        if self.annotations not in KINDS:
            found = [
                p for p in (Path(self.annotations), self.src / self.annotations) if p.is_file()
            ]
            expected, found = f"{', '.join(KINDS)} or a JSON", found[:1]
        else:
            name = f"{self.annotations}_*.json"
            found = sorted((self.src / "annotations").glob(name))
            if self.annotations == "instances":
                found += sorted(self.src.glob(f"*/{BESIDE}"))
            expected = f"annotations/{name}"
        if not found:
            raise DataError(
                f"{self.src}, --annotations {self.annotations}",
                expected=expected,
                found="no such file",
                remedy="correct the folder, or name one: --annotations FILE.json",
            )
        return found

    def split(self, path: Path, folder: Path, alone: bool) -> str | None:
        """Our name of a file's split: by its own name, else by that of the folder of images.

        Names that are no split stay as they are, where there are several files.
        """
        part = _part(path)
        known = (SPLITS.get(name.rstrip("0123456789").lower()) for name in (part, folder.name))
        return next(filter(None, known), None if alone else part)

    def folder(self, path: Path, names: Sequence[str]) -> tuple[Path, list[str]]:
        """The folder in which the images of a file lie, and the names that it lacks.

        Raises:
            DataError: there is no such folder, or an image is missing and is not to be left out.
        """
        places, listing = list(dict.fromkeys(self._places(path))), Listing()
        best, lacking = places[0], list(names)
        for place in places:
            absent = [name for name in names if not listing.has(place, name)]
            if len(absent) < len(lacking):
                best, lacking = place, absent
            if not lacking:
                break
        if len(lacking) == len(names):
            raise DataError(
                str(path),
                expected="a folder with its images",
                found=f"no {names[0]} in " + ", ".join(map(str, places[:3])),
                remedy="name the folder, --images FOLDER, or another JSON, --annotations FILE.json",
            )
        if lacking and not self.skip_missing:
            raise DataError(
                str(path),
                expected=f"all {len(names)} images of its list in {best}",
                found=f"{len(names) - len(lacking)}, without " + some(lacking),
                remedy="add them, or leave them out by --skip-missing",
            )
        return best, lacking

    def _places(self, path: Path) -> Iterator[Path]:
        if self.images is not None:
            yield self.src / self.images
            return
        part, images = _part(path), self.src / "images"
        yield from (self.src / part, images / part, images, path.parent, self.src)


class Listing:
    """The names in folders, each read once: a question a file would take minutes over a network."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def has(self, folder: Path, name: str) -> bool:
        """Whether a folder holds a file of that name, which may start with folders of its own."""
        above, _, own = name.rpartition("/")
        place = folder / above if above else folder
        if place not in self._names:
            there = place.iterdir() if place.is_dir() else ()
            self._names[place] = {path.name for path in there}
        return own in self._names[place]


def inside(name: object) -> str | None:
    """The name of a file as a path below its folder; None if it is none."""
    if not isinstance(name, str) or not name:
        return None
    # A file written on Windows has the other slashes. Masks are written under such names.
    path = PurePosixPath(name.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or not path.name
    return None if leads_out else path.as_posix()


def _part(path: Path) -> str:
    """`train2017` of `instances_train2017.json`."""
    return path.parent.name if path.name == BESIDE else path.stem.rpartition("_")[2]
