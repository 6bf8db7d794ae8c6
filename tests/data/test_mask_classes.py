"""Ids of masks to classes."""

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.manifest import manifest_from_rows, read_manifest
from regard.data.mask_classes import VOID, MaskClasses, by_id
from regard.data.source import mask_classes
from regard.errors import DataError

BY_ID = ["void", "road", None, "car", "road", "sky"]


def png(path, ids, mode="L"):
    image = Image.fromarray(np.asarray(ids, dtype=np.uint8))
    if mode == "P":
        image.putpalette([i % 256 for i in range(768)])
    image.save(path)
    return str(path)


def test_ids_of_one_class_are_one_and_void_is_left_out_or_a_class(tmp_path):
    path = png(tmp_path / "a.png", [[0, 1, 3], [4, 5, 1]])
    found = MaskClasses.of(BY_ID)
    assert found.names == ("road", "car", "sky")
    assert found.read(path).tolist() == [[VOID, 0, 1], [0, 2, 0]]
    counted = MaskClasses.of(BY_ID, "class")
    assert counted.names == ("void", "road", "car", "sky")
    assert counted.read(path).tolist() == [[0, 1, 2], [1, 3, 1]]


def test_a_palette_s_indices_are_the_ids(tmp_path):
    path = png(tmp_path / "a.png", [[1, 3]], "P")
    with Image.open(path) as image:
        assert image.mode == "P"
    assert MaskClasses.of(BY_ID).read(path).tolist() == [[0, 1]]
    deep = Image.fromarray(np.array([[1, 5]], dtype=np.uint16))
    deep.save(tmp_path / "b.png")
    assert MaskClasses.of(BY_ID).read(str(tmp_path / "b.png")).tolist() == [[0, 2]]


def test_255_is_void_unless_it_is_named(tmp_path):
    path = png(tmp_path / "a.png", [[0, 255]])
    assert MaskClasses.of(["a", "b"]).read(path).tolist() == [[0, VOID]]
    assert MaskClasses.of(["a", "b", "void"], "class").read(path).tolist() == [[0, 2]]
    named = [*"ab", *[None] * 253, "c"]
    assert MaskClasses.of(named).read(path).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: png(p, [[2]]), "ids that mask_classes names, found id 2 on 1 of 1 pixels"),
        (lambda p: png(p, [[9]]), "found id 9"),
        (lambda p: png(p, np.zeros((2, 2, 3))), r"one channel.*found 3 channels \(RGB\)"),
        (lambda p: png(p, np.zeros((2, 2, 4))), r"found 4 channels \(RGBA\)"),
        (
            lambda p: Image.fromarray(np.array([[300]], dtype=np.uint16)).save(p),
            "from 0 to 255, found id 300",
        ),
        (lambda p: Image.new("L", (8, 8)).save(p, "JPEG"), "a JPEG, which blurs them"),
        (lambda p: p.write_bytes(b"no image"), "expected a readable image, found not an image"),
    ],
)
def test_masks_that_hold_no_ids_are_refused_in_one_line(make, said, tmp_path):
    make(tmp_path / "a.png")
    with pytest.raises(DataError, match=said) as caught:
        MaskClasses.of(BY_ID).read(str(tmp_path / "a.png"))
    assert "\n" not in str(caught.value)


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path):
    path = png(tmp_path / "a.png", [[1, 1]])
    assert MaskClasses.of(BY_ID).read(path, (1, 2)).shape == (1, 2)
    with pytest.raises(DataError, match="as large as its image, 2 x 1, found 1 x 2"):
        MaskClasses.of(BY_ID).read(path, (2, 1))
    with pytest.raises(DataError, match="at most 1 pixels, found 2 x 1"):
        MaskClasses.of(BY_ID).read(path, max_pixels=1)


def test_a_manifest_holds_them_in_parquet_and_csv(tmp_path):
    row = {"mask": "m.png", "mask_classes": BY_ID}
    manifest = manifest_from_rows([{"image": f"{i}.png"} | row for i in range(3)], tmp_path)
    for name in ("m.parquet", "m.csv"):
        again = read_manifest(manifest.write(tmp_path / name))
        assert mask_classes(again) == MaskClasses.of(BY_ID)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"image": "a.png"}], "no 'mask' and no 'mask_classes'"),
        ([{"image": "a.png", "mask": "m.png"}], "found no 'mask_classes'"),
        (
            [{"image": "a", "mask": "m", "mask_classes": BY_ID}, {"image": "b", "mask": "m"}],
            "found empty cells",
        ),
        (
            [{"image": "a", "mask_classes": ["a", "b"], "mask": "m"},
             {"image": "b", "mask_classes": ["b", "a"], "mask": "m"}],
            "found 2 different lists",
        ),
        ([{"image": "a", "mask_classes": ["a", "a"], "mask": "m"}], "found 1 classes of 2 ids"),
    ],
)  # fmt: skip
def test_manifests_without_one_table_are_refused(rows, said, tmp_path):
    with pytest.raises(DataError, match=said):
        mask_classes(manifest_from_rows(rows, tmp_path))


def test_a_table_of_ids_is_a_list_from_0_on():
    assert by_id({1: "road", 3: "car"}, "t") == [None, "road", None, "car"]
    for wrong in ({-1: "a"}, {256: "a"}, {}):
        with pytest.raises(DataError, match="ids from 0 to 255"):
            by_id(wrong, "t")


def test_indices_stay_bytes(tmp_path):
    found = MaskClasses.of(["a", "b"]).read(png(tmp_path / "a.png", [[0, 1]]))
    assert found.dtype == torch.uint8
