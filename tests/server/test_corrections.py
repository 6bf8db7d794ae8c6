"""Regions drawn on the page become a manifest that the next training sees."""

import base64
import io
import os
import shlex
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from server_tools import one, refusal, serving

from regard.checks.check import check
from regard.data.manifest import read_manifest
from regard.data.mask_classes import VOID, MaskClasses
from regard.data.sample import of_label
from regard.data.source import mask_classes, samples_of
from regard.data.where import Where
from regard.errors import DataError
from regard.runs.run import load_run
from regard.training.config import changed
from tinyset import run_regard

RUN = "runs/one"
INDEX = 36  # without a region of its own
ASKED = {"manifest": "fixed", "run": RUN, "split": "test", "index": INDEX}
BOX = [4.0, 6.0, 20.0, 30.0]


def save(client, **asked):
    answer = client.post("/api/correction", json=ASKED | asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def drawn(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def seen(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))))


def region_of(manifest, index, run, split="test"):
    """The region (H, W) that a training with that manifest sees."""
    samples = samples_of(manifest, split, run.classes, run.data)
    sample = next(sample for sample in samples if sample.index == index)
    return Where(run.transform).region(sample)


def box_mask(box, side=32):
    left, top, right, bottom = map(int, box)
    mask = torch.zeros(side, side)
    mask[top:bottom, left:right] = 1
    return mask


def test_a_box_is_saved_and_read_back_and_the_next_training_looks_there(own):
    saved = save(own, boxes=[BOX])
    assert saved["corrected"] == 1
    asked = {"path": "correction", **ASKED}
    assert one(own, **asked) == {
        "boxes": [BOX],
        "box_labels": None,
        "mask": None,
        "classes": None,
    }
    assert one(own, path="corrections") == {
        "manifests": [{"name": "fixed", "images": 48, "corrected": 1}],
        "free": "corrected",
    }
    manifest = read_manifest(saved["manifest"])
    assert check(manifest) == []
    run = load_run(own.folder / RUN)
    assert manifest.table["split"].to_list() == run.manifest().table["split"].to_list()
    words = shlex.split(saved["command"])
    assert words[:2] == ["regard", "train"]
    out = own.folder / "again"
    words[words.index("--out") + 1] = str(out)
    done = run_regard(*words[1:], "--set", "training.epochs=1")
    assert done.returncode == 0, done.stderr
    again = load_run(out, "last")
    assert torch.equal(region_of(again.manifest(), INDEX, again), box_mask(BOX))
    assert again.manifest().path.resolve() == manifest.path.resolve()


def test_the_command_names_the_manifest_wherever_it_lies(own_folder, tmp_path):
    """What follows ` #` is a comment to YAML, and a colon makes a mapping."""
    folder = own_folder.rename(tmp_path / "Anna's #1: all #2")
    with serving(folder, tmp_path / "cache") as client:
        saved = save(client, boxes=[BOX])
        split = one(client, path="run", run=RUN)["splits"][0]
    words = shlex.split(saved["command"])
    assert words[:3] == ["regard", "train", str(folder / RUN / "config.yaml")]
    assert words[3] == "--set"
    assert changed({"data": {}}, [words[4]]) == {"data": {"manifest": saved["manifest"]}}
    evaluate = ["regard", "evaluate", str(folder / RUN), "--split", split["name"]]
    assert shlex.split(split["evaluate"]) == evaluate


OF_SETS = {"run": "runs/sets", "split": "test"}
SET = {"manifest": "fixed", **OF_SETS}


def of_two_labels(client):
    """An image with a box of each of its two labels, as the page knows it."""
    for item in one(client, path="gallery", **OF_SETS)["items"]:
        found = one(client, path="image", index=item["index"], **OF_SETS)
        if len(found["region"]["box_labels"]) == 2:
            return found
    raise AssertionError


def test_boxes_of_classes_are_corrected_with_their_classes(own):
    image = of_two_labels(own)
    asked = SET | {"index": image["index"]}
    region = image["region"]
    boxes, labels = [BOX, region["boxes"][1]], region["box_labels"]
    answer = own.post("/api/correction", json=asked | {"boxes": boxes, "box_labels": labels})
    assert answer.status_code == 200, answer.text
    saved = one(own, path="correction", **asked)
    assert (saved["boxes"], saved["box_labels"]) == (boxes, labels)
    manifest = read_manifest(answer.json()["manifest"])
    assert check(manifest) == []
    run = load_run(own.folder / "runs/sets")
    samples = samples_of(manifest, "test", run.classes, run.data)
    sample = next(sample for sample in samples if sample.index == image["index"])
    first = of_label(sample, run.classes.index(labels[0]))
    assert torch.equal(Where(run.transform).region(first), box_mask(BOX))
    own.post("/api/correction", json=asked | {"boxes": [], "box_labels": []})
    saved = one(own, path="correction", **asked)
    assert (saved["boxes"], saved["box_labels"]) == ([], [])
    row = read_manifest(answer.json()["manifest"]).table.row(image["index"], named=True)
    assert (row["boxes"], row["box_labels"]) == (None, None)
    own.post("/api/correction", json=asked)
    row = read_manifest(answer.json()["manifest"]).table.row(image["index"], named=True)
    assert (row["boxes"], row["box_labels"]) == (region["boxes"], labels)


