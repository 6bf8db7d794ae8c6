"""The importer of COCO: objects, their masks, panoptic segments."""

import json

import numpy as np
import pytest
from PIL import Image

from regard.data.mask_classes import VOID
from regard.data.settings import Data
from regard.data.source import mask_classes, task_of
from regard.errors import ConfigError, DataError
from regard.importers.coco import import_coco

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 90, "name": "comb"}]


def rectangle(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def item(image, category, box, **others):
    """An object whose outline is its box, but for what is said otherwise."""
    own = {"image_id": image, "category_id": category, "bbox": box, "iscrowd": 0}
    return own | {"segmentation": [rectangle(*box)], "area": box[2] * box[3]} | others


def crowd(image, category, columns):
    """The first columns of an image of 8 x 6, as run lengths."""
    counts = [0, 6 * columns, 6 * (8 - columns)]
    area = {"size": [6, 8], "counts": counts}
    return item(image, category, [0, 0, columns, 6], iscrowd=1, segmentation=area)


@pytest.fixture
def coco(tmp_path, picture):
    """Writes a JSON, and the images 1 to `count` of 8 x 6 unless they are given."""

    def write(
        objects,
        path="annotations/instances_train2017.json",
        folder="train2017",
        count=1,
        **lists,
    ):
        names = {n: f"{n:03}.jpg" for n in range(1, count + 1)}
        images = [
            {"id": n, "file_name": name, "height": 6, "width": 8} for n, name in names.items()
        ]
        for name in names.values():
            picture(tmp_path / folder / name)
        numbered = [{"id": 100 + n, **own} for n, own in enumerate(objects)]
        text = {"images": images, "categories": CATEGORIES, "annotations": numbered} | lists
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(text))
        return tmp_path

    return write


def read(manifest, column, row=0):
    return np.array(Image.open(manifest.resolve(manifest.table[column][row]))).tolist()


def test_boxes_are_pixel_edges_and_the_largest_object_gives_the_label(coco):
    src = coco(
        [item(1, 18, [1, 2, 3, 4]), item(1, 1, [0.5, 0, 7.25, 5.5]), item(1, 18, [0, 0, 2, 2])]
    )
    assert import_coco(src, root=src).table.to_dicts() == [
        {
            "image": "train2017/001.jpg",
            "label": "person",
            "labels": ["dog", "person"],
            "boxes": [[1, 2, 4, 6], [0.5, 0, 7.75, 5.5], [0, 0, 2, 2]],
            "box_labels": ["dog", "person", "dog"],
            "split": "train",
        }
    ]


def test_the_area_counts_and_not_the_box_where_it_is_told(coco):
    src = coco([item(1, 18, [0, 0, 8, 6], area=3), item(1, 1, [0, 0, 2, 2])])
    assert import_coco(src, root=src).table["label"].to_list() == ["person"]
    src = coco([item(1, 18, [0, 0, 8, 6], area=None), item(1, 1, [0, 0, 2, 2])])
    assert import_coco(src, root=src).table["label"].to_list() == ["dog"]


def test_images_of_one_class_alone(coco):
    said = []
    objects = [item(1, 18, [0, 0, 2, 2]), item(1, 18, [1, 1, 2, 2]), item(2, 18, [0, 0, 1, 1])]
    src = coco([*objects, item(2, 1, [0, 0, 2, 2]), item(4, 1, [0, 0, 2, 2])], count=4)
    table = import_coco(src, root=src, label="only", say=said.append).table
    assert table["image"].to_list() == ["train2017/001.jpg", "train2017/004.jpg"]
    assert table["label"].to_list() == ["dog", "person"]
    assert "labels" not in table.columns
    assert said == [
        "1 of 4 images left out: no object in them",
        "1 of 4 images left out: several classes in them (--label only)",
    ]


