"""What the commands of `regard data` print."""

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """A CSV of ten different photos; masks of six of them."""
    generator = np.random.default_rng(3)
    (tmp_path / "masks").mkdir()
    for number in range(10):
        pixels = generator.integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        mask = np.zeros((24, 24), np.uint8)
        mask[4 : 8 + number] = 255
        if number < 6:
            Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    lines = [f"{n}.png,{'fern' if n % 2 else 'moss'}" for n in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["image,label", *lines]))
    return tmp_path


def imported(regard, folder, *words):
    out = folder / "my.parquet"
    words = ("data", "import", "csv", folder / "t.csv", "--out", out, *words)
    return regard(*words, "--force"), out


def test_an_import_counts_the_samples_with_a_region(regard, photos):
    answer, out = imported(regard, photos, "--region", "masks/{stem}.png")
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{out}: 10 samples (6 with a region), 2 classes; train ")
    answer, _ = imported(regard, photos)
    assert answer.out.startswith(f"{out}: 10 samples, 2 classes; ")


def test_an_import_without_any_region_file_is_refused(regard, photos):
    answer, out = imported(regard, photos, "--region", "mask/{stem}.png")
    assert answer.code == 2
    first = photos / "mask" / "0.png"
    found = f"found none of 10, the first being {first}; correct the column or template"
    assert f"--region: expected files where the paths say, {found}" in answer.err
    assert not out.exists()


def test_an_import_says_how_many_named_regions_are_missing(regard, photos):
    text = (photos / "t.csv").read_text().splitlines()
    rows = [f"{line},masks/{n}.png" for n, line in enumerate(text[1:])]
    (photos / "t.csv").write_text("\n".join([text[0] + ",region", *rows]))
    answer, out = imported(regard, photos)
    assert f"{out}: 10 samples (6 with a region), 2 classes; " in answer.out
    assert "; 4 region files missing\n" in answer.out


def test_an_import_of_coco_says_what_it_left_out_and_writes_masks_beside_the_manifest(
    regard, tmp_path
):
    (tmp_path / "train").mkdir()
    names = {1: "1.png", 2: "2.png", 3: "3.png"}
    for name in names.values():
        Image.new("RGB", (8, 6)).save(tmp_path / "train" / name)
    images = [{"id": n, "file_name": name, "height": 6, "width": 8} for n, name in names.items()]
    outline = [[1, 1, 5, 1, 5, 4, 1, 4]]
    fern = {"image_id": 2, "category_id": 7, "bbox": [1, 1, 4, 3], "segmentation": outline}
    text = {"images": images, "categories": [{"id": 7, "name": "fern"}], "annotations": [fern]}
    (tmp_path / "train/_annotations.coco.json").write_text(json.dumps(text))
    out = tmp_path / "my.parquet"
    answer = regard("data", "import", "coco", tmp_path, "--out", out, "--masks", "region")
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[:2] == [
        f"{out}: 1 sample (1 with a region), 1 class; train 1",
        "2 of 3 images left out: no object in them",
    ]
    region = np.array(Image.open(tmp_path / "my-masks/region/train/2.png"))
    assert region.sum() == 12 * 255
    assert (region[1:4, 1:5] == 255).all()


@pytest.mark.parametrize("name", ["csv", "folder", "pairs", "voc", "coco"])
def test_the_help_of_an_import_has_the_options_of_its_format(regard, name):
    answer = regard("data", "import", name, "--help")
    assert answer.code == 0
    assert f"Options of {name}:" in answer.out
    assert "--shares" in answer.out
    assert ("--box-label" in answer.out) == (name == "csv")
    assert ("--no-one-based" in answer.out) == (name == "voc")
    assert ("--region " in answer.out) == (name in ("folder", "csv"))
    assert "Args:" not in answer.out


def test_the_help_of_csv_explains_templates(regard):
    text = " ".join(regard("data", "import", "csv", "labels.csv", "--help").out.split())
    assert "{name} is what the row has in the column name" in text
    assert "{stem} is the image's file name without folder and suffix" in text


def test_the_help_without_a_format_says_where_its_options_are(regard):
    answer = regard("data", "import", "--help")
    assert "regard data import csv --help" in answer.out
    assert "About " not in answer.out


def described(regard, out):
    answer = regard("data", "describe", out)
    assert answer.code == 0, answer.err
    return answer.out


def test_describe_tells_missing_and_unreadable_files_from_those_that_are_there(regard, photos):
    _, out = imported(regard, photos, "--region", "masks/{stem}.png")
    assert "Regions: image 6, none 4\n" in described(regard, out)
    assert "unreadable" not in described(regard, out)
    (photos / "masks/1.png").unlink()
    (photos / "masks/2.png").write_bytes(b"no image")
    (photos / "9.png").write_bytes(b"no image")
    text = described(regard, out)
    remedy = f"run regard data check {out}"
    assert f"Regions: image 4, none 4, 1 missing, 1 unreadable: {remedy}\n" in text
    assert f"Formats: PNG 9, 1 unreadable: {remedy}\n" in text


def test_a_check_without_problems_says_so_and_no_more(regard, photos):
    _, out = imported(regard, photos, "--region", "masks/{stem}.png")
    parts = ["train", "train", "val", "test", "train"]
    split = pl.Series([part for part in parts for _ in range(2)])
    pl.read_parquet(out).with_columns(split=split).write_parquet(out)
    answer = regard("data", "check", out)
    assert answer.code == 0
    assert answer.out == f"{out}: no problems found\n"


def test_one_error_is_one(regard, photos):
    _, out = imported(regard, photos)
    (photos / "3.png").unlink()
    answer = regard("data", "check", out)
    assert answer.code == 2
    assert "found 1 error and " in answer.err or "found 1 error;" in answer.err
    assert (answer.out + answer.err).count("no such file") == 1
