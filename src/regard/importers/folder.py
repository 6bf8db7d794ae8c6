"""A folder a class, with or without a folder a split above."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from regard.data.manifest import Manifest, manifest_from_rows
from regard.errors import DataError
from regard.importers.files import (
    SPLITS,
    entry,
    folder_at,
    folders_in,
    images_in,
    images_under,
    some,
    split_name,
)
from regard.importers.folder_masks import FolderMasks, warning_of
from regard.importers.registry import IMPORTERS


@IMPORTERS.register("folder")
def import_folder(
    src: Path,
    *,
    root: Path,
    region: str | None = None,
    region_threshold: int | None = None,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import images that lie in a folder a class: `cats/1.jpg`, or `train/cats/1.jpg`.

    Folders inside a class belong to it. The folders at the top are splits when all of them
    are called train, val (valid, validation) or test, and train is among them.

    Args:
        src: the folder of class folders or split folders.
        root: the folder in which the manifest will be written.
        region: template of a photo's mask, a grey image that is bright where the evidence is, from
            the photo's folder on: `{stem}_mask.png`, `masks/{stem}.png` or `../masks/{stem}.png`,
            where `{stem}` is the photo's name without suffix. Files so named are no photos; a photo
            without one has no region.
        region_threshold: the region is where its image is brighter than this, 0 to 255; left
            out, the grey level is a weight.
        say: called with a line where images are called as masks of others, or masks have no photo.

    Raises:
        DataError: no such folder, no class folders, a class without images, images that
            lie outside of all classes, a template that is none, or that no file is named by.
    """
    masks = None if region is None else FolderMasks(region, f"{src}, --region")
    files = list(_files(src))
    photos: dict[Path, Path | None] = dict.fromkeys(path for path, _, _ in files)
    if masks is not None:
        photos, alone = masks.part(photos)
        _refuse_none(photos, masks, src)
        if alone and say is not None:
            say("masks without a photo, left out: " + some(path.name for path in alone))
    warning = warning_of(photos)
    if warning is not None and say is not None:
        say(warning)
    rows: list[dict[str, Any]] = []
    for path, label, split in files:
        if path in photos:
            row = {"image": entry(path, root), "label": label, "split": split}
            mask = photos[path]
            if mask is not None:
                row |= {"region": entry(mask, root), "region_threshold": region_threshold}
            rows.append(row)
    return manifest_from_rows(rows, Path(root))


def _files(src: Path) -> Iterator[tuple[Path, str, str | None]]:
    """Each image with its class and its split."""
    parts = folders_in(folder_at(src))
    names = {SPLITS.get(part.name.lower()) for part in parts}
    if "train" not in names or None in names:
        yield from _classes(src, None)
        return
    _refuse_loose(src)
    for part in parts:
        yield from _classes(part, split_name(part.name))


def _classes(folder: Path, split: str | None) -> Iterator[tuple[Path, str, str | None]]:
    _refuse_loose(folder)
    classes = folders_in(folder)
    if not classes:
        raise DataError(
            str(folder),
            expected="a folder a class with images",
            found="no folders and no images",
            remedy="put the images of each class in a folder of their own",
        )
    for label in classes:
        images = images_under(label)
        if not images:
            raise DataError(
                str(label),
                expected="images of a class (jpg, png, bmp, tif, webp, gif)",
                found="none",
                remedy="add images, or remove the folder",
            )
        for image in images:
            yield image, label.name, split


def _refuse_none(photos: dict[Path, Path | None], masks: FolderMasks, src: Path) -> None:
    """Photos may be without a mask; all of them are where the template is wrong."""
    if not any(photos.values()):
        first = f", the first being {masks.of(next(iter(photos)))}" if photos else ""
        raise DataError(
            f"{src}, --region",
            expected="files where the template says",
            found=f"none of {len(photos)}{first}",
            remedy="correct the template; it starts from each photo's folder",
        )


def _refuse_loose(folder: Path) -> None:
    loose = images_in(folder)
    if loose:
        raise DataError(
            str(folder),
            expected="every image in the folder of its class",
            found="images beside the class folders, " + some(path.name for path in loose),
            remedy="move them into a class folder, or out of this one",
        )