def test_all_classes_of_an_image_are_its_set(coco, tmp_path):
    objects = [item(1, 18, [0, 0, 2, 2]), item(1, 1, [4, 0, 2, 2]), item(2, 1, [1, 1, 3, 3])]
    src = coco(objects, count=3)
    found = import_coco(src, root=tmp_path, label="all")
    assert found.table["labels"].to_list() == [["dog", "person"], ["person"], []]
    assert "label" not in found.table.columns
    assert found.table["box_labels"].to_list() == [["dog", "person"], ["person"], None]
    assert task_of(found, Data(manifest="m")) == "multilabel"
    with pytest.raises(ConfigError, match="none beside --label all"):
        import_coco(src, root=tmp_path, label="all", masks="region")


def test_crowds_are_no_boxes_but_their_class_is_in_the_image(coco):
    said = []
    src = coco([item(1, 18, [0, 0, 2, 2]), crowd(1, 1, 4), crowd(2, 1, 8)], count=2)
    rows = import_coco(src, root=src, say=said.append).table.to_dicts()
    assert [row["image"] for row in rows] == ["train2017/001.jpg"]
    assert rows[0]["boxes"] == [[0, 0, 2, 2]]
    assert (rows[0]["label"], rows[0]["labels"]) == ("dog", ["dog", "person"])
    assert said == [
        "1 of 2 images left out: no object in them",
        "crowds left out of the boxes: 1 (--masks region ignores those of the label's class)",
    ]
    with pytest.raises(DataError, match=r"an object of one class alone, found none of 2"):
        import_coco(src, root=src, label="only")


def test_degenerate_boxes_stay_for_the_checks(coco):
    src = coco([item(1, 18, [2, 3, 0, 1]), item(1, 18, [7, 0, 9, 1])])
    assert import_coco(src, root=src).table["boxes"].to_list() == [[[2, 3, 2, 4], [7, 0, 16, 1]]]


LAYOUTS = [
    ("annotations/instances_train2014.json", "train2014", "train"),
    ("annotations/instances_Val.json", "images/Val", "val"),
    ("annotations/instances_valid2017.json", "images", "val"),
    ("test/_annotations.coco.json", "test", "test"),
    ("annotations/instances_default.json", "images", None),
]


@pytest.mark.parametrize(("path", "folder", "split"), LAYOUTS)
def test_layouts_and_their_splits(coco, path, folder, split):
    src = coco([item(1, 18, [0, 0, 2, 2])], path, folder)
    row = import_coco(src, root=src).table.to_dicts()[0]
    assert (row["image"], row.get("split")) == (f"{folder}/001.jpg", split)


@pytest.mark.parametrize("path", ["my_val.json", "train/labels.json"])
def test_one_json_by_its_path(coco, path):
    src = coco([item(1, 18, [0, 0, 2, 2])], path, "train")
    rows = [
        import_coco(src, root=src, annotations=str(named), images="train").table.to_dicts()[0]
        for named in (path, src / path)
    ]
    assert rows[0] == rows[1]
    assert rows[0]["image"] == "train/001.jpg"
    # The file's own name says more than that of the folder of images.
    assert rows[0]["split"] == {"my_val.json": "val", "train/labels.json": "train"}[path]


def test_images_in_a_folder_that_is_named(coco):
    src = coco([item(1, 18, [0, 0, 2, 2])], folder="elsewhere/photos")
    with pytest.raises(DataError, match=r"found no 001\.jpg in .*; name the folder, --images"):
        import_coco(src, root=src)
    found = import_coco(src, root=src / "elsewhere", images="elsewhere/photos").table
    assert found["image"].to_list() == ["photos/001.jpg"]


