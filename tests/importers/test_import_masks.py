"""Importers of photos with images of class ids."""

import numpy as np
import pytest
from PIL import Image

from regard.data.mask_classes import VOID
from regard.data.source import mask_classes
from regard.errors import ConfigError, DataError
from regard.importers.camvid import import_camvid
from regard.importers.cityscapes import LABELS, import_cityscapes

TABLE = "id,name,group\n0,Sky,sky\n1,Road,flat\n3,Pavement,flat\n11,Unlabelled,void\n"


def mask(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, dtype=np.uint8)).save(path)


def tree(root, picture, *parts):
    for part, images, labels in parts:
        picture(root / images / f"{part}1.png")
        mask(root / labels / f"{part}1.png", [[0, 1], [3, 11]])
    (root / "classes.csv").write_text(TABLE)
    return root


@pytest.mark.parametrize(
    ("parts", "splits"),
    [
        ([("a", "train/images", "train/labels"), ("b", "val/images", "val/labels")],
         ["train", "val"]),
        ([("a", "test", "testannot"), ("b", "train", "trainannot")], ["test", "train"]),
        ([("a", "images", "masks")], None),
    ],
)  # fmt: skip
def test_camvid_s_layouts(parts, splits, tmp_path, picture):
    src = tree(tmp_path, picture, *parts)
    manifest = import_camvid(src, root=src)
    table = manifest.table
    assert (table["split"].to_list() if "split" in table.columns else None) == splits
    assert table["mask"].to_list() == [f"{labels}/{part}1.png" for part, _, labels in parts]
    classes = mask_classes(manifest)
    assert classes.names == ("Sky", "Road", "Pavement")
    assert classes.read(manifest.resolve(table["mask"][0])).tolist() == [[0, 1], [2, VOID]]


def test_ids_of_one_name_are_one_class(tmp_path, picture):
    src = tree(tmp_path, picture, ("a", "images", "labels"))
    manifest = import_camvid(src, root=src, column="group")
    assert mask_classes(manifest).names == ("sky", "flat")
    assert mask_classes(manifest, "class").names == ("sky", "flat", "void")


def test_a_mask_of_camvid_may_end_in_l(tmp_path, picture):
    src = tree(tmp_path, picture, ("a", "images", "labels"))
    (src / "labels/a1.png").rename(src / "labels/a1_L.png")
    assert import_camvid(src, root=src).table["mask"].to_list() == ["labels/a1_L.png"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda src: (src / "labels/a1.png").unlink(), "a mask for each file.*none for 1: a1"),
        (lambda src: mask(src / "labels/b.png", [[0]]), "a photo for each file.*none for 1: b"),
        (lambda src: (src / "classes.csv").unlink(), "what the ids in masks mean.*no such file"),
        (lambda src: (src / "classes.csv").write_text("a,b\n1,2\n"), "a column 'id', found a, b"),
        (lambda src: (src / "classes.csv").write_text("id,x\n1,2\n"), "a column 'class'"),
        (
            lambda src: (src / "classes.csv").write_text("id,name\n1,a\n1,b\n"),
            "row 1, column 'id': expected a whole number that comes once, found '1'",
        ),
        (lambda src: (src / "classes.csv").write_text("id,name\nx,a\n"), "found 'x'"),
        (lambda src: (src / "classes.csv").write_text("id,name\n300,a\n"), "found id 300"),
        (lambda src: (src / "labels").rename(src / "other"), "train/images and train/labels"),
    ],
)
def test_mistakes_are_told_in_one_line(change, said, tmp_path, picture):
    src = tree(tmp_path, picture, ("a", "images", "labels"))
    change(src)
    with pytest.raises(DataError, match=said) as caught:
        import_camvid(src, root=src)
    assert "\n" not in str(caught.value)


@pytest.fixture
def cities(tmp_path, picture):
    for split, city in (("train", "ulm"), ("train", "bonn"), ("val", "lindau"), ("test", "berlin")):
        stem = f"{city}_000001_000019"
        picture(tmp_path / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png")
        ids = [[0, 7, 8, 11], [17, 21, 23, 255], [24, 26, 33, 6]]
        mask(tmp_path / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", ids)
    return tmp_path


def read(manifest, void="ignore"):
    classes = mask_classes(manifest, void)
    found = classes.read(manifest.resolve(manifest.table["mask"][0]))
    return [[classes.names[i] if i != VOID else "-" for i in row] for row in found.tolist()]


def test_cityscapes_in_groups(cities):
    manifest = import_cityscapes(cities, root=cities)
    assert manifest.table["split"].to_list() == ["train", "train", "val"]
    assert manifest.table["group"].to_list() == ["bonn", "ulm", "lindau"]
    assert read(manifest) == [
        ["-", "flat", "flat", "construction"],
        ["object", "nature", "sky", "-"],
        ["human", "vehicle", "vehicle", "-"],
    ]
    # In the order of the study, void the first of 8.
    names = mask_classes(manifest, "class").names
    assert names == ("void", "flat", "construction", "object", "nature", "sky", "human", "vehicle")


def test_cityscapes_under_other_names(cities):
    study = import_cityscapes(cities, root=cities, names="study")
    assert read(study)[0] == ["road", "sidewalk", "sidewalk", "building"]
    assert mask_classes(study).names[3] == "vegetation"
    assert mask_classes(study).names[6] == "person"
    classes = import_cityscapes(cities, root=cities, names="classes")
    assert len(mask_classes(classes).names) == 19
    assert read(classes)[0] == ["-", "road", "sidewalk", "building"]
    assert LABELS.index("bicycle") == 33
    with pytest.raises(ConfigError, match="groups, study, classes"):
        import_cityscapes(cities, root=cities, names="group")


def test_a_photo_without_its_mask_is_named(cities):
    next((cities / "gtFine/val/lindau").iterdir()).unlink()
    with pytest.raises(DataError, match=r"none of 1: lindau_000001_000019_gtFine_labelIds\.png"):
        import_cityscapes(cities, root=cities)
    with pytest.raises(DataError, match="leftImg8bit: expected a folder"):
        import_cityscapes(cities / "gtFine", root=cities)


def test_real_streets(shared):
    src = shared("streets")
    manifest = import_camvid(src, root=src, column="cityscapes_group")
    assert manifest.table["split"].value_counts(sort=True)["count"].to_list() == [367, 101]
    names = mask_classes(manifest).names
    assert names == ("sky", "construction", "object", "flat", "nature", "vehicle", "human")
    found = mask_classes(manifest).read(manifest.resolve(manifest.table["mask"][0]), (360, 480))
    assert set(found.unique().tolist()) <= {*range(7), VOID}


@pytest.mark.parametrize(("folder", "name"), [("images", "a1.bmp"), ("masks", "a1_L.png")])
def test_two_files_of_one_name_are_refused(tmp_path, picture, folder, name):
    src = tree(tmp_path, picture, ("a", "images", "masks"))
    picture(src / folder / name)
    with pytest.raises(DataError, match="expected one image a name, found a1"):
        import_camvid(src, root=src)
