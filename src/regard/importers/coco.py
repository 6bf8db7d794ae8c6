"""COCO, and sets like it: a JSON of all images and their objects, or of panoptic segments."""

from collections.abc import Callable
from pathlib import Path

from regard.data.manifest import Manifest, manifest_from_rows
from regard.errors import ConfigError, DataError, near
from regard.importers.boxes import Uprights
from regard.importers.coco_classes import class_rows
from regard.importers.coco_json import Part, read_part
from regard.importers.coco_layout import Layout
from regard.importers.coco_masks import write_all
from regard.importers.coco_objects import (
    ALL,
    LARGEST,
    ONLY,
    add_regions,
    crowds_left_out,
    labelled,
    object_rows,
)
from regard.importers.files import folder_at
from regard.importers.registry import IMPORTERS
from regard.progress import Progress

LABELS, MASKS = (LARGEST, ONLY, ALL), ("region", "classes")
# Of names of images that are missing.
SHOWN = 20


@IMPORTERS.register("coco")
def import_coco(
    src: Path,
    *,
    root: Path,
    annotations: str = "instances",
    images: str | None = None,
    label: str = LARGEST,
    masks: str | None = None,
    background: bool = False,
    skip_missing: bool = False,
    files: Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import `annotations/instances_train2017.json` and `train2017/`, and val likewise.

    Every JSON of that kind is read. Its images lie in a folder called as its last word
    (`train2017`, `images/train2017`), in `images`, or beside it (`train/_annotations.coco.json`).
    Its split is that word without the year.

    A sample has the boxes of its objects with their classes, and one label; `labels` are all
    classes in it, where samples have several. Images without an object are left out, unless
    `label` is `all`. Crowds (`iscrowd`) are no boxes and give no label, but their class is in the
    image. Boxes of a photo that is stored on its side are turned with it, where the JSON has the
    size of the stored one.

    Args:
        src: the folder that holds annotations and images.
        root: the folder in which the manifest will be written.
        annotations: what to read: `instances`; or `panoptic`, with the PNGs in a folder called as
            the JSON; or one JSON of either kind by its path, from here or from SRC on.
        images: the folder of the images, from SRC on, where it is called otherwise.
        label: how an image gets its label: `largest`, the class of the object with the largest
            area; `only`, where all objects are of one class, and other images are left out; or
            `all`, the set of all classes in it, which is empty in an image without an object.
        masks: write masks beside the manifest: `region`, where the label's objects are as the
            region, and where crowds of that class are as the area to ignore; or `classes`, for
            segmentation, class ids of all images in place of labels and boxes, where crowds are
            void and of objects that overlap the smaller lies above. Polygons are drawn as
            pycocotools does it. Panoptic segments become masks of classes anyway.
        background: in masks of classes, pixels without an object are the class `background`, not
            void.
        skip_missing: images of the list that are not in the folder are left out and told, not
            refused.
        files: the folder that masks are written to; `coco-masks` in `root` unless it is given.
        progress: called with masks done and masks in all.
        say: called with a line about each kind of thing that was left out.

    Raises:
        DataError: no such files, a JSON that is none of COCO or contradicts itself, an image that
            is missing, an area that does not fit its image, more classes than a mask can hold.
        ConfigError: another word than these, or options that exclude each other.

    Reference:
        https://cocodataset.org/#format-data
    """
    root = Path(root).absolute()
    files = root / "coco-masks" if files is None else Path(files)
    _refuse_words(label, masks)
    if label == ALL and masks == "region":
        raise _option("masks", "none beside --label all", "'region'", "leave it out: boxes have "
                      "classes, and are the regions of labels")  # fmt: skip
    parts = _parts(Layout(folder_at(Path(src)), annotations, images, skip_missing),
                   masks is not None)  # fmt: skip
    if say is not None:
        for part in filter(lambda part: part.missing, parts):
            say(_missing(part))
    panoptic = any(part.panoptic for part in parts)
    _refuse_unfit(masks, background, panoptic)
    if panoptic or masks == "classes":
        rows, jobs = class_rows(parts, root, files, background)
    else:
        kept, lines = labelled(parts, label)
        uprights = Uprights()
        rows = object_rows(kept, root, uprights, progress if masks is None else None)
        jobs = add_regions(rows, kept, root, files) if masks else []
        lines += [] if masks else crowds_left_out(kept)
        if say is not None:
            for line in lines:
                say(line)
        uprights.tell(say)
    write_all(jobs, progress)
    return manifest_from_rows(rows, root)


def _parts(layout: Layout, outlines: bool) -> list[Part]:
    paths = layout.files()
    parts = [read_part(path, layout, outlines=outlines, alone=len(paths) == 1) for path in paths]
    seen: dict[str, Part] = {}
    for part in parts:
        for photo in part.photos.values():
            other = seen.setdefault(f"{part.folder}/{photo.name}", part)
            if other is not part:
                raise DataError(
                    str(part.path),
                    expected="an image in one JSON",
                    found=f"{photo.name} in {other.path.name} too",
                    remedy="remove it from one of them, or name one: --annotations FILE.json",
                )
    return parts


def _missing(part: Part) -> str:
    names = ", ".join(part.missing[:SHOWN]) + (", ..." if len(part.missing) > SHOWN else "")
    of = len(part.missing) + len(part.photos)
    return f"{len(part.missing)} of {of} images left out: not in {part.folder}: {names}"


def _refuse_words(label: str, masks: str | None) -> None:
    for option, word, known in (("label", label, LABELS), ("masks", masks, (None, *MASKS))):
        if word not in known:
            words = list(filter(None, known))
            raise _option(option, ", ".join(words), repr(word), near(str(word), words))


def _refuse_unfit(masks: str | None, background: bool, panoptic: bool) -> None:
    if panoptic and masks == "region":
        remedy = "leave it out, or import with --annotations instances"
        raise _option("masks", "classes for panoptic segments", "'region'", remedy)
    if background and masks != "classes" and not panoptic:
        raise _option("background", "masks of classes", "none", "add --masks classes")


def _option(option: str, expected: str, found: str, remedy: str) -> ConfigError:
    where = f"regard data import coco, --{option}"
    return ConfigError(where, expected=expected, found=found, remedy=remedy)
