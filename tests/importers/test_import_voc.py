import pytest

from regard.errors import DataError
from regard.importers.voc import import_voc

BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]>
<annotation><filename>1.png</filename><object><name>&y;</name></object></annotation>"""


def item(name="cat", box=("1", "1", "8", "6"), difficult="0"):
    sides = "".join(
        f"<{side}>{value}</{side}>"
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>"
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult>{part}"
        f"<bndbox>{sides}</bndbox></object>"
    )


@pytest.fixture
def voc(tmp_path, picture):
    """Writes annotations (name to objects) and their images."""

    def write(annotations, folders=("Annotations", "JPEGImages")):
        (tmp_path / folders[0]).mkdir(exist_ok=True)
        for name, objects in annotations.items():
            picture(tmp_path / folders[1] / f"{name}.jpg")
            text = f"<annotation><filename>{name}.jpg</filename>{objects}</annotation>"
            (tmp_path / folders[0] / f"{name}.xml").write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(
    "folders", [("Annotations", "JPEGImages"), ("annotations", "images")], ids=lambda f: f[0]
)
def test_boxes_from_one_inclusive_become_pixel_edges(voc, folders):
    src = voc({"1": item()}, folders)
    rows = import_voc(src, root=src).table.to_dicts()
    assert rows == [
        {
            "image": f"{folders[1]}/1.jpg",
            "label": "cat",
            "boxes": [[0, 0, 8, 6]],
            "box_labels": ["cat"],
        }
    ]


def test_boxes_from_zero_stay(voc):
    src = voc({"1": item(box=("0", "0.5", "8", "6"))})
    assert import_voc(src, root=src, one_based=False).table["boxes"].to_list() == [[[0, 0.5, 8, 6]]]


def test_labels_where_an_image_has_several_classes(voc):
    src = voc({"1": item() + item("dog") + item(), "2": item("dog")})
    table = import_voc(src, root=src).table
    assert table["labels"].to_list() == [["cat", "dog"], ["dog"]]
    assert table["label"].to_list() == [None, "dog"]
    assert table["box_labels"].to_list() == [["cat", "dog", "cat"], ["dog"]]


def test_difficult_objects_can_be_left_out(voc):
    src = voc({"1": item() + item("dog", difficult="1")})
    assert import_voc(src, root=src).table["labels"].to_list() == [["cat", "dog"]]
    assert import_voc(src, root=src, difficult=False).table["label"].to_list() == ["cat"]


def test_an_image_without_objects_has_an_empty_list_of_boxes(voc):
    src = voc({"1": item(), "2": ""})
    assert import_voc(src, root=src).table["boxes"].to_list() == [[[0, 0, 8, 6]], []]


@pytest.mark.parametrize("folder", ["ImageSets/Main", "splits"])
def test_splits_are_kept_and_lists_of_classes_are_not_splits(voc, folder):
    src = voc({name: item() for name in "12345"})
    lists = {"train": "1\n\n", "val": "2.jpg\n", "test": "3", "trainval": "1\n2\n4\n"}
    (src / folder).mkdir(parents=True)
    for name, text in (lists | {"cat_train": "1  1\n2 -1\n"}).items():
        (src / folder / f"{name}.txt").write_text(text)
    splits = import_voc(src, root=src).table["split"].to_list()
    assert splits == ["train", "val", "test", "train", None]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"train": "1\n", "test": "1\n"}, "1 in test too"),
        ({"train": "1\n7\n8\n"}, "none for 2: 7, 8"),
    ],
)
def test_lists_that_contradict_are_refused(voc, lists, expected):
    src = voc({"1": item()})
    (src / "splits").mkdir()
    for name, text in lists.items():
        (src / "splits" / f"{name}.txt").write_text(text)
    with pytest.raises(DataError, match=expected):
        import_voc(src, root=src)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entity_bombs_are_refused_before_they_unfold(voc, encoding):
    src = voc({"1": item()})
    (src / "Annotations" / "1.xml").write_bytes(BOMB.encode(encoding))
    with pytest.raises(DataError, match="document type"):
        import_voc(src, root=src)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (item(box=("1", "x", "8", "6")), "object 1: expected a box of four numbers"),
        (item(box=("1", "inf", "8", "6")), "object 1: expected a box of four numbers"),
        (item(name=" "), "expected a <name>"),
        ("<object><name>cat</name></object>", "expected a box of four numbers"),
        ("<object>", "expected an annotation in XML"),
    ],
)
def test_broken_annotations_are_named(voc, objects, expected):
    src = voc({"1": objects})
    with pytest.raises(DataError) as caught:
        import_voc(src, root=src)
    assert expected in str(caught.value)
    assert "1.xml" in str(caught.value)


def test_a_file_name_cannot_lead_out_of_the_folder(voc, picture, tmp_path):
    src = voc({"1": item()})
    picture(tmp_path.parent / "outside.jpg")
    text = f"<annotation><filename>../../outside.jpg</filename>{item()}</annotation>"
    (src / "Annotations" / "2.xml").write_text(text)
    with pytest.raises(DataError, match="found none called 2"):
        import_voc(src, root=src)


def test_missing_parts_are_named(tmp_path, voc):
    with pytest.raises(DataError, match="JPEGImages"):
        import_voc(tmp_path, root=tmp_path)
    src = voc({})
    (src / "JPEGImages").mkdir()
    with pytest.raises(DataError, match=r"expected \*\.xml"):
        import_voc(src, root=src)
    (src / "Annotations" / "1.xml").write_text("<html/>")
    with pytest.raises(DataError, match="expected <annotation>, found <html>"):
        import_voc(src, root=src)


def test_of_two_images_of_one_stem_the_annotation_names_one(voc, picture):
    src = voc({"1": item(), "2": item()})
    picture(src / "JPEGImages/1.png")
    assert import_voc(src, root=src).table["image"].to_list() == [
        "JPEGImages/1.jpg",
        "JPEGImages/2.jpg",
    ]
    (src / "Annotations/1.xml").write_text(f"<annotation>{item()}</annotation>")
    with pytest.raises(DataError, match=r"one image a name, found 1\.jpg and 1\.png"):
        import_voc(src, root=src)


@pytest.mark.parametrize("coding", ["unicode", "utf8mb4", "hex"])
def test_a_coding_that_nobody_knows_is_one_line(voc, coding):
    src = voc({"1": item()})
    (src / "Annotations/1.xml").write_text(
        f'<?xml version="1.0" encoding="{coding}"?><annotation>{item()}</annotation>'
    )
    with pytest.raises(DataError, match="expected an annotation in XML"):
        import_voc(src, root=src)


def test_lists_of_splits_in_other_codings(voc):
    src = voc({"1": item(), "2": item()})
    (src / "splits").mkdir()
    (src / "splits/test.txt").write_bytes("\ufeff1\n".encode())
    assert import_voc(src, root=src).table["split"].to_list() == ["test", None]
    (src / "splits/test.txt").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(DataError, match="expected a text in UTF-8"):
        import_voc(src, root=src)
