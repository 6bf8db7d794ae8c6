"""Crops that favour rare classes, and pasting, in the training of a segmenter."""

import json

import polars as pl
import pytest
import torch

from regard.data.loader import Loader, shuffled
from regard.data.settings import Augment
from regard.errors import ConfigError
from regard.runs.run import load_run
from regard.training.prepare import prepare
from regard.training.train import train
from tinyset import (
    BASE,
    SEGMENTER,
    config_of,
    killed_and_resumed,
    same_tensors,
    write_masks,
    write_set,
)

ALL = (
    "data.size=[48, 64]",
    "data.augment={crop: [32, 40], rare: 0.7, paste: 0.8, flip: 0.5, zoom: 0.1, contrast: 0.2}",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    # The boxes are a twelfth of the pixels: rare.
    return write_masks(tmp_path_factory.mktemp("masks"), size=(64, 80))


@pytest.fixture(scope="module")
def whole(home):
    train(config_of(*ALL, base=SEGMENTER), home / "run", folder=home)
    return home / "run"


def test_training_sees_crops_and_val_whole_images(whole, home):
    prepared = prepare(config_of(*ALL, base=SEGMENTER), home)
    (batch, *_), (val, *_) = (list(loader.batches()) for loader in (prepared.train, prepared.val))
    assert batch.images["image"].shape[1:] == (3, 32, 40)
    assert batch.target.shape[1:] == (32, 40)
    assert val.images["image"].shape[1:] == (3, 48, 64)
    assert prepared.train.data.lenders.classes == (1,)
    assert load_run(whole).data.augment == Augment(
        crop=(32, 40), rare=0.7, paste=0.8, flip=0.5, zoom=0.1, contrast=0.2
    )
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert {"mean_iou"} <= next(line for line in lines if line["kind"] == "epoch")["val"].keys()


def test_a_killed_run_ends_with_the_same_bits(whole, home):
    killed = killed_and_resumed(config_of(*ALL, base=SEGMENTER), home / "killed", home, step=4)
    assert same_tensors(load_run(whole, "last").net.state_dict(), killed.net.state_dict())


def test_loading_processes_give_the_same_batches_as_none(home):
    data = prepare(config_of(*ALL, base=SEGMENTER), home).train.data
    here, there = Loader(data, 3), Loader(data, 3, workers=2)
    try:
        for epoch in range(2):
            draws = shuffled(len(data), seed=1, epoch=epoch)
            for one, other in zip(here.batches(draws), there.batches(draws), strict=True):
                assert torch.equal(one.images["image"], other.images["image"])
                assert torch.equal(one.target, other.target)
    finally:
        there.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ("data.augment={crop: [32, 49]}",),
            "data.augment.crop: expected at most data.size, 32 x 48, found 32 x 49, and an image "
            "smaller than the crop; make the crop smaller",
        ),
        (("data.augment={rare: 0.5}",), "data.augment.rare: expected a crop"),
        (("data.augment={paste: 1}",), "expected a rare class, with less than 12.5% of train's"),
        (
            ("data.augment={paste: 1}", "data.views=[image, segmented]"),
            "data.augment.paste: expected one view, found image, segmented; leave it out",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(tmp_path, changes, said):
    write_masks(tmp_path)
    path = tmp_path / "manifest.parquet"
    pl.read_parquet(path).with_columns(segmented="image").write_parquet(path)
    with pytest.raises(ConfigError) as caught:
        train(config_of(*changes, base=SEGMENTER), tmp_path / "run", folder=tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("data.augment={crop: 16, rare: 0.5}",), "rare: expected masks, whose pixels"),
        (("data.augment={paste: 0.5}",), "paste: expected masks, whose pixels"),
        (("data.augment={crop: 33}",), "at most data.size, 32 x 32, found 33 x 33"),
        (
            ("data.augment={crop: 24}", "model.options.pool=flatten"),
            "data.augment.crop: expected what regard:cnn2 takes, found 24 x 24, image (",
        ),
    ],
)
def test_a_classifier_is_refused_what_is_about_masks(tiny, tmp_path, changes, said):
    with pytest.raises(ConfigError) as caught:
        train(config_of(*changes), tmp_path / "run", folder=tiny)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_guided_classifier_may_be_trained_on_crops(tmp_path):
    write_set(tmp_path)
    changes = ("data.augment.crop=24", "guidance.terms=[{term: energy}]", "training.epochs=1")
    prepared = prepare(config_of(*changes, base=BASE), tmp_path)
    batch = next(iter(prepared.train.batches()))
    assert batch.images["image"].shape[2:] == batch.regions.attend.shape[1:] == (24, 24)
    assert next(iter(prepared.train_gaze.batches())).images["image"].shape[2:] == (32, 32)
    train(config_of(*changes, base=BASE), tmp_path / "run", folder=tmp_path)
    assert '"loss.energy"' in (tmp_path / "run/log.jsonl").read_text()