def test_several_parts(coco):
    coco([item(1, 18, [0, 0, 2, 2])], "annotations/instances_minival2014.json", "minival2014")
    own = [{"id": 7, "name": "person"}]
    coco(
        [item(1, 7, [0, 0, 2, 2])], "annotations/instances_train2014.json", "train2014",
        categories=own,
    )  # fmt: skip
    src = coco([], "annotations/captions_train2014.json", "train2014")
    table = import_coco(src, root=src).table
    assert table["label"].to_list() == ["dog", "person"]
    assert table["split"].to_list() == ["minival2014", "train"]
    # The classes of all parts are one list.
    masks = import_coco(src, root=src, masks="classes")
    assert mask_classes(masks).names == ("dog", "person", "comb")
    assert read(masks, "mask", 1)[0] == [1, 1, *[VOID] * 6]
    assert masks.table["mask"][1] == "coco-masks/mask/train2014/001.png"


def test_regions_are_the_objects_of_the_label_s_class(coco):
    objects = [item(1, 18, [0, 0, 3, 2]), item(1, 18, [2, 1, 3, 2]), item(1, 1, [6, 0, 2, 2])]
    said, done = [], []
    src = coco([*objects, item(2, 1, [0, 0, 1, 1])], count=2)
    manifest = import_coco(
        src, root=src, masks="region", files=src / "m-masks", say=said.append,
        progress=lambda *counts: done.append(counts),
    )  # fmt: skip
    row = manifest.table.to_dicts()[0]
    assert row["region"] == "m-masks/region/train2017/001.png"
    assert row["boxes"][2] == [6, 0, 8, 2]
    assert read(manifest, "region") == [
        [255, 255, 255, 0, 0, 0, 0, 0],
        [255, 255, 255, 255, 255, 0, 0, 0],
        [0, 0, 255, 255, 255, 0, 0, 0],
        *[[0] * 8] * 3,
    ]
    assert np.sum(read(manifest, "region", 1)) == 255
    assert "ignore" not in manifest.table.columns
    assert (said, done) == ([], [(1, 2), (2, 2)])
    assert sorted(p.name for p in (src / "m-masks").rglob("*.*")) == ["001.png", "002.png"]


def test_crowds_of_the_label_s_class_are_ignored_where_no_object_is(coco):
    objects = [item(1, 18, [1, 1, 4, 3]), crowd(1, 18, 2), crowd(1, 1, 4)]
    src = coco([*objects, item(2, 18, [0, 0, 1, 1]), crowd(2, 1, 4)], count=2)
    manifest = import_coco(src, root=src, masks="region")
    assert manifest.table["ignore"].to_list() == ["coco-masks/ignore/train2017/001.png", None]
    row, both = [255, 255, *[0] * 6], [255, *[0] * 7]
    assert read(manifest, "ignore") == [row, both, both, both, row, row]
    assert read(manifest, "region")[1] == [0, 255, 255, 255, 255, 0, 0, 0]


def test_masks_of_classes(coco):
    person, dog = item(1, 1, [0, 0, 3, 6]), item(1, 18, [1, 1, 4, 2])
    src = coco([dog, person, crowd(1, 90, 7)], count=2)
    manifest = import_coco(src, root=src, masks="classes")
    assert manifest.table.columns == ["image", "mask", "mask_classes", "split"]
    assert task_of(manifest, Data(manifest="m.parquet")) == "segmentation"
    assert manifest.table["mask_classes"].to_list() == [["dog", "person", "comb"]] * 2
    # The dog is the smaller one and lies above, whatever the order; the crowd lies below, as void.
    bare, both = [1, 1, 1, *[VOID] * 5], [1, 0, 0, 0, 0, *[VOID] * 3]
    assert read(manifest, "mask") == [bare, both, both, bare, bare, bare]
    # Images without an object stay.
    assert read(manifest, "mask", 1) == [[VOID] * 8] * 6
    manifest = import_coco(src, root=src, masks="classes", background=True)
    assert mask_classes(manifest).names == ("dog", "person", "comb", "background")
    assert read(manifest, "mask")[1] == [1, 0, 0, 0, 0, VOID, VOID, 3]


