import pytest

from regard.data.manifest import read_manifest
from regard.data.source import mask_classes
from regard.errors import DataError
from regard.importers.csv import import_csv

BOXES = "xmin,ymin,xmax,ymax"


@pytest.fixture
def table(tmp_path, picture):
    """Writes a CSV beside images a.png, b.png."""

    def write(text: str):
        for name in ("a.png", "b.png", "images/a.png"):
            picture(tmp_path / name)
        path = tmp_path / "t.csv"
        path.write_text(text)
        return path

    return write


def test_columns_of_our_names_need_no_option(table, tmp_path):
    src = table("image,label,split,group,note\na.png,7,valid,p1,x\nb.png,007,Train,p2,y\n")
    rows = import_csv(src, root=tmp_path).table.to_dicts()
    assert rows == [
        {"image": "a.png", "label": "7", "split": "val", "group": "p1"},
        {"image": "b.png", "label": "007", "split": "train", "group": "p2"},
    ]


def test_other_names_and_templates(table, tmp_path, picture):
    src = table("id,kind,sub\na,cat,x\nb,dog,y\n")
    picture(tmp_path / "masks/a_m.png")
    picture(tmp_path / "seg/b.jpg")
    rows = import_csv(
        src,
        root=tmp_path.parent,
        image="{id}.png",
        label="{kind}/{sub}",
        region="masks/{stem}_m.png",
        region_threshold=127,
        segmented="seg/{stem}.jpg",
    ).table.to_dicts()
    base = tmp_path.name
    assert rows[0] == {
        "image": f"{base}/a.png",
        "segmented": f"{base}/seg/a.jpg",
        "label": "cat/x",
        "region": f"{base}/masks/a_m.png",
        "region_threshold": 127,
    }
    assert (rows[1]["region"], rows[1]["region_threshold"]) == (None, None)
    assert rows[1]["segmented"] == f"{base}/seg/b.jpg"


@pytest.mark.parametrize("key", ["region", "avoid", "ignore"])
def test_where_a_template_finds_no_file_there_is_no_region(table, tmp_path, picture, key):
    src = table("image,label\na.png,x\nb.png,y\n")
    picture(tmp_path / "m/b.png")
    found = import_csv(src, root=tmp_path, **{key: "m/{stem}.png"}).table
    assert found[key].to_list() == [None, "m/b.png"]


def test_a_region_that_a_column_names_stays_for_the_checks(table, tmp_path, picture):
    src = table("image,region\na.png,m/a.png\nb.png,m/b.png\nimages/a.png,\n")
    picture(tmp_path / "m/b.png")
    found = import_csv(src, root=tmp_path).table
    assert found["region"].to_list() == ["m/a.png", "m/b.png", None]


@pytest.mark.parametrize("key", ["region", "avoid", "ignore", "segmented", "mask"])
@pytest.mark.parametrize("text", ["masks/{stem}.png", "where"])
def test_paths_of_which_none_exists_are_refused(table, tmp_path, key, text):
    src = table("image,where\na.png,masks/a.png\nb.png,masks/b.png\n")
    with pytest.raises(DataError) as caught:
        import_csv(src, root=tmp_path, **{key: text})
    assert f"--{key}: expected files where the paths say, found none of 2, the first being " in str(
        caught.value
    )
    assert str(tmp_path / "masks/a.png") in str(caught.value)


def test_images_may_start_from_another_folder(table, tmp_path):
    src = table("image,label\na.png,x\n")
    assert import_csv(src, root=tmp_path, images="images").table["image"][0] == "images/a.png"


@pytest.mark.parametrize(
    ("inclusive", "one_based", "box"),
    [
        (False, False, [1, 2, 4, 5]),
        (True, False, [1, 2, 5, 6]),
        (True, True, [0, 1, 4, 5]),
        (False, True, [0, 1, 3, 4]),
    ],
)
def test_boxes_become_pixel_edges(table, tmp_path, inclusive, one_based, box):
    src = table(f"image,label,{BOXES}\na.png,x,1,2,4,5\n")
    made = import_csv(src, root=tmp_path, boxes=BOXES, inclusive=inclusive, one_based=one_based)
    assert made.table["boxes"].to_list() == [[box]]


