"""Mean maps of a run, and methods that begin from images of train."""

import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from regard.errors import ConfigError, DataError
from regard.evaluation.settings import Gaze
from regard.runs.averages import average_maps, chosen_samples
from regard.runs.background import background_of, options_of
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images, images_of
from regard.runs.files import read_json
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.saliency.resizing import resize
from regard.training.train import train
from tinyset import config_of


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(config_of("training.epochs=2"), folder, folder=tiny)
    return load_run(folder)


def test_the_background_is_a_fixed_sample_of_train_as_the_net_takes_it(run):
    found = background_of(run, 5)
    assert found.shape == (5, 3, 32, 32)
    assert torch.equal(found, background_of(run, 5))
    assert torch.equal(found, background_of(run, 7)[:5])
    train_images = run.transform(images_of(run, "train"))
    same = [[torch.equal(a, b) for b in train_images] for a in found]
    assert [sum(row) for row in same] == [1] * 5
    assert [row.index(True) for row in same] != list(range(5))
    assert len(background_of(run, 1000)) == 24


def test_only_a_method_that_begins_from_images_gets_them(run):
    assert options_of(run, "gradcam") == {}
    assert options_of(run, "expected_gradients", 3)["background"].shape == (3, 3, 32, 32)
    with pytest.raises(ConfigError, match="background: expected 1 image or more, found 0"):
        options_of(run, "expected_gradients", 0)


def test_expected_gradients_of_single_images_are_those_of_a_direct_call(run, tmp_path):
    (path, *_) = images_of(run, "test")
    (row,) = explain_images(run, [path], ["expected_gradients"], tmp_path, background=4)
    target = [run.classes.index(row["predicted"])]
    options = {"background": background_of(run, 4)}
    own = explain(run.net, run.transform(path), target, "expected_gradients", **options)[0]
    torch.testing.assert_close(load_file(tmp_path / "maps.safetensors")[row["map"]], own)


def test_expected_gradients_are_scored(run):
    gaze = Gaze(scores=("energy",)).model_copy(update={"method": "expected_gradients"})
    few = evaluate_run(run, "val", gaze=[gaze], background=2)["gaze"]["expected_gradients"]
    more = evaluate_run(run, "val", gaze=[gaze], background=8)["gaze"]["expected_gradients"]
    assert few["with_region"] == more["with_region"] == 8
    assert 0 < few["scores"]["energy"]["value"] < 1
    assert few["scores"]["energy"]["value"] != more["scores"]["energy"]["value"]


def test_a_training_cannot_measure_a_method_that_begins_from_images():
    with pytest.raises(ConfigError, match="begins from other images"):
        config_of("gaze.method=expected_gradients")


@pytest.mark.parametrize("method", ["gradcam", "expected_gradients"])
def test_mean_maps_are_those_of_direct_calls(run, tmp_path, method):
    done = []
    found = average_maps(run, "test", method, tmp_path, background=3, progress=done.append)
    assert sum(done) == 12
    assert found == read_json(tmp_path / "averages.json")
    samples = chosen_samples(run, "test")
    images = run.transform([sample.views[0][1] for sample in samples])
    labels = torch.tensor([sample.label for sample in samples])
    options = options_of(run, method, 3)
    maps = resize(explain(run.net, images, labels, method, **options), (32, 32))
    maps = maps / maps.abs().sum((1, 2), keepdim=True).clamp_min(1e-20)
    alive = maps.abs().amax((1, 2)) > 0
    written = load_file(tmp_path / "maps.safetensors")
    groups = [alive, alive & (labels == 0), alive & (labels == 1)]
    for name, expected in (("absolute", maps.abs()), ("mean", maps)):
        own = torch.stack([expected[group].mean(0) for group in groups]).nan_to_num()
        torch.testing.assert_close(written[name], own, rtol=1e-4, atol=1e-7)
    assert found["signed"] is (method == "expected_gradients")
    assert found["background"] == (3 if found["signed"] else None)
    assert [row["class"] for row in found["rows"]] == [None, "fern", "moss"]
    assert [row["images"] for row in found["rows"]] == [12, 8, 4]
    dead = [int((~part).sum()) for part in (alive, alive[labels == 0], alive[labels == 1])]
    assert [row["dead"] for row in found["rows"]] == dead
    table = pl.read_parquet(tmp_path / "averages.parquet")
    assert table["class"].to_list() == [None, "fern", "moss"]
    with_region = table["with_region"].to_list()
    assert with_region[0] == 8 == with_region[1] + with_region[2]
    for name in ("mean.png", "classes.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 300


def test_a_limit_draws_the_same_images_at_random(run, tmp_path):
    few = [sample.index for sample in chosen_samples(run, "test", 4)]
    assert few == [sample.index for sample in chosen_samples(run, "test", 4)]
    every = [sample.index for sample in chosen_samples(run, "test")]
    assert few != every[:4]
    assert set(few) < set(every)
    found = average_maps(run, "test", "gradcam", tmp_path, limit=4)
    assert found["rows"][0]["images"] == 4
    with pytest.raises(ConfigError, match="limit: expected 1 image or more"):
        chosen_samples(run, "test", 0)


def test_the_share_inside_is_the_energy_that_is_scored(run, tmp_path):
    scored = evaluate_run(run, "test", gaze=[Gaze(scores=("energy",))])["gaze"]["gradcam"]
    found = average_maps(run, "test", "gradcam", tmp_path)["rows"][0]
    assert found["inside"] == pytest.approx(scored["scores"]["energy"]["value"], abs=1e-6)
    assert found["area"] == pytest.approx(scored["mean_area"], abs=1e-6)
    assert found["with_region"] == scored["with_region"]


def test_an_empty_split_is_refused_and_writes_nothing(run, tmp_path):
    with pytest.raises(DataError):
        average_maps(run, "holdout", "gradcam", tmp_path / "out")
    assert not (tmp_path / "out").exists()
