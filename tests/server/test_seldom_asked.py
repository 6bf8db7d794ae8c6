"""What the server is seldom asked, or finds seldom: folders, runs and images of every kind."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from server_tools import one, refusal, serving

from regard.data.manifest import read_manifest
from regard.runs.files import write_json, write_table, write_yaml
from regard.server import nets, pictures
from regard.server.finding import own_files
from regard.server.kept import Kept
from regard.server.rows import answers_of
from regard.server.safety import Guard

RUN, TEST = "runs/one", 36
MASK = {"manifest": "fixed", "run": "runs/masks", "split": "test"}


def send(client, run):
    file = io.BytesIO()
    pixels = np.random.default_rng(3).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    answer = client.post(
        "/api/upload", params={"run": run}, content=file.getvalue(),
        headers={"Content-Type": "image/png"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_sets_and_masks_are_told_of_an_upload(client):
    sets = send(client, "runs/sets")
    sure = [each["name"] for each in sets["probabilities"] if each["value"] >= 0.5]
    assert sets["predicted"] == sure
    assert send(client, "runs/masks")["predicted"] is None


def test_the_class_of_a_label_needs_a_label(client):
    """Of the sets every eighth image has none."""
    asked = {"run": "runs/sets", "split": "test", "target": "label"}
    status, told = refusal(client.get("/api/map", params=asked | {"index": TEST}))
    assert status < 500
    assert told == (
        "target: expected an image with a label, found one without; name a class, or take predicted"
    )
    assert client.get("/api/map", params=asked | {"index": TEST + 1}).status_code == 200


def test_a_correction_that_is_not_there_is_refused(own):
    asked = {"run": RUN, "split": "test", "manifest": "none"}
    status, told = refusal(own.get("/api/correction", params=asked | {"index": TEST}))
    assert (status, "save a correction first" in told) == (404, True)
    box = {"boxes": [[4.0, 6.0, 20.0, 30.0]]}
    assert own.post("/api/correction", json=asked | {"index": TEST} | box).status_code == 200
    corrected = own.folder / "corrections" / "none" / "none.parquet"
    write_table(corrected, pl.read_parquet(corrected).head(TEST))
    found = one(own, path="correction", **asked | {"index": TEST})
    assert set(found.values()) == {None}


def test_a_mask_of_another_size_than_its_photo_cannot_be_corrected(own):
    manifest = read_manifest(own.folder / "scenes" / "manifest.parquet")
    index = manifest.select("test")["index"][0]
    path = Path(manifest.resolve(manifest.table["mask"][index]))
    with Image.open(path) as mask:
        mask.resize((7, 5), Image.Resampling.NEAREST).save(path)
    sent = {"classes": pictures_of(own, index)}
    status, told = refusal(own.post("/api/correction", json=MASK | {"index": index} | sent))
    assert status < 500
    assert path.name in told


def pictures_of(client, index):
    """Classes as the page sends them: an ID a pixel, of the photo's size."""
    import base64

    manifest = read_manifest(client.folder / "scenes" / "manifest.parquet")
    with Image.open(manifest.resolve(manifest.table["image"][index])) as photo:
        size = photo.size
    file = io.BytesIO()
    Image.new("L", size).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_a_study_is_no_run(whole_folder, tmp_path):
    study = tmp_path / "folder" / "study"
    shutil.copytree(whole_folder / RUN, study / "runs" / "plain-seed0")
    write_yaml(study / "study.yaml", {"arms": {"plain": {}}})
    with serving(tmp_path / "folder", tmp_path / "cache") as client:
        asked = {"run": "study", "split": "test"}
        status, told = refusal(client.get("/api/gallery", params=asked))
    assert (status, "choose one that /api/overview lists" in told) == (404, True)


def test_trials_of_a_tuning_and_runs_that_failed_are_told(whole_folder, tmp_path):
    folder = tmp_path / "folder"
    trial = folder / "tuning" / "trials" / "4"
    shutil.copytree(whole_folder / RUN, trial)
    write_yaml(folder / "tuning" / "tuning.yaml", {"name": "x"})
    write_json(folder / "tuning" / "tuning.json", {})
    broken = folder / "study" / "runs" / "plain-seed0"
    shutil.copytree(whole_folder / RUN, broken)
    log = broken / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]))
    shutil.rmtree(broken / "checkpoints")
    (broken / "checkpoints").mkdir()
    write_yaml(folder / "study" / "study.yaml", {"arms": {"plain": {}}})
    table = pl.DataFrame({"run": ["runs/plain-seed0"], "status": ["failed"]})
    table.write_parquet(folder / "study" / "results.parquet")
    with serving(folder, tmp_path / "cache") as client:
        told = {run["id"]: run for run in one(client, path="overview")["runs"]}
    assert told["tuning/trials/4"]["arm"] == "trial 4"
    assert told["study/runs/plain-seed0"]["state"] == "failed"


def test_files_that_are_links_are_not_listed_nor_are_pipes(own, tmp_path):
    metrics = own.folder / RUN / "metrics"
    assert [path.name for path in own_files(metrics, "*.json")] == ["test.json"]
    (metrics / "val.json").symlink_to(metrics / "test.json")
    os.mkfifo(own.folder / "pipe")
    assert [path.name for path in own_files(metrics, "*.json")] == ["test.json"]
    (tmp_path / "link").symlink_to(metrics)
    assert own_files(tmp_path / "link", "*.json") == []
    assert len(one(own, path="overview")["runs"]) == 4


def test_of_many_values_the_last_asked_for_are_kept():
    kept = Kept(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert kept.get(key, [], lambda key=key: key) == key
    assert kept.made == 4  # a, b, c, and b again


def test_of_many_checkpoints_the_last_ones_asked_for_are_known(own, monkeypatch):
    monkeypatch.setattr(nets, "_TOLD", 1)
    for run in (RUN, "runs/two", RUN):
        assert one(own, path="run", run=run)["layers"]
    assert len(own.service.nets._reach) == 1


def test_a_region_that_is_not_there_is_black():
    with Image.open(io.BytesIO(pictures.filled(None, (3, 5)))) as region:
        assert (region.size, region.getextrema()) == ((5, 3), (0, 0))


def test_there_are_no_answers_of_pixels_nor_of_images_that_were_not_asked():
    masks = pl.DataFrame({"index": [1], "confusion": [[[1]]]})
    assert answers_of(masks, 1) is None
    labels = pl.DataFrame({"index": [1], "probability:a": [0.75], "probability:b": [0.25]})
    assert answers_of(labels, 2) is None
    assert answers_of(labels, 1) == [("a", 0.75), ("b", 0.25)]


def test_a_score_that_no_image_has_is_no_score(own):
    path = own.folder / RUN / "scores" / "test.parquet"
    table = pl.read_parquet(path)
    write_table(path, table.with_columns(energy=pl.lit(None, dtype=pl.Float64)))
    asked = {"run": RUN, "split": "test"}
    assert refusal(own.get("/api/gallery", params=asked | {"sort": "energy"}))[0] == 404
    assert own.get("/api/gallery", params=asked | {"sort": "iou"}).status_code == 200


@pytest.mark.parametrize(("kind", "passed"), [("lifespan", 1), ("websocket", 0)])
def test_nothing_but_requests_is_answered(kind, passed):
    seen = []

    async def app(*given):
        seen.append(given)

    with pytest.raises(StopIteration):  # it waits for nothing
        Guard(app)({"type": kind}, None, None).send(None)
    assert len(seen) == passed