def test_rows_of_one_image_are_gathered(table, tmp_path):
    src = table(
        f"image,label,split,{BOXES}\n"
        "a.png,RBC,train,1,2,4,5\nb.png,WBC,val,0,0,2,2\na.png,WBC,train,3,3,6,6\na.png,RBC,train,,,,\n"
    )
    rows = import_csv(src, root=tmp_path, boxes=BOXES, box_label="label").table.to_dicts()
    assert rows[0] == {
        "image": "a.png",
        "label": None,
        "labels": ["RBC", "WBC"],
        "boxes": [[1, 2, 4, 5], [3, 3, 6, 6]],
        "box_labels": ["RBC", "WBC"],
        "split": "train",
    }
    assert rows[1]["label"] == "WBC"
    assert rows[1]["labels"] == ["WBC"]


@pytest.mark.parametrize("between", [";", "\t"])
def test_decimal_commas_are_read_where_no_commas_separate_columns(table, tmp_path, between):
    lines = ["image;label;xmin;ymin;xmax;ymax", "a.png;x;1,5;2;4,25;5.5", "b.png;y;;;;"]
    src = table("\n".join(lines).replace(";", between))
    assert import_csv(src, root=tmp_path, boxes=BOXES).table["boxes"].to_list() == [
        [[1.5, 2, 4.25, 5.5]],
        None,
    ]


def test_decimal_commas_beside_commas_are_refused_with_what_to_write(table, tmp_path):
    src = table(f'image,label,{BOXES}\na.png,x,"1,5",2,4,5\n')
    with pytest.raises(DataError, match=r"write decimals with a point, as in 10\.7"):
        import_csv(src, root=tmp_path, boxes=BOXES)


def test_an_image_without_a_box_has_none_rather_than_an_empty_list(table, tmp_path):
    src = table(f"image,label,{BOXES}\na.png,x,1,2,4,5\nb.png,y,,,,\n")
    assert import_csv(src, root=tmp_path, boxes=BOXES).table["boxes"].to_list() == [
        [[1, 2, 4, 5]],
        None,
    ]


def test_templates_reach_no_further_than_the_columns(table, tmp_path):
    src = table("image,label\na.png,x\n")
    with pytest.raises(DataError, match=r"label\.__class__"):
        import_csv(src, root=tmp_path, label="{label.__class__}")


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("image,label\na.png,x\n", {"label": "lable"}, "did you mean label"),
        ("file,label\na.png,x\n", {}, "expected a column 'image'"),
        ("image,label\n,x\n", {}, "row 1: expected an image's path"),
        ("image,label\n", {}, "expected one row or more"),
        ("", {}, "expected a CSV file"),
        ("image,label\na.png,x\nb.png,y,z\n", {}, "found 3 cells in row 2, and 2 columns"),
        ("image,label\na.png,x\n", {"label": "{label"}, "--label: expected names of columns in"),
        ("image,label\na.png,x\n", {"label": "label}"}, "--label: expected a column 'label}'"),
        ("image,label\na.png,x\n", {"label": "{}x"}, "--label: expected names of columns in"),
        ("image,label\nzz.png,x\n", {}, "none of 1, the first being"),
        ("image,label\nzz.png,x\n", {}, "set --images to the folder"),
        ("image,label\na.png,x\n", {"region": "{stm}"}, "--region: expected a column 'stm'"),
        ("image,label\na.png,x\n", {"region": "{stm}"}, "did you mean stem?"),
        ("image,split\na.png,train\na.png,test\n", {}, "'train' and 'test'"),
        (f"image,{BOXES}\na.png,1,2,three,4\n", {"boxes": BOXES}, "row 1: expected a box of four"),
        (f"image,{BOXES}\na.png,1,2,nan,4\n", {"boxes": BOXES}, "row 1: expected a box of four"),
        (f"image,{BOXES}\na.png,1,2,,4\n", {"boxes": BOXES}, "row 1: expected a box of four"),
        ("image,x,y\na.png,1,2\n", {"boxes": "x,y"}, "expected four columns"),
        ("image,xmin,b,c,d\na.png,1,2,3,4\n", {"boxes": "xmim,b,c,d"}, "did you mean xmin"),
    ],
)
def test_mistakes_are_told_in_one_line(table, tmp_path, text, options, expected):
    with pytest.raises(DataError) as caught:
        import_csv(table(text), root=tmp_path, **options)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_spaces_around_labels_splits_and_groups_are_none_of_them(table, tmp_path):
    src = table("image,label,split,group\na.png, x ,test , p\nb.png,x, ,q\n")
    rows = import_csv(src, root=tmp_path).table
    assert rows["label"].to_list() == ["x", "x"]
    assert rows["split"].to_list() == ["test", None]
    assert rows["group"].to_list() == ["p", "q"]


