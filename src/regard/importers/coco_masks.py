"""Masks of a COCO set as files: where the label's objects and crowds are."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from regard.errors import DataError
from regard.files.threads import in_threads
from regard.images.opening import MAX_PIXELS
from regard.images.pictures import save_image
from regard.importers.boxes import upright
from regard.importers.coco_json import Part, is_crowd
from regard.importers.run_lengths import paint
from regard.progress import Progress

INSIDE = 255


@dataclass(frozen=True)
class Job:
    """A mask to be made.

    Attributes:
        path: to write it to.
        make: gives the mask, uint8 (H, W), of the photo as the JSON has its size.
        photo: whose mask it is; one that is stored on its side, of that size, has its mask turned.
    """

    path: Path
    make: Callable[[], np.ndarray]
    photo: Path


def write_all(jobs: Sequence[Job], progress: Progress | None) -> None:
    """Make and write masks, each in one atomic step, one at a time for each thread.

    Raises:
        DataError: two masks of one path, an area that does not fit its image.
    """
    _refuse_same(job.path for job in jobs)
    for _ in in_threads(_written, jobs, progress):
        pass


def mask_path(files: Path, kind: str, part: Part, key: Hashable) -> Path:
    """`FILES/region/train2017/000000000009.png`."""
    name = PurePosixPath(part.photos[key].name).with_suffix(".png")
    return files / kind / part.folder.name / name


def region_mask(part: Part, key: Hashable, label: str) -> np.ndarray:
    """Where the objects of a class are, uint8 (H, W), 0 or 255; crowds are left out."""
    canvas = canvas_of(part, key, 0)
    for item in part.items[key]:
        if part.name(item) == label and not is_crowd(item):
            paint(canvas, item.get("segmentation"), INSIDE, part.where(item))
    return canvas.T


def ignored_mask(part: Part, key: Hashable, label: str) -> np.ndarray:
    """Where crowds of a class are and no object of it was told apart, uint8 (H, W), 0 or 255."""
    canvas = canvas_of(part, key, 0)
    own = [item for item in part.items[key] if part.name(item) == label]
    for item in sorted(own, key=is_crowd, reverse=True):
        value = INSIDE if is_crowd(item) else 0
        paint(canvas, item.get("segmentation"), value, part.where(item))
    return canvas.T


def canvas_of(part: Part, key: Hashable, value: int) -> np.ndarray:
    """Uint8 (W, H) of one value: columns first, as `paint` takes it.

    Raises:
        DataError: the JSON says no size, or too large a one.
    """
    photo = part.photos[key]
    height, width = photo.size
    if not (_positive(height) and _positive(width) and height * width <= MAX_PIXELS):
        raise DataError(
            f"{part.path}, image {photo.name}",
            expected=f"its height and width, at most {MAX_PIXELS:,} pixels",
            found=f"{height!r} and {width!r}",
            remedy="correct them in the JSON",
        )
    return np.full((width, height), value, dtype=np.uint8)


def _positive(value: object) -> bool:
    return type(value) is int and value > 0


def _written(job: Job) -> None:
    mask = upright(job.make(), job.photo)
    save_image(Image.fromarray(np.ascontiguousarray(mask)), job.path, "PNG")


def _refuse_same(paths: Iterable[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            raise DataError(
                str(path),
                expected="one image for each mask",
                found="two, whose names differ in suffix or folder alone",
                remedy="rename one of them, there and in the JSON",
            )
        seen.add(path)
