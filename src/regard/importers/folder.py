"""A folder a class, with or without a folder a split above."""

from collections.abc import Iterator
from pathlib import Path

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
from regard.importers.registry import IMPORTERS


@IMPORTERS.register("folder")
def import_folder(src: Path, *, root: Path) -> Manifest:
    """Import images that lie in a folder a class: `cats/1.jpg`, or `train/cats/1.jpg`.

    Folders inside a class belong to it. The folders at the top are splits when all of them
    are called train, val (valid, validation) or test, and train is among them.

    Args:
        src: the folder of class folders or split folders.
        root: the folder in which the manifest will be written.

    Raises:
        DataError: no such folder, no class folders, a class without images, or images that
            lie outside of all classes.
    """
    parts = folders_in(folder_at(src))
    names = {SPLITS.get(part.name.lower()) for part in parts}
    if "train" in names and None not in names:
        _refuse_loose(src)
        rows = [row for part in parts for row in _rows(part, root, split_name(part.name))]
    else:
        rows = list(_rows(src, root, None))
    return manifest_from_rows(rows, Path(root))


def _rows(folder: Path, root: Path, split: str | None) -> Iterator[dict[str, str | None]]:
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
            yield {"image": entry(image, root), "label": label.name, "split": split}


def _refuse_loose(folder: Path) -> None:
    loose = images_in(folder)
    if loose:
        raise DataError(
            str(folder),
            expected="every image in the folder of its class",
            found="images beside the class folders, " + some(path.name for path in loose),
            remedy="move them into a class folder, or out of this one",
        )