@pytest.mark.parametrize("between", [";", "\t"])
def test_columns_of_european_spreadsheets_are_read(table, tmp_path, between):
    lines = ["\ufeffimage,label,note", "a.png,x,'1 2'", "b.png,y,"]
    text = "\n".join(line.replace(",", between) for line in lines).replace("1 2", "1,2")
    rows = import_csv(table(text), root=tmp_path).table
    assert rows.to_dicts() == [
        {"image": "a.png", "label": "x"},
        {"image": "b.png", "label": "y"},
    ]
    src = table(f"image{between}label{between}label\na.png{between}x{between}y\n")
    with pytest.raises(DataError, match="expected each column once"):
        import_csv(src, root=tmp_path)
    src = table(f"image{between}label\na.png{between}x{between}y\n")
    with pytest.raises(DataError, match="3 cells in row 1, and 2 columns"):
        import_csv(src, root=tmp_path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_named(table, tmp_path, encoding):
    src = table("")
    src.write_bytes("image,label\na.png,Gräser\n".encode(encoding))
    with pytest.raises(DataError, match=r"names, in UTF-8, found bytes .*save it again as UTF-8"):
        import_csv(src, root=tmp_path)
    with pytest.raises(DataError, match="save it again as UTF-8"):
        read_manifest(src)


def test_labels_that_look_like_missing_values_are_said(table, tmp_path):
    said = []
    src = table("image,label\na.png,NaN\nb.png,x\n")
    rows = import_csv(src, root=tmp_path, say=said.append).table
    assert rows["label"].to_list() == ["NaN", "x"]
    assert said == ["the label 'NaN' is a class now (rows: 1); empty the cells if not"]


def test_labels_that_contradict_each_other_are_said(table, tmp_path):
    said = []
    src = table("image,label\na.png,x\na.png,y\nb.png,x\n")
    rows = import_csv(src, root=tmp_path, say=said.append).table
    assert rows["labels"].to_list() == [["x", "y"], ["x"]]
    assert said == ["images whose rows name several classes, so that all have sets of them: "
                    "1: a.png"]  # fmt: skip


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="found a folder"):
        import_csv(tmp_path, root=tmp_path)
    with pytest.raises(DataError, match="no such file"):
        import_csv(tmp_path / "absent.csv", root=tmp_path)


def test_cells_of_several_labels_are_sets(table, tmp_path):
    text = "image,kinds\na.png, cat; dog ;cat\nb.png,\nimages/a.png,dog\n"
    src = table(text)
    found = import_csv(src, root=tmp_path, label="kinds", label_separator=";").table
    assert found["labels"].to_list() == [["cat", "dog"], [], ["dog"]]
    assert "label" not in found.columns
    alone = import_csv(src, root=tmp_path, label="kinds", label_separator="|").table
    assert alone["labels"].to_list() == [["cat; dog ;cat"], [], ["dog"]]


