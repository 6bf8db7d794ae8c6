"""Training nets of two branches on pairs of a picture and its subject on black."""

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from regard.data.settings import Data
from regard.errors import ConfigError
from regard.evaluation.settings import Gaze
from regard.runs.evaluate import evaluate_run
from regard.runs.folder import RunFolder
from regard.runs.log import Log, read_log
from regard.runs.run import load_run
from regard.training.loop import Trainer
from regard.training.prepare import prepare
from regard.training.train import train
from regard.training.watching import Silent
from tinyset import BASE, config_of, write_set

TWIN = {
    **BASE,
    "data": {**BASE["data"], "views": ["image", "segmented"]},
    "model": {
        "spec": "regard:twin_crossvit",
        "options": {"size": 32, "patch": 8, "width": 16, "depth": 2, "heads": 2},
    },
    "gaze": {"method": "rollout", "train_sample": 4},
}


@pytest.fixture
def pairs(tmp_path):
    """The tiny set, with the spot alone beside each picture."""
    write_set(tmp_path, every=100)
    table = pl.read_parquet(tmp_path / "manifest.parquet")
    for image in table["image"]:
        pixels = np.asarray(Image.open(tmp_path / image))
        spot = pixels.max(2, keepdims=True) == 230
        Image.fromarray(pixels * spot).save(tmp_path / image.replace(".png", "-cut.png"))
    cut = pl.col("image").str.replace(".png", "-cut.png", literal=True).alias("segmented")
    table.with_columns(cut).write_parquet(tmp_path / "manifest.parquet")
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
    trainer.stepper._gradients(batch, 0, micro)
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