@pytest.mark.parametrize(
    ("run", "labels", "part"),
    [
        ("runs/sets", None, "expected a class for each of 1 boxes, of"),
        ("runs/sets", [], "a class for each"),
        ("runs/sets", ["no such"], "a class for each"),
        ("runs/one", ["red"], "expected none, as the run's boxes are of no classes"),
    ],
)
def test_classes_of_boxes_that_cannot_be_are_refused(own, run, labels, part):
    index = INDEX if run == RUN else of_two_labels(own)["index"]
    asked = ASKED | {"run": run, "index": index, "boxes": [BOX], "box_labels": labels}
    status, message = refusal(own.post("/api/correction", json=asked))
    assert status == 400
    assert part in message
    assert not (own.folder / "corrections/fixed/fixed.parquet").exists()


def test_other_images_keep_their_regions(own):
    run = load_run(own.folder / RUN)
    before = run.manifest()
    manifest = read_manifest(save(own, boxes=[BOX])["manifest"])
    for index in (37, 38, 40):
        assert torch.equal(region_of(manifest, index, run), region_of(before, index, run))


def test_a_mask_is_saved_at_the_photos_size_and_read_back(own):
    small = np.zeros((16, 16), np.uint8)
    small[2:8, 4:12] = 255
    saved = save(own, mask=drawn(small))
    manifest = read_manifest(saved["manifest"])
    assert check(manifest) == []
    found = one(own, path="correction", **ASKED)
    assert found["boxes"] is None
    full = np.kron(small, np.ones((2, 2), np.uint8))
    differs = seen(found["mask"]) != full
    assert differs.mean() < 0.02  # corners of what was enlarged
    run = load_run(own.folder / RUN)
    region = region_of(manifest, INDEX, run)
    assert set(region.unique().tolist()) == {0.0, 1.0}


def test_a_correction_is_changed_and_taken_back(own):
    run = load_run(own.folder / RUN)
    index = 37
    before = region_of(run.manifest(), index, run)
    mask = np.zeros((32, 32), np.uint8)
    mask[:8] = 255
    save(own, index=index, mask=drawn(mask))
    regions = own.folder / "corrections/fixed/regions"
    assert len(list(regions.iterdir())) == 1
    saved = save(own, index=index, boxes=[BOX])
    assert list(regions.iterdir()) == []
    manifest = read_manifest(saved["manifest"])
    assert torch.equal(region_of(manifest, index, run), box_mask(BOX))
    saved = save(own, index=index, boxes=[])
    assert saved["corrected"] == 1
    assert region_of(read_manifest(saved["manifest"]), index, run) is None
    nowhere = {"boxes": [], "box_labels": None, "mask": None, "classes": None}
    assert one(own, path="correction", **ASKED | {"index": index}) == nowhere
    saved = save(own, index=index)
    assert saved["corrected"] == 0
    manifest = read_manifest(saved["manifest"])
    assert torch.equal(region_of(manifest, index, run), before)
    nothing = {"boxes": None, "box_labels": None, "mask": None, "classes": None}
    assert one(own, path="correction", **ASKED | {"index": index}) == nothing


def test_corrections_at_once_lose_nothing(own):
    boxes = {index: [float(index - 36), 2.0, 30.0, 31.0] for index in range(36, 48)}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda item: save(own, index=item[0], boxes=[item[1]]), boxes.items()))
    table = read_manifest(own.folder / "corrections/fixed/fixed.parquet").table
    assert {i: table["boxes"][i].to_list()[0] for i in boxes} == boxes
    assert table["corrected"].sum() == 12


def test_two_servers_of_one_folder_lose_nothing_either(own_folder, tmp_path):
    with (
        serving(own_folder, tmp_path / "a") as first,
        serving(own_folder, tmp_path / "b") as second,
        ThreadPoolExecutor(4) as pool,
    ):
        both = [first, second] * 4
        jobs = [pool.submit(save, c, index=36 + n, boxes=[BOX]) for n, c in enumerate(both)]
        for job in jobs:
            job.result()
    table = read_manifest(own_folder / "corrections/fixed/fixed.parquet").table
    assert table["corrected"].sum() == 8


