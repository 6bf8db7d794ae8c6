"""What a JSON of COCO says: images, classes, and the objects in each image."""

import json
from array import array
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from regard.errors import DataError
from regard.importers.boxes import edges
from regard.importers.coco_layout import Layout, inside
from regard.importers.files import entry

Item = dict[str, Any]
LISTS = ("images", "categories", "annotations")


@dataclass(frozen=True)
class Photo:
    """An image of the set.

    Attributes:
        name: below its folder, with slashes.
        size: (H, W) as the JSON has it, unchecked.
    """

    name: str
    size: tuple[Any, Any]


@dataclass(frozen=True)
class Part:
    """One JSON, its ids checked.

    Attributes:
        path: of the JSON.
        folder: of its images, absolute.
        split: its name, if it has one.
        classes: by the id of the category, in the order of the list.
        photos: by the id of the image, in the order of the list.
        items: the annotations of each image that has any, by its id.
        panoptic: whether annotations are of whole images.
        missing: names of images that were left out, as they are not in the folder.
    """

    path: Path
    folder: Path
    split: str | None
    classes: Mapping[Hashable, str]
    photos: Mapping[Hashable, Photo]
    items: Mapping[Hashable, Sequence[Item]]
    panoptic: bool
    missing: Sequence[str] = ()

    def row(self, key: Hashable, root: Path) -> dict[str, Any]:
        """An image's path and split, as a manifest in `root`, an absolute path, has them."""
        return {"image": prefix(self.folder, root) + self.photos[key].name, "split": self.split}

    def file(self, key: Hashable) -> Path:
        """An image's path."""
        return self.folder / self.photos[key].name

    def name(self, item: Item) -> str:
        """The class of an object or a segment."""
        return self.classes[item["category_id"]]

    def box(self, item: Item) -> list[float]:
        """xmin, ymin, xmax, ymax of an object, in pixel edges.

        Raises:
            DataError: not four finite numbers.
        """
        box = item.get("bbox")
        xmin, ymin, width, height = edges(box if isinstance(box, list) else (), self.where(item))
        return [xmin, ymin, xmin + width, ymin + height]

    def where(self, item: Item) -> str:
        """For an error line."""
        return f"{self.path}, annotation {item.get('id')}"


@cache
def prefix(folder: Path, root: Path) -> str:
    """What stands before the names of a folder's files in a manifest; both paths are absolute."""
    return entry(folder / "_", root).removesuffix("_")


def area(item: Item) -> float:
    """The area of an object in pixels: as it says, else that of its box, else 0."""
    try:
        told = item.get("area")
        found = float(item["bbox"][2]) * float(item["bbox"][3]) if told is None else float(told)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return 0
    return found if isfinite(found) else 0


def is_crowd(item: Item) -> bool:
    """Whether it is a group of objects that were not told apart."""
    return item.get("iscrowd") in (1, "1")


def read_part(path: Path, layout: Layout, *, outlines: bool, alone: bool) -> Part:
    """Read a JSON.

    Args:
        path: of the file.
        layout: of the set.
        outlines: whether segmentations are kept.
        alone: whether it is the only one of the set.

    Raises:
        DataError: not a JSON of COCO, an id that comes twice or is of nothing, an image that is
            missing.

    Reference:
        https://cocodataset.org/#format-data
    """
    found = _load(path, _packed if outlines else _without_outline)
    classes = dict(_classes(found["categories"], path))
    photos = dict(_photos(found["images"], path))
    names = [photo.name for photo in photos.values()]
    _refuse_repeated(names, f"{path}, images", "a file name that comes once")
    folder, missing = layout.folder(path, names)
    folder, absent = folder.absolute(), set(missing)
    items = _by_image(found["annotations"], photos, path)
    panoptic = any("segments_info" in item for own in items.values() for item in own)
    for own in items.values():
        for item in own:
            _refuse_unknown(item, classes, path, panoptic)
    split = layout.split(path, folder, alone)
    photos = {key: photo for key, photo in photos.items() if photo.name not in absent}
    items = {key: own for key, own in items.items() if key in photos}
    return Part(path, folder, split, classes, photos, items, panoptic, missing)