def test_categories_of_one_name_are_one_class_and_one_class_needs_a_background(coco):
    same = [{"id": 1, "name": "dog"}, {"id": 2, "name": " dog "}]
    objects = [item(1, 1, [0, 0, 2, 6]), item(1, 2, [4, 0, 1, 6])]
    src = coco(objects, categories=same)
    with pytest.raises(
        DataError, match=r"expected 2 to 254 classes for masks, found 1; add --back"
    ):
        import_coco(src, root=src, masks="classes")
    manifest = import_coco(src, root=src, masks="classes", background=True)
    assert read(manifest, "mask")[0] == [0, 0, 1, 1, 0, 1, 1, 1]


def test_more_classes_than_a_mask_holds(coco):
    many = [{"id": n, "name": f"class {n}"} for n in range(254)]
    src = coco([item(1, 253, [0, 0, 2, 6])], categories=many)
    assert read(import_coco(src, root=src, masks="classes"), "mask")[0][:3] == [253, 253, VOID]
    with pytest.raises(DataError, match="2 to 254 classes for masks, found 255; give categories"):
        import_coco(src, root=src, masks="classes", background=True)


def panoptic(coco, segments, ids, name="001.png"):
    annotation = {"image_id": 1, "file_name": name, "segments_info": segments}
    src = coco([annotation], "annotations/panoptic_val2017.json", "val2017")
    ids = np.array(ids)
    path = src / "annotations/panoptic_val2017/001.png"
    path.parent.mkdir(exist_ok=True)
    pixels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return src


SEGMENTS = [
    {"id": 3, "category_id": 1, "iscrowd": 0},
    {"id": 70_000, "category_id": 18, "iscrowd": 0},
    {"id": 16_777_215, "category_id": 90, "iscrowd": 0},
    {"id": 259, "category_id": 90, "iscrowd": 1},
]


def test_panoptic_segments_become_masks_of_classes(coco):
    src = panoptic(coco, SEGMENTS, [[0, 3, 70_000, 16_777_215, 259], [3, 3, 3, 70_000, 0]])
    manifest = import_coco(src, root=src, annotations="panoptic")
    assert manifest.table.to_dicts() == [
        {
            "image": "val2017/001.jpg",
            "mask": "coco-masks/mask/val2017/001.png",
            "mask_classes": ["dog", "person", "comb"],
            "split": "val",
        }
    ]
    assert read(manifest, "mask") == [[VOID, 1, 0, 2, VOID], [1, 1, 1, 0, VOID]]
    by_path = "annotations/panoptic_val2017.json"
    manifest = import_coco(src, root=src, annotations=by_path, background=True)
    assert read(manifest, "mask")[0] == [3, 1, 0, 2, VOID]


