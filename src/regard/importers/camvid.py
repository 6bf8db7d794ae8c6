"""CamVid, and sets like it: photos, images of class ids, and a table of the ids."""

from collections.abc import Iterator
from pathlib import Path

from regard.data.manifest import Manifest, manifest_from_rows
from regard.errors import DataError
from regard.importers.files import SPLITS, folder_at, folders_in, split_name
from regard.importers.masks import paired, read_table, with_classes
from regard.importers.registry import IMPORTERS

# Names of the two folders of a split, or of the set where it has no splits.
IMAGES, LABELS = ("images", "image"), ("labels", "masks", "annotations", "label")


@IMPORTERS.register("camvid")
def import_camvid(
    src: Path, *, root: Path, classes: str | None = None, column: str | None = None
) -> Manifest:
    """Import photos and masks: `train/images` and `train/labels`, or `train` and `trainannot`.

    Without folders of splits, `images` and `labels` in SRC. A mask is a grey or palette PNG of
    class ids. The table says what the ids mean: a CSV with a column `id` and one of names, where
    several ids may share a name (`--column cityscapes_group`); `void`, `unlabelled`, `ignore` or
    nothing stands for pixels of which nothing is said.

    Args:
        src: the folder that holds the splits.
        root: the folder in which the manifest will be written.
        classes: path of the table; `classes.csv` in SRC unless it is given.
        column: of the table, with the names of the classes; `class` or `name` unless given.

    Raises:
        DataError: no such folders, a photo without a mask or a mask without a photo, a table that
            is missing or wrong.
    """
    src = folder_at(Path(src))
    told = read_table(Path(classes) if classes else src / "classes.csv", column)
    rows = [
        row for split, images, masks in _parts(src) for row in _rows(split, images, masks, root)
    ]
    return manifest_from_rows(with_classes(rows, told), Path(root))


def _parts(src: Path) -> Iterator[tuple[str | None, Path, Path]]:
    """Split, folder of photos, folder of masks."""
    own = _pair(src)
    if own is not None:
        yield None, *own
        return
    found = False
    for folder in folders_in(src):
        if folder.name.lower() not in SPLITS:
            continue
        beside = src / f"{folder.name}annot"
        pair = (folder, beside) if beside.is_dir() else _pair(folder)
        if pair is not None:
            found = True
            yield split_name(folder.name), *pair
    if not found:
        raise DataError(
            str(src),
            expected="train/images and train/labels, train and trainannot, or images and labels",
            found=", ".join(folder.name for folder in folders_in(src)[:6]) or "no folders",
            remedy="rename the folders, or import with: regard data import csv",
        )


def _pair(folder: Path) -> tuple[Path, Path] | None:
    photos, masks = (
        next((folder / name for name in names if (folder / name).is_dir()), None)
        for names in (IMAGES, LABELS)
    )
    return None if photos is None or masks is None else (photos, masks)


def _rows(split: str | None, images: Path, masks: Path, root: Path) -> Iterator[dict[str, str]]:
    for row in paired(images, masks, root):
        yield row if split is None else {**row, "split": split}