def test_rows_of_one_image_share_their_sets(table, tmp_path):
    src = table("image,label\na.png,cat|dog\na.png,cat|hen\nb.png,\n")
    found = import_csv(src, root=tmp_path, label_separator="|").table
    assert found["labels"].to_list() == [["cat", "dog", "hen"], []]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label_separator": ";"}, "--label-separator: expected a column of labels"),
        ({"label": "kind", "label_separator": " "}, "--label-separator: expected a character"),
    ],
)
def test_separators_that_separate_nothing_are_refused(table, tmp_path, options, said):
    with pytest.raises(DataError, match=said) as caught:
        import_csv(table("image,kind\na.png,x\n"), root=tmp_path, **options)
    assert "\n" not in str(caught.value)


JSON_CLASSES = '"[""void"", ""road"", null, ""car""]"'


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("image\na.png\nb.png\n", {"mask_classes": "void,road,,car"}),
        ("image\na.png\nb.png\n", {"mask_classes": "Unlabelled, road,, car"}),
        ("image\na.png\nb.png\n", {"mask_classes": "ids.csv"}),
        (f"image,mask_classes\na.png,{JSON_CLASSES}\nb.png,{JSON_CLASSES}\n", {}),
        (f"image,mask_classes\na.png,{JSON_CLASSES}\nb.png,\n", {}),
        ("image;classes\na.png;void,road,,car\nb.png;void,road,,car\n",
         {"mask_classes": "classes"}),
    ],
)  # fmt: skip
def test_what_ids_in_masks_mean(table, tmp_path, picture, text, options):
    (tmp_path / "ids.csv").write_text("id,class\n0,void\n1,road\n3,car\n")
    for name in "ab":
        picture(tmp_path / f"masks/{name}.png")
    found = import_csv(table(text), root=tmp_path, mask="masks/{stem}.png", **options)
    assert found.table["mask_classes"].to_list() == [["void", "road", None, "car"]] * 2
    assert mask_classes(found).names == ("road", "car")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (
            "image\na.png\n",
            {},
            "--mask-classes: expected what the ids in masks mean, found nothing",
        ),
        ("image,mask_classes\na.png,\n", {}, "in every row, found empty cells; name the classes"),
        ('image,mask_classes\na.png,"a,b"\nb.png,"b,a"\n', {}, "found 2 different lists"),
        ("image,mask_classes\na.png,[1]\n", {}, "expected a JSON list"),
        ("image\na.png\n", {"mask_classes": "road"}, "found 1 classes of 1 ids; name the classes"),
        ("image\na.png\n", {"mask_classes": "no.csv"}, "what the ids in masks mean, with columns"),
        ("image\na.png\n", {"mask_classes": "a,b", "mask": None}, "expected masks that they are"),
    ],
)
def test_masks_whose_ids_mean_nothing_are_refused(table, tmp_path, picture, text, options, said):
    for name in "ab":
        picture(tmp_path / f"masks/{name}.png")
    options = {"mask": "masks/{stem}.png", **options}
    with pytest.raises(DataError) as caught:
        import_csv(table(text), root=tmp_path, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("options", "told"), [({}, True), ({"region": "mask"}, False)])
def test_a_mask_beside_labels_of_which_nothing_is_said_is_not_read(table, tmp_path, options, told):
    said = []
    src = table("image,label,mask\na.png,x,b.png\nb.png,y,a.png\n")
    found = import_csv(src, root=tmp_path, say=said.append, **options).table
    assert "mask" not in found.columns
    assert ("region" in found.columns) == bool(options)
    assert len(said) == told
    assert all("--mask-classes" in line for line in said)
    with_ids = import_csv(src, root=tmp_path, mask_classes="a,b").table
    assert with_ids["mask"].to_list() == ["b.png", "a.png"]