def test_mistakes_in_panoptic_sets(coco):
    src = panoptic(coco, SEGMENTS[:1], [[3, 4], [4, 0]])
    with pytest.raises(DataError, match=r"panoptic_val2017\.json lists, found segment 4 on 2 of 4"):
        import_coco(src, root=src, annotations="panoptic")
    src = panoptic(coco, SEGMENTS, [[3]], name="002.png")
    with pytest.raises(DataError, match=r"a PNG of segments for each image, found none of 1: 002"):
        import_coco(src, root=src, annotations="panoptic")
    with pytest.raises(ConfigError, match="--masks: expected classes for panoptic segments"):
        import_coco(src, root=src, annotations="panoptic", masks="region")
    src = coco([], "annotations/panoptic_val2017.json", "val2017", count=2)
    annotation = {"image_id": 1, "file_name": "001.png", "segments_info": []}
    src = coco([annotation], "annotations/panoptic_val2017.json", "val2017", count=2)
    with pytest.raises(DataError, match=r"found another number for 1: 002\.jpg has 0"):
        import_coco(src, root=src, annotations="panoptic")
    src = coco(
        [annotation | {"segments_info": None}], "annotations/panoptic_val2017.json", "val2017"
    )
    with pytest.raises(DataError, match="annotation 100: expected the id of a category"):
        import_coco(src, root=src, annotations="panoptic")


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"images": None}, "found no list 'images'"),
        ({"categories": {}}, "found no list 'categories'"),
        ({"images": []}, "found an empty list 'images'"),
        ({"images": [{"id": 1}]}, "entry 1: expected a file_name below the folder .* found None"),
        ({"images": [{"id": 1, "file_name": "../001.jpg"}]}, "found '../001.jpg'"),
        ({"images": [{"id": 1, "file_name": "/001.jpg"}]}, "found '/001.jpg'"),
        ({"images": [{"file_name": "001.jpg"}]}, "images, entry 1: expected an entry with an id"),
        ({"images": [3]}, "entry 1: expected an entry with an id, found 3"),
        (
            {"images": [{"id": 1, "file_name": "001.jpg"}, {"id": 1, "file_name": "002.jpg"}]},
            "images, entry 2: expected an id that comes once, found id 1 again",
        ),
        (
            {"images": [{"id": 1, "file_name": "001.jpg"}, {"id": 2, "file_name": "001.jpg"}]},
            r"expected a file name that comes once, found 001\.jpg again",
        ),
        (
            {"images": [{"id": n, "file_name": f"00{n}.jpg"} for n in range(1, 6)]},
            r"all 5 images of its list in .*train2017, found 1, without 4: 002\.jpg, 003\.jpg, ",
        ),
        ({"categories": [{"id": 18}]}, "entry 1: expected a category with a name, found None"),
        ({"categories": [{"id": 18, "name": "a"}] * 2}, "categories, entry 2: .* id 18 again"),
        ({"annotations": [item(1, 19, [0, 0, 1, 1])]}, "of the list, found category_id 19;"),
        ({"annotations": [item(1, [], [0, 0, 1, 1])]}, r"found category_id \[\]"),
        ({"annotations": [item(9, 18, [0, 0, 1, 1])]}, "entry 1: .* found image_id 9;"),
        ({"annotations": ["a"]}, "annotations, entry 1: .* found 'a'"),
        ({"annotations": [item(1, 18, [0, 0, 1, 1], bbox=[1, 2, 3])]}, r"found \[1, 2, 3\]"),
        ({"annotations": [item(1, 18, [0, 0, 1, 1], bbox=None)]}, r"four numbers, found \(\)"),
        ({"annotations": [item(1, 18, [0, 0, 1, 1], bbox="1234")]}, r"four numbers, found \(\)"),
        ({"annotations": [item(1, 18, [0, 0, 1, 1], bbox=[0, 0, "x", 1])]}, "of four numbers"),
        ({"annotations": []}, "expected an image with an object, found none of 1"),
    ],
)  # fmt: skip
def test_contradictions_are_told_in_one_line(coco, lists, said):
    src = coco([item(1, 18, [0, 0, 2, 2])], **lists)
    with pytest.raises(DataError, match=said) as caught:
        import_coco(src, root=src)
    assert "instances_train2017.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        (
            {"annotations": [item(1, 18, [0, 0, 1, 1], id=5, segmentation=[])]},
            "annotation 5: .*none",
        ),
        ({"images": [{"id": 1, "file_name": "001.jpg", "height": 6}]}, "height and width, at most"),
        (
            {"images": [{"id": 1, "file_name": "001.jpg", "height": 10**6, "width": 10**6}]},
            "image 001.jpg: expected its height and width, at most 400,000,000 pixels",
        ),
        (
            {"images": [{"id": 1, "file_name": "001.jpg"}, {"id": 2, "file_name": "001.png"}]},
            r"001\.png: expected one image for each mask",
        ),
    ],
)
@pytest.mark.parametrize("masks", ["region", "classes"])
def test_areas_that_cannot_be_drawn(coco, picture, lists, said, masks):
    objects = [
        item(1, 18, [0, 0, 2, 2]),
        item(min(2, len(lists.get("images", [1]))), 18, [0, 0, 1, 1]),
    ]
    src = coco(objects, **lists)
    picture(src / "train2017/001.png")
    with pytest.raises(DataError, match=said) as caught:
        import_coco(src, root=src, masks=masks)
    assert "\n" not in str(caught.value)
    assert not list(src.rglob("*.partial"))


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", '{"images": NaN}', "[" * 100_000])
def test_what_is_no_json_of_coco(coco, text):
    src = coco([])
    path = src / "annotations/instances_train2017.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"train2017\.json: expected a JSON of COCO") as caught:
        import_coco(src, root=src)
    assert "\n" not in str(caught.value)


def test_an_image_in_two_parts_is_refused(coco):
    coco([item(1, 18, [0, 0, 2, 2])], "annotations/instances_train.json", "images")
    src = coco([item(1, 18, [0, 0, 2, 2])], "annotations/instances_val.json", "images")
    with pytest.raises(DataError, match=r"found 001\.jpg in instances_train\.json too"):
        import_coco(src, root=src)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label": "larges"}, "--label: expected largest, only, all, found 'larges'"),
        ({"masks": "class"}, "--masks: expected region, classes, found 'class'"),
        ({"background": True}, "--background: expected masks of classes, found none"),
        ({"background": True, "masks": "region"}, "--background: expected masks of classes"),
    ],
)
def test_options_are_checked(coco, options, said):
    src = coco([item(1, 18, [0, 0, 2, 2])])
    with pytest.raises(ConfigError, match=said):
        import_coco(src, root=src, **options)


