"""ImageNet: a folder a class, called by its WordNet id, and XML files of boxes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regard.data.manifest import Manifest, manifest_from_rows
from regard.errors import ConfigError, DataError
from regard.importers.boxes import Uprights
from regard.importers.files import entry, folder_at, folders_in, images_in, lines_of
from regard.importers.registry import IMPORTERS
from regard.importers.voc import objects_in

IMAGES = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", ".")
ANNOTATIONS = ("ILSVRC/Annotations/CLS-LOC", "Annotations/CLS-LOC", "Annotations")
NAMES = ("LOC_synset_mapping.txt", "words.txt", "synset_words.txt")


@IMPORTERS.register("imagenet")
def import_imagenet(
    src: Path,
    *,
    root: Path,
    classes: str | None = None,
    boxed: bool = False,
    words: bool = False,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import `train/WNID/*.JPEG` and `val/`, with boxes from `Annotations/CLS-LOC/.../*.xml`.

    The layout is that of the localisation challenge, `ILSVRC/Data/CLS-LOC/train/n01440764/...`, or
    the same without its first folders. Images of val may lie in folders of classes too, or flat:
    their class is then the one that their XML names. Boxes are of the image's own class; about half
    of train has none, which is not the same as an empty region. It comes with train and val: set
    `data.val_from_train`, so that val is what the others are tested on.

    Args:
        src: the folder of it all.
        root: the folder in which the manifest will be written.
        classes: WordNet ids between commas, `n01440764,n02102040`; None: all.
        boxed: leave out images without a box.
        words: labels are the classes' first words, of `LOC_synset_mapping.txt`, not their ids; of
            classes of one first word (there are two cranes) with the id behind it.
        say: called with a line about what was left out, and about boxes that were turned.

    Raises:
        DataError: no such folders or classes, an XML that cannot be read.
        ConfigError: classes that the set lacks.
    """
    src = folder_at(Path(src))
    images = next(src / name for name in IMAGES if (src / name / "train").is_dir() or name == ".")
    annotations = next((src / name for name in ANNOTATIONS if (src / name).is_dir()), None)
    wanted = _wanted(classes, folder_at(images / "train"))
    names, rows, without = _names(src) if words else {}, [], 0
    uprights = Uprights()
    for split in ("train", "val"):
        for path, wnid in _listed(images / split, wanted):
            row = _row(path, wnid, split, annotations, uprights)
            if row is not None and row["label"] not in wanted:
                continue
            if row is None or (boxed and row["boxes"] is None):
                without += 1
                continue
            row["label"] = names.get(row["label"], row["label"])
            rows.append(row | {"image": entry(path, Path(root)), "split": split})
    if without and say is not None:
        say(f"images without a {'box' if boxed else 'class'}, left out: {without}")
    uprights.tell(say)
    return manifest_from_rows(rows, Path(root))


def _wanted(classes: str | None, train: Path) -> list[str]:
    known = [folder.name for folder in folders_in(train)]
    if not known:
        raise DataError(
            str(train), expected="folders of classes", found="none", remedy="correct the path"
        )
    if classes is None:
        return known
    wanted = [name.strip() for name in classes.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise ConfigError(
                "regard data import imagenet, --classes",
                expected=f"folders of {train}",
                found=repr(name),
                remedy="write WordNet ids between commas",
            )
    return wanted


def _listed(folder: Path, wanted: list[str]) -> list[tuple[Path, str | None]]:
    """Images with the class whose folder they lie in; of a flat folder without one."""
    if not folder.is_dir():
        return []
    found: list[tuple[Path, str | None]] = []
    for name in wanted:
        below = folder / name / "images" if (folder / name / "images").is_dir() else folder / name
        found += [(path, name) for path in images_in(below)] if below.is_dir() else []
    return found or [(path, None) for path in images_in(folder)]


def _row(
    path: Path, wnid: str | None, split: str, annotations: Path | None, uprights: Uprights
) -> dict[str, Any] | None:
    """The image's class and boxes; None for one of a class that nobody tells."""
    objects = None if annotations is None else _objects(annotations / split, path, wnid, uprights)
    if wnid is None:
        if not objects:
            return None
        wnid = objects[0][0]
    own = None if objects is None else [box for name, box in objects if name == wnid]
    return {"label": wnid, "boxes": own}


def _objects(
    folder: Path, path: Path, wnid: str | None, uprights: Uprights
) -> list[tuple[str, tuple[float, ...]]] | None:
    places = [folder / str(wnid) / f"{path.stem}.xml", folder / f"{path.stem}.xml"]
    place = next((place for place in places if place.is_file()), None)
    return None if place is None else objects_in(place, path, uprights)


def _names(src: Path) -> dict[str, str]:
    """The first word of each class, with the class's id where another one has it, too."""
    path = next((src / name for name in NAMES if (src / name).is_file()), None)
    if path is None:
        raise DataError(
            str(src),
            expected="LOC_synset_mapping.txt",
            found="none",
            remedy="add it, or leave --words out",
        )
    pairs = (line.replace("\t", " ").partition(" ") for line in lines_of(path) if line.strip())
    words = {wnid: text.split(",")[0].strip() for wnid, _, text in pairs}
    often = Counter(words.values())
    return {wnid: f"{word} ({wnid})" if often[word] > 1 else word for wnid, word in words.items()}
