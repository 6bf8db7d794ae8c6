"""Boxes that were drawn on photos as they are stored, on their side, and are wanted upright."""

import json

import numpy as np
import pytest
from PIL import Image

from regard.images.decoding import decode
from regard.importers.boxes import turned_box
from regard.importers.coco import import_coco
from regard.importers.imagenet import import_imagenet
from regard.importers.voc import import_voc

SIZE, BOX = (40, 64), (8, 4, 24, 12)  # height and width as stored; left, top, right, bottom


def stored(path, orientation):
    """A photo with a bright box, as a camera stores it; PNG, so that edges are sharp."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    left, top, right, bottom = BOX
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG", exif=exif)


def inside(path, box):
    """How bright the upright photo is in the box, and outside."""
    pixels = decode(path)[0].float() / 255
    left, top, right, bottom = map(int, box)
    within = pixels[top:bottom, left:right]
    return float(within.mean()), float(pixels.sum() - within.sum())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_where_the_upright_photo_has_it(tmp_path, orientation):
    stored(tmp_path / "a.png", orientation)
    assert inside(tmp_path / "a.png", turned_box(BOX, SIZE, orientation)) == (1, 0)


def coco(folder, told):
    left, top, right, bottom = BOX
    box = [left, top, right - left, bottom - top]
    lists = {
        "images": [{"id": 1, "file_name": "a.png", "height": told[0], "width": told[1]}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box}],
    }
    (folder / "annotations").mkdir()
    (folder / "annotations/instances_train.json").write_text(json.dumps(lists))
    stored(folder / "train/a.png", 6)
    return import_coco, folder / "train/a.png"


def annotation(told, name="cat"):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), (9, 5, 24, 12), strict=True)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    size = f"<size><width>{told[1]}</width><height>{told[0]}</height><depth>3</depth></size>"
    return (f"<annotation><filename>a.png</filename>{size}<object><name>{name}</name>"
            f"<bndbox>{box}</bndbox></object></annotation>")  # fmt: skip


def voc(folder, told):
    stored(folder / "JPEGImages/a.png", 6)
    (folder / "Annotations").mkdir()
    (folder / "Annotations/a.xml").write_text(annotation(told))
    return import_voc, folder / "JPEGImages/a.png"


def imagenet(folder, told):
    photo = folder / "Data/CLS-LOC/train/n01/a.png"
    stored(photo, 6)
    place = folder / "Annotations/CLS-LOC/train/n01/a.xml"
    place.parent.mkdir(parents=True)
    place.write_text(annotation(told, "n01"))
    return import_imagenet, photo


@pytest.mark.parametrize("write", [coco, voc, imagenet])
def test_boxes_of_the_stored_photo_are_turned_with_it_and_said(tmp_path, write):
    importer, photo = write(tmp_path, SIZE)
    said = []
    table = importer(tmp_path, root=tmp_path, say=said.append).table
    assert inside(photo, table["boxes"][0][0]) == (1, 0)
    assert said == ["photos stored on their side, whose boxes were turned with them: 1: a.png"]


@pytest.mark.parametrize("write", [coco, voc, imagenet])
@pytest.mark.parametrize("told", [(64, 40), (0, 0)])
def test_boxes_of_the_upright_photo_stay(tmp_path, write, told):
    importer, _ = write(tmp_path, told)
    said = []
    table = importer(tmp_path, root=tmp_path, say=said.append).table
    assert table["boxes"].to_list() == [[list(map(float, BOX))]]
    assert said == []


@pytest.mark.parametrize("write", [coco, voc, imagenet])
def test_photos_of_another_size_than_their_annotation_says_are_told(tmp_path, write):
    importer, _ = write(tmp_path, (20, 32))
    said = []
    table = importer(tmp_path, root=tmp_path, say=said.append).table
    assert table["boxes"].to_list() == [[list(map(float, BOX))]]
    assert said == ["photos of another size than their annotations say, boxes kept as they are: "
                    "1: a.png (32 x 20, is 40 x 64)"]  # fmt: skip


@pytest.mark.parametrize("masks", ["region", "classes"])
def test_masks_are_turned_with_their_photos(tmp_path, masks):
    importer, photo = coco(tmp_path, SIZE)
    path = tmp_path / "annotations/instances_train.json"
    lists = json.loads(path.read_text())
    left, top, right, bottom = BOX
    lists["annotations"][0]["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    path.write_text(json.dumps(lists))
    table = importer(tmp_path, root=tmp_path, masks=masks, background=masks == "classes").table
    column = "region" if masks == "region" else "mask"
    mask = np.array(Image.open(tmp_path / table[column][0]))
    bright = decode(photo)[0].numpy() > 128
    assert mask.shape == bright.shape
    inside_ids = set(np.unique(mask[bright]).tolist())
    assert len(inside_ids) == 1
    assert not inside_ids & set(np.unique(mask[~bright]).tolist())


@pytest.mark.parametrize("write", [coco, voc, imagenet])
def test_photos_whose_size_does_not_tell_are_said(tmp_path, write):
    importer, photo = write(tmp_path, SIZE)
    stored(photo, 3)
    said = []
    table = importer(tmp_path, root=tmp_path, say=said.append).table
    assert table["boxes"].to_list() == [[list(map(float, BOX))]]
    assert said == ["photos that are turned without another size, boxes kept as of the upright "
                    "ones: 1: a.png"]  # fmt: skip
