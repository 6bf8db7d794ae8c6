"""Images of a COCO set with one label and the boxes of their objects, and regions of that label."""

from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from regard.data.manifest import natural
from regard.errors import DataError
from regard.files.threads import in_threads
from regard.importers.boxes import Uprights
from regard.importers.coco_json import Item, Part, area, is_crowd
from regard.importers.coco_masks import Job, ignored_mask, mask_path, region_mask
from regard.importers.files import entry
from regard.importers.gather import with_labels
from regard.progress import Progress

Row = dict[str, Any]
LARGEST, ONLY, ALL = "largest", "only", "all"


class Labelled(NamedTuple):
    """An image and the class of an object in it that is its label; None where all classes are."""

    part: Part
    key: Hashable
    label: str | None

    @property
    def items(self) -> Sequence[Item]:
        """All annotations of the image."""
        return self.part.items.get(self.key, ())

    @property
    def has_crowd(self) -> bool:
        """Whether there is a crowd of the label's class."""
        return any(is_crowd(item) and self.part.name(item) == self.label for item in self.items)


def labelled(parts: Sequence[Part], how: str) -> tuple[list[Labelled], list[str]]:
    """The images that have a label, and a line about each kind of thing that is left out.

    Args:
        parts: of the set.
        how: `largest`, `only` or `all`, which leaves nothing out.

    Raises:
        DataError: no image has a label.
    """
    kept, left = [], {"no object in them": 0, f"several classes in them (--label {ONLY})": 0}
    bare, mixed = left
    for part in parts:
        for key in part.photos:
            objects = _objects(part.items.get(key, ()))
            if how == ALL:
                kept.append(Labelled(part, key, None))
            elif not objects:
                left[bare] += 1
            elif how == ONLY and len({part.name(item) for item in part.items[key]}) > 1:
                left[mixed] += 1
            else:
                kept.append(Labelled(part, key, part.name(max(objects, key=area))))
    total = len(kept) + sum(left.values())
    if not any(image.items for image in kept):
        raise DataError(
            str(parts[0].path),
            expected="an image with an object" + (" of one class alone" if how == ONLY else ""),
            found=f"none of {total:,}",
            remedy="name another JSON: --annotations FILE.json, or import --masks classes",
        )
    lines = [f"{n:,} of {total:,} images left out: {why}" for why, n in left.items() if n]
    return kept, lines


def object_rows(
    images: Sequence[Labelled], root: Path, uprights: Uprights, progress: Progress | None = None
) -> list[Row]:
    """Every image with its boxes, those of the upright photo, and classes."""
    boxes = in_threads(lambda image: _boxes(image, uprights), images, progress)
    rows = []
    for image, own in zip(images, boxes, strict=True):
        part, objects = image.part, _objects(image.items)
        row = part.row(image.key, root) | {"label": image.label}
        if objects:
            row["boxes"] = own
            row["box_labels"] = [part.name(item) for item in objects]
        row["labels"] = sorted({part.name(item) for item in image.items}, key=natural)
        rows.append(row)
    return with_labels(rows, sets=any(image.label is None for image in images))


def _boxes(image: Labelled, uprights: Uprights) -> list[list[float]]:
    part, photo = image.part, image.part.photos[image.key]
    boxes = [part.box(item) for item in _objects(image.items)]
    return uprights.boxes(boxes, photo.size, part.file(image.key))


def add_regions(
    rows: Sequence[Row], images: Sequence[Labelled], root: Path, files: Path
) -> list[Job]:
    """Where the label's objects and its crowds are: the rows get the paths of masks to be made."""
    jobs = []
    for row, image in zip(rows, images, strict=True):
        kinds = {"region": region_mask} | ({"ignore": ignored_mask} if image.has_crowd else {})
        for column, make in kinds.items():
            path = mask_path(files, column, image.part, image.key)
            row[column] = entry(path, root)
            jobs.append(Job(path, partial(make, *image), image.part.file(image.key)))
    return jobs


def crowds_left_out(images: Sequence[Labelled]) -> list[str]:
    """A line about the crowds, which are no boxes, if there are any."""
    count = sum(len(image.items) - len(_objects(image.items)) for image in images)
    how = "--masks region ignores those of the label's class"
    return [f"crowds left out of the boxes: {count:,} ({how})"] if count else []


def _objects(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if not is_crowd(item)]