def test_a_split_that_was_carved_stays_as_it_was(own_folder, tmp_path):
    """A run that took its val from train trains again with that very val."""
    config = (own_folder / RUN / "config.yaml").read_text()
    carved = config.replace("val_from_train: null", "val_from_train: 0.25")
    table = pl.read_parquet(own_folder / "tiny/manifest.parquet")
    table = table.with_columns(pl.col("split").replace({"val": "train"}))
    table.write_parquet(own_folder / "tiny/manifest.parquet")
    (own_folder / RUN / "config.yaml").write_text(carved)
    splits = load_run(own_folder / RUN).manifest().table["split"].to_list()
    assert "val" in splits
    with serving(own_folder, tmp_path / "cache") as client:
        saved = save(client, boxes=[BOX])
    assert read_manifest(saved["manifest"]).table["split"].to_list() == splits
    assert "data.val_from_train=null" in saved["command"]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ({"manifest": "../evil"}, 400, "manifest"),
        ({"manifest": ".hidden"}, 400, "manifest"),
        ({"manifest": "a" * 65}, 400, "manifest"),
        ({"boxes": [[1, 2, 3]]}, 400, "boxes"),
        ({"boxes": [[40, 40, 50, 50]]}, 400, "within 32 x 32"),
        ({"boxes": [[9, 9, 3, 3]]}, 400, "within 32 x 32"),
        ({"boxes": [["NaN", 1, 9, 9]]}, 400, "boxes"),
        ({"mask": "data:text/html;base64,AAAA"}, 400, "data URL"),
        ({"mask": "data:image/png;base64,*"}, 400, "mask"),
        ({"mask": "data:image/png;base64,AAAA"}, 400, "image"),
        ({"mask": drawn(np.zeros((32, 64), np.uint8))}, 400, "64 x 32 for a photo"),
        ({"index": 0}, 404, "image"),
        ({"run": "runs/none"}, 404, "run"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
def test_a_correction_that_cannot_be_is_refused_and_nothing_is_written(own, asked, status, part):
    answer = refusal(own.post("/api/correction", json=ASKED | asked))
    assert answer[0] == status
    assert part in answer[1]
    assert list((own.folder).glob("corrections/*/*.parquet")) == []


def test_corrections_of_another_manifest_are_not_mixed_in(own):
    save(own, boxes=[BOX])
    answer = own.post(
        "/api/correction",
        json=ASKED | {"run": "runs/sets", "boxes": [BOX], "box_labels": ["berry"]},
    )
    status, message = refusal(answer)
    assert (status, "another one" in message) == (400, True)


def test_a_run_is_offered_the_corrections_of_its_own_images_alone(own):
    def offered(**asked):
        told = one(own, path="corrections", **asked)
        return [line["name"] for line in told["manifests"]], told["free"]

    save(own, manifest="corrected", boxes=[BOX])
    save(own, manifest="tags", **OF_SETS, index=36, boxes=[], box_labels=[])
    save(own, **MASK, classes=drawn(np.zeros((40, 60), np.uint8)))
    assert offered() == (["corrected", "masks", "tags"], "corrected-2")
    for run, names in {RUN: ["corrected"], "runs/two": ["corrected"], "runs/sets": ["tags"],
                       "runs/masks": ["masks"]}.items():  # fmt: skip
        assert offered(run=run) == (names, "corrected-2")
    # Of the same row of other images nothing is told.
    nothing = {"boxes": None, "box_labels": None, "mask": None, "classes": None}
    asked = {"manifest": "corrected", **OF_SETS, "index": INDEX}
    assert one(own, path="correction", **asked) == nothing


def test_a_manifest_of_other_images_in_the_same_places_is_not_offered(own):
    """One row differs, and not the one that is asked for."""
    path = own.folder / "corrections/fixed/fixed.parquet"
    save(own, boxes=[BOX])
    table = pl.read_parquet(path)
    other = pl.col("image").replace({table["image"][0]: table["image"][1]})
    table.with_columns(other).write_parquet(path)
    assert one(own, path="corrections", run=RUN)["manifests"] == []
    assert "another one" in refusal(own.post("/api/correction", json=ASKED | {"boxes": []}))[1]


def test_nothing_is_taken_back_from_a_manifest_that_is_not_there(own):
    status, message = refusal(own.post("/api/correction", json=ASKED))
    assert (status, "save a correction first" in message) == (404, True)
    assert not (own.folder / "corrections").exists()


def test_a_body_that_is_no_json_is_refused(own):
    for data, kind, status in (
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
    ):
        answer = own.post("/api/correction", content=data, headers={"Content-Type": kind})
        assert refusal(answer)[0] == status


MASK = {"manifest": "masks", "run": "runs/masks", "split": "test", "index": 3}


def own_mask(client, **asked):
    answer = client.get("/api/mask", params=MASK | asked)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_segmenters_mask_is_repainted_and_read_by_the_next_training(own):
    run = load_run(own.folder / "runs/masks")
    first = run.manifest()
    file = first.resolve(first.table["mask"][3])
    before = np.asarray(Image.open(file))
    classes = mask_classes(first)
    shown = own_mask(own)
    assert (shown == classes.read(file).numpy()).all()
    painted = shown.copy()
    painted[3:9, 20:31] = 1
    painted[30:, 50:] = VOID
    saved = save(own, **MASK, classes=drawn(painted))
    assert saved["corrected"] == 1
    manifest = read_manifest(saved["manifest"])
    assert check(manifest) == []
    new = manifest.resolve(manifest.table["mask"][3])
    assert (mask_classes(manifest).read(new).numpy() == painted).all()
    # Ids are those of before wherever the class is: 2 and 4 are both boxes.
    after, same = np.asarray(Image.open(new)), painted == shown
    assert (after[same] == before[same]).all()
    assert own_mask(own).tolist() == shown.tolist()
    found = one(own, path="correction", **MASK)
    assert (seen(found["classes"]) == painted).all()
    others = [i for i in range(len(first)) if i != 3]
    assert [manifest.resolve(p) for p in manifest.table["mask"][others]]
    for index in others:
        pair = [one_.resolve(one_.table["mask"][index]) for one_ in (manifest, first)]
        assert os.path.samefile(*pair)
    words = shlex.split(saved["command"])
    words[words.index("--out") + 1] = str(own.folder / "again")
    done = run_regard(*words[1:], "--set", "training.epochs=1")
    assert done.returncode == 0, done.stderr


def test_a_repainted_mask_is_painted_again_and_taken_back(own):
    run = load_run(own.folder / "runs/masks").manifest()
    masks = own.folder / "corrections/masks/masks"
    for value in (0, 1):
        painted = np.full((40, 60), value, np.uint8)
        manifest = read_manifest(save(own, **MASK, classes=drawn(painted))["manifest"])
        assert len(list(masks.iterdir())) == 1
    saved = save(own, **MASK)
    assert saved["corrected"] == 0
    assert list(masks.iterdir()) == []
    manifest = read_manifest(saved["manifest"])
    back, own_file = (one_.resolve(one_.table["mask"][3]) for one_ in (manifest, run))
    assert os.path.samefile(back, own_file)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"classes": drawn(np.full((40, 60), 2, np.uint8))}, "number 2 of 2 classes"),
        ({"classes": drawn(np.zeros((60, 40), np.uint8))}, "40 x 60 for a photo of 60 x 40"),
        ({"classes": drawn(np.eye(3, dtype=np.uint8))}, "3 x 3"),
        ({"classes": drawn(np.ones((40, 60, 1), np.uint8) * np.array([1, 0, 0], np.uint8))},
         "colours"),
        ({"classes": "data:text/plain;base64,AAAA"}, "data URL"),
        ({"boxes": []}, "expected classes for a segmenter"),
        ({**ASKED, "classes": drawn(np.zeros((32, 32), np.uint8))}, "expected boxes or a mask"),
    ],
)  # fmt: skip
def test_a_mask_that_cannot_be_is_refused_and_nothing_is_written(own, asked, part):
    status, message = refusal(own.post("/api/correction", json=MASK | asked))
    assert status == 400
    assert part in message
    assert list((own.folder).glob("corrections/*/*.parquet")) == []


def test_a_mask_is_of_a_segmenter_alone(own):
    asked = {"run": RUN, "split": "test", "index": INDEX}
    status, message = refusal(own.get("/api/mask", params=asked))
    assert (status, "segmenter" in message) == (400, True)


def test_void_is_refused_where_no_id_says_it():
    every = MaskClasses.of([f"class {k % 3}" for k in range(256)])
    ids = torch.arange(6, dtype=torch.uint8).view(2, 3)
    classes = torch.tensor([[0, 2, 2], [1, 1, 2]], dtype=torch.uint8)
    assert every.ids_of(classes, ids).tolist() == [[0, 2, 2], [1, 4, 5]]
    with pytest.raises(DataError, match="no id"):
        every.ids_of(torch.full((2, 3), VOID, dtype=torch.uint8), ids)
