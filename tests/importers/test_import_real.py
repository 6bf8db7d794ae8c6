"""The importers on real data sets, which are skipped where absent."""

import os
from collections import Counter

import pytest

from regard.importers import IMPORTERS

BOXES = "xmin,ymin,xmax,ymax"


def all_exist(manifest, *columns):
    return all(
        os.path.isfile(manifest.resolve(path)) for name in columns for path in manifest.table[name]
    )


def test_products(shared):
    src = shared("products")
    manifest = IMPORTERS["csv"](src / "labels.csv", root=src, images="images", label="category")
    assert len(manifest) == 1047
    assert len(manifest.classes) == 7
    assert all_exist(manifest, "image")


def test_skin_masks_by_template(shared):
    src = shared("skin")
    manifest = IMPORTERS["csv"](
        src / "labels.csv",
        root=src,
        images="images",
        label="diagnosis",
        region="masks/{stem}.png",
        region_threshold=127,
    )
    assert Counter(manifest.table["label"]) == {
        "common_nevus": 80,
        "atypical_nevus": 80,
        "melanoma": 40,
    }
    assert all_exist(manifest, "image", "region")


@pytest.mark.parametrize("route", ["pairs", "csv"])
def test_herbarium_both_ways(shared, route):
    src = shared("herbarium")
    if route == "pairs":
        manifest = IMPORTERS["pairs"](src, root=src, labels="labels.csv", label="species")
    else:
        manifest = IMPORTERS["csv"](
            src / "labels.csv", root=src, images="images", label="species",
            segmented="segmented/{stem}.jpg", region="masks/{stem}.png",
        )  # fmt: skip
    assert (len(manifest), len(manifest.classes)) == (345, 36)
    assert all_exist(manifest, "image", "segmented", "region")


def test_imagenet14_by_a_template_of_three_columns(shared):
    src = shared("imagenet14")
    manifest = IMPORTERS["csv"](
        src / "boxes.csv", root=src, image="{split}/{wnid}/{image}", label="name",
        boxes=BOXES, inclusive=True,
    )  # fmt: skip
    assert Counter(manifest.table["split"]) == {"train": 1400, "val": 700}
    assert manifest.table["boxes"].to_list()[0] == [[0, 10, 64, 59]]
    assert all_exist(manifest, "image")


def test_cells_are_the_same_from_annotations_and_from_the_table(shared):
    src = shared("cells")
    voc = IMPORTERS["voc"](src, root=src).table.sort("image")
    csv = IMPORTERS["csv"](
        src / "boxes.csv", root=src, images="images", boxes=BOXES, box_label="label",
        inclusive=True, one_based=True,
    ).table.sort("image")  # fmt: skip
    for name in ("image", "labels", "boxes", "box_labels"):
        assert voc[name].to_list() == csv[name].to_list()
    assert Counter(voc["split"]) == {"train": 205, "val": 87, "test": 72}
    boxes = [box for own in voc["boxes"].to_list() for box in own]
    assert len(boxes) == 4888
    assert min(min(box) for box in boxes) == 0
    assert max(box[2] for box in boxes) == 640
    assert max(box[3] for box in boxes) == 480
