"""Pascal VOC: an XML file of boxes an image."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, KeysView, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from xml.parsers import expat

from regard.data.manifest import Manifest, manifest_from_rows, natural
from regard.errors import DataError
from regard.importers.boxes import Uprights, edges
from regard.importers.files import SPLITS, entry, folder_at, images_in, lines_of, one_a_stem, some
from regard.importers.gather import with_labels
from regard.importers.registry import IMPORTERS

ANNOTATIONS = ("Annotations", "annotations")
IMAGES = ("JPEGImages", "images")
LISTS = ("ImageSets/Main", "splits")


@IMPORTERS.register("voc")
def import_voc(
    src: Path,
    *,
    root: Path,
    one_based: bool = True,
    difficult: bool = True,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import `Annotations/*.xml` and `JPEGImages/` (or `annotations/`, `images/`).

    `labels` are the classes in the image, `label` stands where there is only one. Splits
    are kept from `ImageSets/Main/{train,val,test}.txt` or `splits/*.txt`; images that are in
    `trainval.txt` alone are train. Images without an annotation are left out. Boxes of a photo that
    is stored on its side are turned with it, where `<size>` is that of the stored one.

    Args:
        src: the folder that holds both folders.
        root: the folder in which the manifest will be written.
        one_based: the first pixel is called 1 and corners are inclusive, as in VOC, and are no
            pixel edges from 0 on.
        difficult: keep objects that are marked as difficult.
        say: called with a line about photos that are not as their annotations say.

    Raises:
        DataError: a folder is missing, a file is no annotation or declares a document type,
            an image is missing, or two have its name, lists and annotations differ.
    """
    src = folder_at(Path(src))
    images, uprights = images_in(_first(src, IMAGES)), Uprights()
    named, by_stem = {path.name: path for path in images}, _by_stem(images)
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(_first(src, ANNOTATIONS).glob("*.xml")):
        tree = _parse(path)
        row, photo = _objects(tree, path, one_based, difficult), _image(tree, path, named, by_stem)
        row["boxes"] = uprights.boxes(row["boxes"], _size(tree), photo)
        rows[path.stem] = row | {"image": entry(photo, root)}
    if not rows:
        raise DataError(
            str(_first(src, ANNOTATIONS)), expected="*.xml", found="none", remedy="add annotations"
        )
    for name, split in _splits(src, rows.keys()).items():
        rows[name]["split"] = split
    uprights.tell(say)
    return manifest_from_rows(with_labels(list(rows.values())), Path(root))


def objects_in(path: Path, photo: Path, uprights: Uprights) -> list[tuple[str, tuple[float, ...]]]:
    """The classes and boxes in one annotation of a photo, difficult ones too.

    Raises:
        DataError: it is no annotation, or declares a document type.
    """
    tree = _parse(path)
    found = _objects(tree, path, one_based=True, difficult=True)
    boxes = uprights.boxes(found["boxes"], _size(tree), photo)
    return list(zip(found["box_labels"], map(tuple, boxes), strict=True))


def _size(tree: ET.Element) -> tuple[int, int]:
    """(H, W) of the photo that the boxes were drawn on; zeros where nothing is said."""
    texts = [tree.findtext(f"size/{side}", "").strip() for side in ("height", "width")]
    height, width = (
        int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0 for text in texts
    )
    return height, width


def _by_stem(images: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in images:
        found.setdefault(path.stem, []).append(path)
    return found


def _first(src: Path, names: tuple[str, ...]) -> Path:
    return folder_at(next((src / name for name in names if (src / name).is_dir()), src / names[0]))


def _parse(path: Path) -> ET.Element:
    data = path.read_bytes()
    try:
        _refuse_doctype(data)
        tree = ET.fromstring(data)
    except (ET.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(
            str(path),
            expected="an annotation in XML",
            found=str(error)[:120],
            remedy="write the file again",
        ) from error
    if tree.tag != "annotation":
        raise DataError(
            str(path), expected="<annotation>", found=f"<{tree.tag}>", remedy="remove the file"
        )
    return tree


def _refuse_doctype(data: bytes) -> None:
    """A document type may declare entities that unfold to gigabytes; VOC has none."""

    def refuse(*_: object) -> NoReturn:
        raise ValueError("a document type declaration, which is not allowed")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(data, True)


def _objects(tree: ET.Element, path: Path, one_based: bool, difficult: bool) -> dict[str, Any]:
    boxes, names = [], []
    for number, item in enumerate(tree.findall("object"), start=1):
        if not difficult and item.findtext("difficult", "0").strip() == "1":
            continue
        where = f"{path}, object {number}"
        texts = [item.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        # From 1 to n inclusive is from edge 0 to edge n: only the first corner moves.
        boxes.append(edges(texts, where, first=-1 if one_based else 0))
        names.append(_class(item, where))
    labels = sorted(set(names), key=natural)
    return {"boxes": boxes, "box_labels": names, "labels": labels}


def _class(item: ET.Element, where: str) -> str:
    name = item.findtext("name", "").strip()
    if not name:
        raise DataError(where, expected="a <name>", found="none", remedy="name the object's class")
    return name


def _image(
    tree: ET.Element, path: Path, named: dict[str, Path], by_stem: dict[str, list[Path]]
) -> Path:
    # The annotation may have been made elsewhere: of its file's path the name alone counts.
    written = PurePosixPath(tree.findtext("filename", "").strip().replace("\\", "/"))
    if written.stem == path.stem and written.name in named:
        return named[written.name]
    for stem in (path.stem, written.stem):
        if stem in by_stem:
            return one_a_stem(by_stem[stem])
    raise DataError(
        str(path),
        expected=f"its image in {' or '.join(IMAGES)}",
        found=f"none called {path.stem}",
        remedy="add the image, or remove the annotation",
    )


def _splits(src: Path, known: KeysView[str]) -> dict[str, str]:
    """The split of each listed name, from the lists of the usual names."""
    folder = next((src / name for name in LISTS if (src / name).is_dir()), None)
    if folder is None:
        return {}
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.txt")):
        split = SPLITS.get(path.stem.lower())
        for name in _listed(path) if split else ():
            if found.setdefault(name, str(split)) != split:
                raise DataError(
                    str(path),
                    expected="an image in one split",
                    found=f"{name} in {found[name]} too",
                    remedy="remove it from one of the lists",
                )
    for name in _listed(folder / "trainval.txt"):
        found.setdefault(name, "train")
    absent = found.keys() - known
    if absent:
        raise DataError(
            str(folder),
            expected="an annotation for every listed image",
            found="none for " + some(sorted(absent)),
            remedy="add the annotations, or remove the names",
        )
    return found


def _listed(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = lines_of(path)
    return [line.strip().removesuffix(".jpg") for line in lines if line.strip()]