def test_missing_files(tmp_path):
    for annotations in ("instances", "panoptic", "nowhere.json"):
        with pytest.raises(DataError, match="found no such file; correct the folder, or name one"):
            import_coco(tmp_path, root=tmp_path, annotations=annotations)
    with pytest.raises(DataError, match="nothing there"):
        import_coco(tmp_path / "absent", root=tmp_path)


@pytest.mark.parametrize("gone", [1, 2])
def test_images_that_are_missing_are_counted_and_may_be_left_out(coco, gone):
    src = coco([item(n, 18, [0, 0, 2, 2]) for n in (1, 2, 3)], count=3)
    (src / f"train2017/00{gone}.jpg").unlink()
    with pytest.raises(DataError) as caught:
        import_coco(src, root=src)
    folder = src / "train2017"
    expected = f"expected all 3 images of its list in {folder}, found 2, without 1: 00{gone}.jpg; "
    assert expected in str(caught.value)
    assert str(caught.value).endswith("leave them out by --skip-missing")
    said = []
    table = import_coco(src, root=src, skip_missing=True, say=said.append).table
    assert table["image"].to_list() == [f"train2017/00{n}.jpg" for n in (1, 2, 3) if n != gone]
    assert said == [f"1 of 3 images left out: not in {folder}: 00{gone}.jpg"]
    masks = import_coco(src, root=src, skip_missing=True, masks="classes", background=True)
    assert len(masks) == 2


def test_a_folder_without_any_of_the_images_is_refused(coco):
    src = coco([item(1, 18, [0, 0, 2, 2])])
    (src / "train2017/001.jpg").unlink()
    with pytest.raises(DataError, match=r"expected a folder with its images, found no 001\.jpg in"):
        import_coco(src, root=src, skip_missing=True)


def test_a_name_with_other_slashes(coco, picture):
    images = [{"id": 1, "file_name": "deep\\a.jpg", "height": 6, "width": 8}]
    src = coco([item(1, 18, [0, 0, 2, 2])], images=images)
    picture(src / "train2017/deep/a.jpg")
    row = import_coco(src, root=src, masks="region").table.to_dicts()[0]
    assert row["image"] == "train2017/deep/a.jpg"
    assert row["region"] == "coco-masks/region/train2017/deep/a.png"