def _load(path: Path, hook: Callable[[Item], Item]) -> dict[str, list]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            found = json.load(file, object_hook=hook)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            str(path),
            expected="a JSON of COCO",
            found=str(error)[:120],
            remedy="unpack or export it again",
        ) from error
    has = found if isinstance(found, dict) else {}
    lacking = [name for name in LISTS if not isinstance(has.get(name), list)]
    if not lacking and has["images"]:
        return has
    raise DataError(
        str(path),
        expected="a JSON of COCO with lists of images, categories and annotations",
        found=f"no list {lacking[0]!r}" if lacking else "an empty list 'images'",
        remedy="name the right file: --annotations FILE.json",
    )


def _without_outline(item: Item) -> Item:
    """Outlines are nine tenths of a large file."""
    item.pop("segmentation", None)
    return item


def _packed(item: Item) -> Item:
    """Polygons as bare numbers, which take a quarter of the memory."""
    polygons = item.get("segmentation")
    if isinstance(polygons, list):
        try:
            item["segmentation"] = [array("d", polygon) for polygon in polygons]
        except (TypeError, OverflowError):
            pass  # What it is will be said when it is needed.
    return item


def _classes(items: Sequence[Any], path: Path) -> Iterator[tuple[Hashable, str]]:
    for where, item in _with_ids(items, path, "categories"):
        name = item.get("name")
        if not isinstance(name, str) or not name.strip():
            raise _wrong(where, "a category with a name", repr(name), "name it")
        yield item["id"], name.strip()


def _photos(items: Sequence[Any], path: Path) -> Iterator[tuple[Hashable, Photo]]:
    for where, item in _with_ids(items, path, "images"):
        name = inside(item.get("file_name"))
        if name is None:
            found = repr(item.get("file_name"))
            raise _wrong(where, "a file_name below the folder of images", found, "correct it")
        yield item["id"], Photo(name, (item.get("height"), item.get("width")))


def _with_ids(items: Sequence[Any], path: Path, what: str) -> Iterator[tuple[str, Item]]:
    """Each entry of a list with its place, ids checked."""
    seen: set[Hashable] = set()
    for number, item in enumerate(items, start=1):
        where = f"{path}, {what}, entry {number}"
        key = item.get("id") if isinstance(item, dict) else None
        if not isinstance(key, int | str):
            raise _wrong(where, "an entry with an id", repr(item), "correct the entry")
        if key in seen:
            raise _wrong(where, "an id that comes once", f"id {key!r} again", "remove one of them")
        seen.add(key)
        yield where, item


def _by_image(
    items: Sequence[Any], photos: Mapping[Hashable, Photo], path: Path
) -> dict[Hashable, list[Item]]:
    found: dict[Hashable, list[Item]] = {}
    for number, item in enumerate(items, start=1):
        key = item.get("image_id") if isinstance(item, dict) else None
        if not isinstance(key, int | str) or key not in photos:
            where = f"{path}, annotations, entry {number}"
            told = f"image_id {key!r}" if isinstance(item, dict) else repr(item)
            raise _wrong(where, "the image_id of an image of the list", told, "remove the entry")
        found.setdefault(key, []).append(item)
    return found


def _refuse_unknown(item: Item, classes: Mapping, path: Path, panoptic: bool) -> None:
    """Segments of a panoptic annotation have a category each, else the object itself has one."""
    own = item.get("segments_info") if panoptic else [item]
    for one in own if isinstance(own, list) else [None]:
        key = one.get("category_id") if isinstance(one, dict) else None
        if not isinstance(key, int | str) or key not in classes:
            where = f"{path}, annotation {item.get('id', item.get('file_name'))}"
            expected = "the id of a category of the list"
            raise _wrong(where, expected, f"category_id {key!r}", "add the category to the list")


def _refuse_repeated(names: Sequence[str], where: str, expected: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _wrong(where, expected, f"{name} again", "remove one of the entries")
        seen.add(name)


def _wrong(where: str, expected: str, found: str, remedy: str) -> DataError:
    return DataError(where, expected=expected, found=found[:120], remedy=remedy)
