"""A finished run: loaded, predicting, evaluated, explained."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from regard.data.loader import in_order
from regard.data.samples import Samples
from regard.data.source import samples_of
from regard.data.transforms import Transform
from regard.errors import ConfigError, DataError, RunError
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.metrics import evaluate
from regard.evaluation.settings import Gaze
from regard.evaluation.table import PREFIX
from regard.runs.evaluate import evaluate_run, has_regions, image_paths
from regard.runs.explain import explain_images, images_of
from regard.runs.files import read_json
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.scores import SCORES, score, tally
from regard.training.train import train
from tinyset import config_of, same_tensors, write_set

CHANGES = ("training.epochs=4", "training.optimiser.lr=0.02")


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(config_of(*CHANGES), folder, folder=tiny)
    return folder


@pytest.fixture
def run(trained):
    """The run, loaded from a copy that a test may change."""
    copy = trained.with_name("copy")
    yield load_run(shutil.copytree(trained, copy))
    shutil.rmtree(copy)


def test_a_run_is_loaded_with_its_parts(trained, tiny):
    run = load_run(trained)
    best = read_json(trained / "checkpoints" / "best.json")["checkpoint"]
    assert (run.checkpoint, run.classes, run.folder) == (best, ("fern", "moss"), trained)
    assert run.config["training"]["epochs"] == 4
    assert run.transform == Transform((32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert run.manifest().path.samefile(tiny / "manifest.parquet")
    assert not any(module.training for module in run.net.modules())
    weights = load_file(trained / "checkpoints" / best / "model.safetensors")
    assert same_tensors(dict(run.net.state_dict()), weights)


def test_last_and_numbered_checkpoints_can_be_asked_for(trained):
    assert load_run(trained, "last").checkpoint == "step-12"
    assert load_run(trained, "step-9").checkpoint == "step-9"
    with pytest.raises(RunError, match="no such checkpoint"):
        load_run(trained, "step-1")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"classes": None}, "NoneType"),
        ({"data": {"manifest": "m", "sise": 3}}, "Extra inputs"),
        ({"model": {}}, "Field required"),
    ],
)
def test_a_config_that_was_changed_by_hand_is_refused(run, change, found):
    path = run.folder / "config.yaml"
    path.write_text(yaml.safe_dump(run.config | change))
    with pytest.raises(RunError, match=found):
        load_run(run.folder)


def test_weights_of_another_net_are_refused(run):
    path = run.folder / "config.yaml"
    run.config["model"]["options"]["width"] = 8
    path.write_text(yaml.safe_dump(run.config))
    with pytest.raises(RunError, match="expected the weights of regard:cnn2"):
        load_run(run.folder)


@pytest.mark.usefixtures("unchecked")
def test_batches_and_arrays_are_predicted_and_floats_are_refused(run):
    manifest = run.manifest()
    paths = [manifest.resolve(name) for name in manifest.select("test")["image"]][:3]
    arrays = np.stack([np.array(Image.open(path).convert("RGB")) for path in paths])
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    found = run.predict(paths)
    for other in (tensors, arrays, [*tensors], [*arrays]):
        torch.testing.assert_close(run.predict(other), found, rtol=0, atol=1e-5)
    for one in (tensors[0], arrays[0]):
        torch.testing.assert_close(run.predict(one), found[:1], rtol=0, atol=1e-5)
    torch.testing.assert_close(run.transform([*arrays]), run.transform(paths))
    wrong = (tensors / 255, tensors[0] / 255, arrays / 255, tensors[0, 0], arrays[..., 0],
             [tensors[0] / 255], tensors.permute(0, 2, 3, 1))  # fmt: skip
    for other in wrong:
        with pytest.raises(
            DataError, match=r"expected uint8 pixels .*floats from 0 to 1"
        ) as caught:
            run.predict(other)
        assert "\n" not in str(caught.value)


def test_paths_pictures_and_tensors_are_predicted_alike_and_as_evaluated(run):
    paths = images_of(run, "test")
    pictures = [Image.open(path) for path in paths]
    tensors = [torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures]
    found = run.predict(paths)
    assert found.shape == (12, 2)
    torch.testing.assert_close(found.sum(1), torch.ones(12))
    for other in (pictures, tensors, tuple(tensors)):
        torch.testing.assert_close(run.predict(other), found, rtol=0, atol=1e-5)
    singles = torch.cat([run.predict(path) for path in paths])
    torch.testing.assert_close(singles, found, rtol=0, atol=1e-5)
    torch.testing.assert_close(run.predict(paths, batch_size=5), found, rtol=0, atol=1e-5)
    evaluate_run(run, "test")
    table = pl.read_parquet(run.files.predictions("test"))
    columns = [PREFIX + name for name in run.classes]
    written = torch.from_numpy(table.select(columns).to_numpy())
    torch.testing.assert_close(written.float(), found, rtol=0, atol=1e-5)
    assert run.predict([]).shape == (0, 2)


def test_predicting_takes_the_model_s_views_alone(run):
    paths = images_of(run, "test")[:2]
    torch.testing.assert_close(run.predict({"image": paths}), run.predict(paths))
    with pytest.raises(DataError, match=r"each view: image, found 2 of image, 2 of segmented"):
        run.predict({"image": paths, "segmented": paths})


def test_evaluation_writes_what_a_direct_computation_gives(run):
    values = evaluate_run(run, "val", gaze=[Gaze(), Gaze(method="cam", scores=("iou",))])
    table = pl.read_parquet(run.files.predictions("val"))
    rows = run.manifest().select("val")
    assert table["index"].to_list() == rows["index"].to_list() == list(range(24, 36))
    assert table["image"].to_list() == rows["image"].to_list()
    assert table["label"].to_list() == rows["label"].to_list()
    images = run.transform([run.manifest().resolve(path) for path in rows["image"]])
    with torch.no_grad():
        expected = run.net(images).double().softmax(1)
    found = table.select(PREFIX + "fern", PREFIX + "moss").to_numpy()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert read_json(run.files.metrics("val")) == json.loads(json.dumps(values))
    assert values["metrics"] == evaluate(table)
    assert values["metrics"]["accuracy"]["value"] == table["correct"].mean()
    assert (values["split"], values["images"], values["checkpoint"]) == ("val", 12, run.checkpoint)


def test_scores_are_those_of_direct_calls(run):
    gaze = [Gaze(), Gaze(method="cam", scores=("iou",))]
    values = evaluate_run(run, "val", gaze=gaze)
    table = pl.read_parquet(run.files.scores("val"))
    assert table.height == 24
    assert table["method"].to_list() == ["gradcam"] * 12 + ["cam"] * 12
    samples = samples_of(run.manifest(), "val", run.classes, run.data)
    data = Samples(samples, run.transform)
    batch = data.batch(in_order(12))
    images = run.transform.normalise(batch.images["image"])
    for method, names in (("gradcam", gaze[0].scores), ("cam", ("iou",))):
        maps = explain(run.net, images, batch.labels, method)
        own = table.filter(pl.col("method") == method)
        for name in names:
            expected = score(maps, batch.regions, name).numpy()
            np.testing.assert_allclose(own[name].to_numpy(), expected, rtol=1e-4, atol=1e-6)
            summary = values["gaze"][method]["scores"][name]
            within = SCORES[name].within
            expected = bootstrap_interval(own[name].to_numpy(), within=within).as_dict()
            assert summary == expected
            assert within[0] <= summary["low"] <= summary["high"] <= within[1]
    assert table.filter(pl.col("method") == "cam")["energy"].null_count() == 12
    own = table.filter(pl.col("method") == "gradcam")
    with_region = [i for i in range(12) if i % 3]
    assert own["area"].is_not_nan().arg_true().to_list() == with_region
    areas = batch.regions.of(batch.labels).area[with_region]
    gaze_values = values["gaze"]["gradcam"]
    assert (gaze_values["images"], gaze_values["with_region"]) == (12, 8)
    assert gaze_values["mean_area"] == pytest.approx(float(areas.mean()), rel=1e-5)
    assert gaze_values["dead_maps"] == own["dead"].mean()


def test_a_score_that_makes_maps_again_makes_them_in_the_same_way(run):
    how = {"method": "saliency", "contrast": True}
    evaluate_run(run, "val", gaze=[Gaze(**how, scores=("sanity",))])
    own = pl.read_parquet(run.files.scores("val"))["sanity"].to_numpy()
    samples = samples_of(run.manifest(), "val", run.classes, run.data)
    data = Samples(samples, run.transform)
    batch = data.batch(in_order(12))
    images = run.transform.normalise(batch.images["image"])
    maps = explain(run.net, images, batch.labels, **how)
    asked = {"net": run.net, "images": images, "targets": batch.labels}
    expected = score(maps, name="sanity", **asked, **how).numpy()
    np.testing.assert_allclose(own, expected, atol=1e-3)
    by_default = score(maps, name="sanity", **asked).numpy()
    assert np.nanmax(np.abs(own - by_default)) > 0.05


def test_pooled_scores_are_kept_as_counts_and_told_of_all_images(run):
    names = ("energy", "max_box_acc", "pxap")
    values = evaluate_run(run, "val", gaze=[Gaze(scores=names)])
    table = pl.read_parquet(run.files.scores("val"))
    samples = samples_of(run.manifest(), "val", run.classes, run.data)
    data = Samples(samples, run.transform)
    batch = data.batch(in_order(12))
    maps = explain(run.net, run.transform.normalise(batch.images["image"]), batch.labels, "gradcam")
    for name in names[1:]:
        rows = tally(maps, batch.regions, name)
        undefined = rows.flatten(1).isnan().any(1)
        assert 0 < undefined.sum() < 12
        assert table[name].is_null().to_list() == undefined.tolist()
        kept = np.array(table[name].drop_nulls().to_list())
        assert kept.shape == (int((~undefined).sum()), *rows.shape[1:])
        summary = values["gaze"]["gradcam"]["scores"][name]
        assert summary["value"] == pytest.approx(SCORES[name].together(rows), abs=0.02)
        assert summary["n"] == 12 - undefined.sum()


def test_every_reading_of_a_split_is_noted(run):
    for split in ("test", "val", "test"):
        evaluate_run(run, split)
    lines = [json.loads(line) for line in run.files.readings.read_text().splitlines()]
    assert [line["split"] for line in lines] == ["test", "val", "test"]
    assert {line["checkpoint"] for line in lines} == {run.checkpoint}


def test_gaze_that_was_scored_stays_while_the_checkpoint_does(run):
    scored = evaluate_run(run, "test", gaze=[Gaze()])["gaze"]
    assert evaluate_run(run, "test")["gaze"] == scored
    assert read_json(run.files.metrics("test"))["gaze"] == scored
    assert "gaze" not in evaluate_run(load_run(run.folder, "step-9"), "test")


def test_scores_are_added_to_those_of_the_checkpoint(run):
    first = evaluate_run(run, "test", gaze=[Gaze(scores=("energy", "iou"))])["gaze"]["gradcam"]
    before = pl.read_parquet(run.files.scores("test"))
    more = [Gaze(scores=("pxap", "iou")), Gaze(method="layercam", scores=("energy",))]
    found = evaluate_run(run, "test", gaze=more)["gaze"]
    assert list(found) == ["gradcam", "layercam"]
    assert set(found["gradcam"]["scores"]) == {"energy", "iou", "pxap"}
    assert set(found["layercam"]["scores"]) == {"energy"}
    assert found["gradcam"]["scores"]["energy"] == first["scores"]["energy"]
    table = pl.read_parquet(run.files.scores("test"))
    own = table.filter(pl.col("method") == "gradcam")
    for name in ("index", "energy", "iou", "area", "dead"):
        assert own[name].equals(before[name], null_equal=True)
    assert table["method"].value_counts()["count"].to_list() == [len(before)] * 2
    # Of another checkpoint nothing stays.
    other = load_run(run.folder, "step-9")
    assert list(evaluate_run(other, "test", gaze=more[1:])["gaze"]) == ["layercam"]


def test_progress_counts_every_image_of_every_pass(run):
    done = []
    evaluate_run(run, "val", gaze=[Gaze(), Gaze(method="cam")], progress=done.append)
    assert sum(done) == 24
    assert len(image_paths(run, "val")) == 12


@pytest.mark.parametrize("damage", ["unreadable", "missing"])
def test_a_sample_that_cannot_be_read_stops_and_overwrites_nothing(tmp_path, damage):
    write_set(tmp_path)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    evaluate_run(run, "test", gaze=[Gaze()])
    kinds = ("predictions", "scores", "metrics")
    files = lambda: [p for kind in kinds for p in (run.folder / kind).glob("[!.]*")]  # noqa: E731
    before = {path: path.read_bytes() for path in files()}
    assert len(before) == 4
    path = tmp_path / "images" / "test-07.png"
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"test-07\.png"):
        evaluate_run(run, "test", gaze=[Gaze()])
    assert {path: path.read_bytes() for path in files()} == before


def test_an_empty_split_is_refused(run):
    with pytest.raises(DataError, match=r"expected samples in split 'tst'.*did you mean test"):
        evaluate_run(run, "tst")
    assert not (run.folder / "predictions").exists()


def test_without_regions_there_is_no_gaze(tmp_path):
    write_set(tmp_path, counts={"train": 6, "val": 3, "test": 3}, regions=False)
    train(config_of("training.epochs=1"), tmp_path / "run", folder=tmp_path)
    run = load_run(tmp_path / "run")
    assert not has_regions(run, "test")
    assert "gaze" not in evaluate_run(run, "test", gaze=[Gaze()])
    assert not run.files.scores("test").exists()


def test_explanations_are_overlays_maps_and_rows(run, tmp_path):
    paths, out = images_of(run, "test")[:3], tmp_path / "out"
    done = []
    rows = explain_images(run, paths, ["gradcam", "cam"], out, progress=done.append)
    assert sum(done) == 3
    assert rows == read_json(out / "explanations.json")
    assert [(row["image"], row["method"]) for row in rows] == [
        (path, method) for path in paths for method in ("gradcam", "cam")
    ]
    maps, found = load_file(out / "maps.safetensors"), run.predict(paths)
    batch = run.transform(paths)
    for number, row in enumerate(rows):
        probabilities = found[number // 2]
        best = int(probabilities.argmax())
        assert row["predicted"] == row["target"] == run.classes[best]
        assert row["probability"] == pytest.approx(float(probabilities[best]), abs=1e-5)
        own = explain(run.net, batch[[number // 2]], [best], row["method"], size=(32, 32))[0]
        torch.testing.assert_close(maps[row["map"]], own, rtol=1e-4, atol=1e-6)
        with Image.open(out / row["overlay"]) as picture:
            # Photo and overlay of 32 x 32, enlarged, side by side above four lines.
            assert picture.size == (776, 495)
    assert len(list(out.rglob("*.jpg"))) == 6


def test_a_class_can_be_explained_that_is_not_predicted(run, tmp_path):
    path = images_of(run, "test")[:1]
    (row,) = explain_images(run, path, ["gradcam"], tmp_path, target="moss")
    assert row["target"] == "moss"
    moss = float(run.predict(path)[0, 1])
    assert row["target_probability"] == pytest.approx(moss, abs=1e-5)


@pytest.mark.parametrize(
    ("methods", "target", "text"),
    [(["gradcam", "gradcan"], None, "gradcam"), (["gradcam"], "mos", "did you mean moss")],
)
def test_unknown_names_are_refused_before_anything_is_written(run, tmp_path, methods, target, text):
    with pytest.raises(ConfigError, match=text):
        explain_images(run, images_of(run, "test")[:1], methods, tmp_path / "o", target=target)
    assert not (tmp_path / "o").exists()


def test_the_region_of_an_image_of_the_manifest_is_outlined(run, tmp_path):
    paths = images_of(run, "test")[:2]  # every third image, from the first, has no region
    rows = explain_images(run, paths, ["gradcam"], tmp_path)
    pink = []
    for row in rows:
        pixels = np.asarray(Image.open(tmp_path / row["overlay"]).convert("RGB")).astype(int)
        overlay = pixels[:384, 392:]
        pink.append((np.abs(overlay - [0xFF, 0x4F, 0x8B]).max(2) < 30).sum())
    assert pink[0] == 0
    assert pink[1] > 200


def test_layer_and_contrast_of_the_runs_gaze_are_those_of_its_pictures(run, tmp_path):
    run.config["gaze"] |= {"contrast": True}
    (row,) = explain_images(run, images_of(run, "test")[:1], ["gradcam"], tmp_path)
    assert row["contrast"] is True
    batch = run.transform(row["image"])
    target = [run.classes.index(row["target"])]
    own = explain(run.net, batch, target, "gradcam", size=(32, 32), contrast=True)[0]
    found = load_file(tmp_path / "maps.safetensors")[row["map"]]
    torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-6)
    plain = explain(run.net, batch, target, "gradcam", size=(32, 32))[0]
    assert not torch.allclose(found, plain)


def test_without_a_manifest_images_are_still_explained(run, tmp_path):
    path = images_of(run, "test")[1]
    run.config["data"]["manifest"] = "gone.parquet"
    (row,) = explain_images(run, [path], ["gradcam"], tmp_path)
    assert (tmp_path / row["overlay"]).is_file()
