"""Training nets of two branches on pairs of a picture and its subject on black."""

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from regard.data.sample import Draw, Sample
from regard.data.samples import Samples
from regard.data.settings import Data
from regard.data.source import samples_of
from regard.errors import ConfigError, DataError
from regard.evaluation.predict import model_input
from regard.evaluation.settings import Gaze
from regard.evaluation.table import PREFIX
from regard.runs.evaluate import evaluate_run
from regard.runs.explain import explain_images
from regard.runs.folder import RunFolder
from regard.runs.log import Log, read_log
from regard.runs.reliance import reliance_table
from regard.runs.run import load_run
from regard.saliency.explain import explain
from regard.scores.background import partners
from regard.studies.arm import evaluated, gaze_of
from regard.training.loop import Trainer
from regard.training.prepare import prepare
from regard.training.train import train
from regard.training.watching import Silent
from tinyset import TWIN, config_of, write_pairs


@pytest.fixture
def pairs(tmp_path):
    """The tiny set, with the spot alone beside each picture."""
    write_pairs(tmp_path)
    return tmp_path


def config(*changes):
    return config_of(*changes, base=TWIN)


def test_a_twin_is_trained_evaluated_and_scored_through_its_rollout(pairs):
    terms = "guidance.terms=[{term: iou, method: rollout, weight: 1.0}]"
    weights = "model.patch_weights={kind: power}"
    train(config(terms, weights), pairs / "run", folder=pairs)
    run = load_run(pairs / "run")
    assert Data.model_validate(run.config["data"]).views == ("image", "segmented")
    last = [*read_log(run.files.log, "epoch")][-1]
    assert 0 < last["train"]["loss.iou"] < 1
    assert last["train"]["loss"] == pytest.approx(
        last["train"]["cross_entropy"] + last["train"]["loss.iou"], rel=1e-5
    )
    values = evaluate_run(run, "test", gaze=(Gaze(method="rollout"),))
    assert values["gaze"]["rollout"]["scores"]["iou"]["n"] > 0
    assert run.net.patch_weighting is not None


@pytest.mark.parametrize("micro", [12, 5])
def test_the_loss_of_an_image_weighs_what_its_patches_do(pairs, micro):
    changes = ("model.patch_weights={kind: linear, threshold: 100}", "training.batch_size=12")
    prepared = prepare(config(*changes), pairs)
    log = Log(pairs / "log.jsonl")
    trainer = Trainer(prepared, RunFolder(pairs), log, Silent())
    batch = next(iter(prepared.train.batches(trainer.draws(0))))
    parameters = list(prepared.net.parameters())
    trainer.stepper.gradients(trainer.stepper.work(batch, 0), micro)
    found = torch.cat([p.grad.flatten() for p in parameters])
    colours = batch.images["segmented"].permute(0, 2, 3, 1).double().numpy()
    grey = colours @ np.array([0.299, 0.587, 0.114])
    shares = torch.from_numpy((grey > 100).mean((1, 2))).float()
    assert 0 < float(shares.min()) < float(shares.max())
    views = {name: prepared.transform.normalise(v) for name, v in batch.images.items()}
    losses = cross_entropy(prepared.net(views), batch.labels, reduction="none")
    expected = torch.autograd.grad(((0.1 + shares) * losses).mean(), parameters)
    expected = torch.cat([g.flatten() for g in expected])
    assert float((found - expected).norm()) < 1e-5 * float(expected.norm())
    prepared.close()
    log.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("data.views=[image]",), "found image and image, segmented; add segmented to data.views"),
        (
            ("model.inputs={first: image, second: image}",),
            "found image, segmented and image; name each view of data.views in model.inputs",
        ),
        (
            ("model.patch_weights={view: plant}",),
            "found image, segmented and image, segmented, plant; add plant to data.views",
        ),
        (
            ("model.patch_weights={}", "data.mean=[0, 0, 0]"),
            "expected the net's own beside model.patch_weights",
        ),
    ],
)
def test_views_that_do_not_fit_are_refused_in_one_line(pairs, changes, told):
    with pytest.raises(ConfigError) as caught:
        train(config(*changes), pairs / "run", folder=pairs)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (pairs / "run").exists()


def test_one_view_can_go_into_both_branches(pairs):
    changes = ("data.views=[segmented]", "model.inputs={first: segmented, second: segmented}")
    train(config(*changes, "training.epochs=1"), pairs / "run", folder=pairs)
    assert load_run(pairs / "run").net.views == ("segmented", "segmented")


@pytest.fixture
def trained(pairs):
    changes = ("training.epochs=1", "gaze.backgrounds=true")
    train(config(*changes), pairs / "run", folder=pairs)
    return load_run(pairs / "run")


def paths_of(run, split="test"):
    rows = run.manifest().select(split)
    return {v: [run.manifest().resolve(p) for p in rows[v]] for v in ("image", "segmented")}


