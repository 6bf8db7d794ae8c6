"""Cityscapes: `leftImg8bit/SPLIT/CITY` and `gtFine/SPLIT/CITY`."""

from collections.abc import Mapping
from pathlib import Path

from regard.data.manifest import Manifest, manifest_from_rows
from regard.data.mask_classes import VOID_NAME, by_id
from regard.errors import ConfigError, DataError, near
from regard.importers.files import entry, folder_at, folders_in, images_in, some
from regard.importers.masks import with_classes
from regard.importers.registry import IMPORTERS

PHOTO, MASK = "_leftImg8bit", "_gtFine_labelIds"
# By id from 0, as cityscapesScripts has them: each label's name, and its group from the first on.
LABELS = (
    *("unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic"),
    *("ground", "road", "sidewalk", "parking", "rail track", "building", "wall", "fence"),
    *("guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "caravan"),
    *("trailer", "train", "motorcycle", "bicycle"),
)
GROUPS = {0: "void", 7: "flat", 11: "construction", 17: "object", 21: "nature", 23: "sky",
          24: "human", 26: "vehicle"}  # fmt: skip
# The street study's table of results has these names for the groups, in this order.
STUDY = {
    "void": "road",
    "flat": "sidewalk",
    "construction": "building",
    "object": "vegetation",
    "nature": "sky",
    "sky": "vehicle",
    "human": "person",
    "vehicle": "street furniture",
}
# Those that the benchmark leaves out of its 19 classes.
UNSCORED = (*range(7), 9, 10, 14, 15, 16, 18, 29, 30)


@IMPORTERS.register("cityscapes")
def import_cityscapes(src: Path, *, root: Path, names: str = "groups") -> Manifest:
    """Import `leftImg8bit` and `gtFine` of train and val; the labels of test are not public.

    The city is the group. Void is the group of that name (and the licence plates of id -1).

    Args:
        src: the folder that holds both trees.
        root: the folder in which the manifest will be written.
        names: `groups`, the 8 groups void, flat, construction, object, nature, sky, human and
            vehicle; `study`, the same groups under the names of the street study; `classes`, the
            19 classes of the benchmark.

    Raises:
        DataError: a tree is missing, or a photo without its mask.
        ConfigError: other names.
    """
    told = by_id(_named(names), "cityscapes")
    photos, masks = (folder_at(Path(src) / tree) for tree in ("leftImg8bit", "gtFine"))
    rows = [
        row
        for split in ("train", "val")
        if (photos / split).is_dir()
        for city in folders_in(photos / split)
        for row in _rows(city, masks / split / city.name, split, root)
    ]
    if not rows:
        raise DataError(
            str(photos),
            expected="train/CITY/*_leftImg8bit.png, and val likewise",
            found="none",
            remedy="unpack leftImg8bit_trainvaltest.zip there",
        )
    return manifest_from_rows(with_classes(rows, told), Path(root))


def _named(names: str) -> Mapping[int, str]:
    groups = {}
    for number in range(len(LABELS)):
        groups[number] = GROUPS.get(number, groups.get(number - 1, ""))
    match names:
        case "groups":
            return groups
        case "study":
            # What that study scored as void is a class like the others there.
            return {number: STUDY[group] for number, group in groups.items()}
        case "classes":
            return {n: VOID_NAME if n in UNSCORED else label for n, label in enumerate(LABELS)}
    known = ("groups", "study", "classes")
    raise ConfigError(
        "regard data import cityscapes, --names",
        expected=", ".join(known),
        found=repr(names),
        remedy=near(names, known),
    )


def _rows(photos: Path, masks: Path, split: str, root: Path) -> list[dict[str, str]]:
    found, lacking = [], []
    for photo in images_in(photos):
        if not photo.stem.endswith(PHOTO):
            continue
        mask = masks / f"{photo.stem.removesuffix(PHOTO)}{MASK}.png"
        if not mask.is_file():
            lacking.append(mask.name)
        paths = {"image": entry(photo, root), "mask": entry(mask, root)}
        found.append({**paths, "split": split, "group": photos.name})
    if lacking:
        raise DataError(
            str(masks),
            expected="a mask for every photo",
            found="none of " + some(lacking),
            remedy="unpack gtFine_trainvaltest.zip beside leftImg8bit",
        )
    return found
