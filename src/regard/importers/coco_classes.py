"""Masks of class ids of a COCO set, from its objects or from its panoptic segments."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from regard.data.mask_classes import VOID
from regard.errors import DataError
from regard.images.decoding import decode
from regard.importers.coco_json import Item, Part, area, is_crowd
from regard.importers.coco_layout import Listing, inside
from regard.importers.coco_masks import Job, canvas_of, mask_path
from regard.importers.files import entry, some
from regard.importers.masks import with_classes
from regard.importers.run_lengths import paint

BACKGROUND = "background"
# Besides these a mask holds void, and one id stands for those that nobody named.
MOST = 254


@dataclass(frozen=True)
class Ids:
    """What the pixels of a mask of classes hold.

    Attributes:
        of: the id of each class, from 0 on.
        rest: that of pixels which belong to none: void, or the background.
    """

    of: Mapping[str, int]
    rest: int

    @classmethod
    def named(cls, parts: Sequence[Part], background: bool) -> "Ids":
        """In the order of the list of categories; those of one name are one class.

        Raises:
            DataError: fewer than two classes, or more than a mask can hold.
        """
        names = [name for part in parts for name in part.classes.values()]
        names = list(dict.fromkeys([*names, BACKGROUND] if background else names))
        if not 2 <= len(names) <= MOST:
            one = "add --background, or import without masks of classes"
            many = "give categories that shall be one class the same name"
            raise DataError(
                f"{parts[0].path}, categories",
                expected=f"2 to {MOST} classes for masks",
                found=f"{len(names)}",
                remedy=one if len(names) < 2 else many,
            )
        found = {name: number for number, name in enumerate(names)}
        return cls(found, found[BACKGROUND] if background else VOID)

    def at(self, part: Part, item: Item) -> int:
        """The id of an object or a segment; crowds are void."""
        return VOID if is_crowd(item) else self.of[part.name(item)]


def class_rows(
    parts: Sequence[Part], root: Path, files: Path, background: bool
) -> tuple[list[dict[str, Any]], list[Job]]:
    """Every image with its mask of classes, and the masks to be made.

    Raises:
        DataError: too many classes, or a panoptic annotation or its PNG that is missing.
    """
    ids = Ids.named(parts, background)
    rows, jobs = [], []
    for part in parts:
        pngs = dict(_pngs(part)) if part.panoptic else {}
        for key in part.photos:
            path = mask_path(files, "mask", part, key)
            paths = part.row(key, root) | {"mask": entry(path, root)}
            rows.append(paths)
            how = partial(panoptic_mask, png=pngs[key]) if part.panoptic else class_mask
            jobs.append(Job(path, partial(how, part, key, ids), part.file(key)))
    return with_classes(rows, list(ids.of)), jobs


def class_mask(part: Part, key: Hashable, ids: Ids) -> np.ndarray:
    """The class id of each pixel of an image, uint8 (H, W).

    Crowds lie below everything; of objects the smaller lies above the larger.
    """
    canvas = canvas_of(part, key, ids.rest)
    for item in sorted(part.items.get(key, ()), key=_from_below):
        paint(canvas, item.get("segmentation"), ids.at(part, item), part.where(item))
    return canvas.T


def panoptic_mask(part: Part, key: Hashable, ids: Ids, png: Path) -> np.ndarray:
    """The class id of each pixel, uint8 (H, W), of a PNG of segments.

    The id of a pixel's segment is R + 256 G + 65,536 B, and 0 where there is none.

    Raises:
        DataError: the PNG is unreadable, or has a segment that the JSON does not list.

    Reference:
        https://cocodataset.org/#format-data, panoptic segmentation
    """
    (item,) = part.items[key]
    values = {segment.get("id"): ids.at(part, segment) for segment in item["segments_info"]}
    values = {n: value for n, value in values.items() if isinstance(n, int) and 0 < n < 2**24}
    known = np.array(sorted(values | {0: ids.rest}), dtype=np.int64)
    red, green, blue = decode(png).numpy().astype(np.int32)
    found = red + 256 * green + 65536 * blue
    place = np.searchsorted(known, found).clip(max=len(known) - 1)
    lacking = found[known[place] != found]
    if len(lacking):
        raise DataError(
            str(png),
            expected=f"the segments that {part.path.name} lists",
            found=f"segment {lacking[0]} on {len(lacking):,} of {found.size:,} pixels",
            remedy="unpack the PNGs that belong to the JSON",
        )
    return np.array([values.get(n, ids.rest) for n in known.tolist()], dtype=np.uint8)[place]


def _from_below(item: Item) -> tuple[bool, float]:
    return not is_crowd(item), -area(item)


def _pngs(part: Part) -> Iterator[tuple[Hashable, Path]]:
    """The PNG of segments of each image, from the folder called as the JSON."""
    folder, listing = part.path.with_suffix(""), Listing()
    without, lacking = [], []
    for key, photo in part.photos.items():
        items = part.items.get(key, ())
        if len(items) != 1:
            without.append(f"{photo.name} has {len(items)}")
            continue
        name = inside(items[0].get("file_name")) or f"{PurePosixPath(photo.name).stem}.png"
        if not listing.has(folder, name):
            lacking.append(name)
        yield key, folder / name
    if without:
        raise DataError(
            str(part.path),
            expected="one annotation for each image",
            found="another number for " + some(without),
            remedy="export it again",
        )
    if lacking:
        raise DataError(
            str(folder),
            expected="a PNG of segments for each image",
            found="none of " + some(lacking),
            remedy=f"unpack {folder.name}.zip there",
        )