def test_a_run_of_two_views_predicts_what_its_evaluation_wrote(trained):
    evaluate_run(trained, "test")
    table = pl.read_parquet(trained.files.predictions("test"))
    written = table.select([PREFIX + name for name in trained.classes]).to_torch()
    paths = paths_of(trained)
    found = trained.predict(paths, batch_size=5)
    torch.testing.assert_close(found, written.float(), rtol=0, atol=1e-5)
    swapped = trained.predict({"image": paths["segmented"], "segmented": paths["image"]})
    assert float((swapped - found).abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image": 2}, "found 2 of image"),
        ({"image": 2, "segmented": 1}, "found 2 of image, 1 of segmented"),
        ({"image": 2, "segmented": 2, "stain": 2}, "2 of stain"),
        ({}, "found none"),
    ],
)
def test_predicting_needs_every_view_of_every_image(trained, given, told):
    with pytest.raises(DataError, match="as many images of each view: image, segmented") as error:
        trained.predict({v: paths_of(trained)["image"][:n] for v, n in given.items()})
    assert told in str(error.value)


@pytest.mark.parametrize("method", ["rollout", "saliency", "gradcam", "occlusion"])
def test_images_of_two_views_are_explained(trained, method, tmp_path):
    paths = paths_of(trained)
    rows = explain_images(trained, paths["image"][:2], [method], tmp_path / "out", target="moss")
    maps = load_file(tmp_path / "out" / "maps.safetensors")
    pixels = {v: trained.transform(own[:2], black=v == "segmented") for v, own in paths.items()}
    view = None if method == "rollout" else "image"
    expected = explain(trained.net, pixels, [1, 1], method, view=view, size=(32, 32))
    for row, own in zip(rows, expected, strict=True):
        torch.testing.assert_close(maps[row["map"]], own, rtol=1e-4, atol=1e-6)
        assert (tmp_path / "out" / row["overlay"]).is_file()


def test_an_image_without_its_further_views_is_not_explained(trained, tmp_path):
    path = tmp_path / "other.png"
    Image.new("RGB", (32, 32), "green").save(path)
    with pytest.raises(DataError, match="where its views segmented are named"):
        explain_images(trained, [str(path)], ["rollout"], tmp_path / "out")


def test_the_outsides_of_all_views_are_exchanged_together(trained):
    table = reliance_table(trained, "test")
    samples = samples_of(trained.manifest(), "test", trained.classes, trained.data)
    data = Samples([s for s in samples if s.region], trained.transform)
    batch = data.batch([Draw(row) for row in range(len(data))])
    views = model_input(batch, trained.transform, torch.device("cpu"))
    inside = batch.regions.attend[:, None]
    _, anyone = partners(batch.labels, torch.ones(len(data), dtype=torch.bool), 0)
    for row in range(len(data)):
        laid = {}
        for name, pixels in views.items():
            other, mask = pixels[anyone[row]], inside[anyone[row]]
            outside = (other * (1 - mask)).sum((1, 2)) / (1 - mask).sum()
            bare = mask * outside[:, None, None] + (1 - mask) * other
            laid[name] = (inside[row] * pixels[row] + (1 - inside[row]) * bare)[None]
        with torch.no_grad():
            right = float(trained.net(laid).argmax(1) == batch.labels[row])
        assert table["accuracy_random_class"][row] == right
    values = evaluate_run(trained, "test", gaze=gaze_of(trained.config), backgrounds=True)
    assert values["backgrounds"]["images"] == len(data)
    assert evaluated(trained, "test")


def test_patches_weigh_what_the_region_says_where_there_is_no_cut_out_view(pairs):
    views = ("data.views=[image, region]", "model.inputs={first: image, second: image}")
    weights = "model.patch_weights={kind: linear, view: region}"
    train(config(*views, weights, "training.epochs=1"), pairs / "run", folder=pairs)
    run = load_run(pairs / "run")
    samples = samples_of(run.manifest(), "test", run.classes, run.data)
    bare = Sample(**{**vars(samples[1]), "region": None})
    batch = Samples([samples[1], bare], run.transform).batch([Draw(0), Draw(1)])
    images = model_input(batch, run.transform, torch.device("cpu"))
    first, _ = run.net.patch_weighting.weights(images)
    region = np.asarray(Image.open(samples[1].region)) / 255
    assert 0 < region.mean() < 0.5
    shares = [[region[r : r + 8, c : c + 8].mean() for c in (0, 8, 16, 24)] for r in (0, 8, 16, 24)]
    torch.testing.assert_close(first[0], 0.1 + torch.tensor(shares).float(), rtol=0, atol=1e-5)
    torch.testing.assert_close(first[1], torch.full((4, 4), 1.1), rtol=0, atol=1e-5)


def test_a_region_cannot_be_the_only_view(pairs):
    views = ("data.views=[region]", "model.inputs={first: region, second: region}")
    with pytest.raises(DataError, match="expected a view with a file first"):
        train(config(*views), pairs / "run", folder=pairs)
    table = pl.read_parquet(pairs / "manifest.parquet").drop("region")
    table.write_parquet(pairs / "manifest.parquet")
    views = ("data.views=[image, region]", "model.inputs={first: image, second: region}")
    with pytest.raises(DataError, match="to draw the view 'region' from"):
        train(config(*views), pairs / "run", folder=pairs)


def test_views_of_another_shape_than_the_image_are_refused(pairs):
    cut = next((pairs / "images").glob("train-03-cut.png"))
    Image.new("RGB", (64, 48)).save(cut)
    with pytest.raises(DataError, match=r"the size of train-03.png, 32 x 32, found 64 x 48"):
        train(config(), pairs / "run", folder=pairs)
    assert not (pairs / "run").exists()
