"""What a correction writes of an image: the cells of its row, and a file beside the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from regard.data.manifest import Manifest
from regard.data.mask_classes import MaskClasses
from regard.data.source import mask_classes
from regard.errors import ConfigError, DataError
from regard.images.decoding import decode_ids
from regard.images.opening import image_size
from regard.images.pictures import encoded
from regard.images.size import Size
from regard.server.facts import Facts
from regard.server.masks import mask_of, numbers_of
from regard.server.questions import Correction

# By the column of a correction's file: the cells that a correction changes.
CELLS: Mapping[str, tuple[str, ...]] = {
    "region": ("boxes", "region", "box_labels", "region_threshold"),
    "mask": ("mask",),
}


@dataclass(frozen=True)
class Drawn:
    """What was drawn of an image.

    Attributes:
        cells: of its row.
        file: a PNG, whose path goes into the column of the correction's file; None: there is none.
    """

    cells: Mapping[str, Any] = field(default_factory=dict)
    file: bytes | None = None


def column_of(facts: Facts) -> str:
    """The column of a correction's file: a segmenter learns from masks, others look at regions."""
    return "mask" if facts.task == "segmentation" else "region"


def drawn_of(facts: Facts, run: Manifest, asked: Correction) -> Drawn | None:
    """What is to be saved of an image; None: it is to be as the run has it.

    Raises:
        DataError: boxes or a mask that do not fit the image.
        ConfigError: classes for a net of labels, a region for a segmenter, or boxes without
            classes, or of unknown ones, where boxes are of classes.
    """
    segments = facts.task == "segmentation"
    other = (asked.boxes, asked.mask) if segments else (asked.classes,)
    if any(one is not None for one in other):
        raise ConfigError(
            "the correction",
            expected="classes for a segmenter" if segments else "boxes or a mask",
            found="a region" if segments else "classes of pixels",
            remedy=f"the run is one of {facts.task}",
        )
    size = image_size(run.resolve(run.table["image"][asked.index]))
    if segments:
        return None if asked.classes is None else _classes(facts, run, asked, size)
    if asked.mask is not None:
        return Drawn({"boxes": None}, _png(mask_of(asked.mask, size)))
    if asked.boxes is None:
        return None
    boxes, labels = _within(asked.boxes, size) or None, _box_labels(facts, run, asked)
    told = {} if labels is None else {"box_labels": labels or None}
    return Drawn({"boxes": boxes, "region": None, **told})


def box_labels(facts: Facts, manifest: Manifest, index: int) -> list[str] | None:
    """The classes of an image's boxes; None where the run's boxes are of none."""
    if facts.task != "multilabel" or "box_labels" not in manifest.table.columns:
        return None
    return manifest.table["box_labels"].to_list()[index] or []


def _box_labels(facts: Facts, run: Manifest, asked: Correction) -> list[str] | None:
    before, given = box_labels(facts, run, asked.index), asked.box_labels
    assert asked.boxes is not None
    if before is None and given is None:
        return None
    known = None if before is None else dict.fromkeys((*facts.classes, *before))
    if known is None or given is None or len(given) != len(asked.boxes) or not {*given} <= {*known}:
        raise ConfigError(
            "box_labels",
            expected="none, as the run's boxes are of no classes"
            if known is None
            else f"a class for each of {len(asked.boxes)} boxes, of " + ", ".join(known),
            found="none" if given is None else str(given)[:80],
            remedy="send one with each box" if known else "leave it out",
        )
    return given


def _classes(facts: Facts, run: Manifest, asked: Correction, size: Size) -> Drawn:
    """The classes as ids of the run's masks, which they share with all other images."""
    known = classes_of(facts, run)
    numbers = numbers_of(str(asked.classes), size, len(known.names))
    before = decode_ids(run.resolve(run.table["mask"][asked.index]))
    if before.shape != numbers.shape:
        known.read(run.resolve(run.table["mask"][asked.index]), size)  # refused in its own words
    return Drawn(file=_png(Image.fromarray(known.ids_of(numbers, before).numpy())))


def classes_of(facts: Facts, manifest: Manifest) -> MaskClasses:
    """What the ids of a segmenter's masks mean.

    Raises:
        DataError: other classes than those that the run has learned.
    """
    known = mask_classes(manifest, facts.data.void)
    if known.names != facts.classes:
        raise DataError(
            "mask_classes",
            expected="the classes of the run: " + ", ".join(facts.classes),
            found=", ".join(known.names),
            remedy="give back the manifest that the run was trained with",
        )
    return known


def _within(boxes: list[list[float]], size: Size) -> list[list[float]]:
    """Boxes cut to the photo.

    Raises:
        DataError: one that has nothing in it.
    """
    height, width = size
    found = []
    for left, top, right, bottom in boxes:
        own = [max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)]
        if not (own[2] - own[0] >= 1 and own[3] - own[1] >= 1):
            raise DataError(
                "boxes",
                expected=f"boxes [left, top, right, bottom] within {width} x {height} pixels",
                found=str([left, top, right, bottom])[:80],
                remedy="draw it anew",
            )
        found.append(own)
    return found


def _png(mask: Image.Image) -> bytes:
    return encoded(mask, "PNG", optimize=True)
