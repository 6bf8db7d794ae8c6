"""A segmenter trained on a small set, killed, resumed, evaluated."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from sklearn.metrics import jaccard_score

from regard.data.augmenting import augment
from regard.data.loader import Loader
from regard.data.mask_classes import VOID
from regard.data.samples import Samples
from regard.data.settings import Augment
from regard.data.source import mask_classes, samples_of
from regard.errors import ConfigError, DataError, RunError
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.training.train import train
from tinyset import SEGMENTER, config_of, killed_and_resumed, same_tensors, write_masks


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return write_masks(tmp_path_factory.mktemp("masks"))


@pytest.fixture(scope="module")
def whole(home):
    train(config_of(base=SEGMENTER), home / "run", folder=home)
    return home / "run"


def test_the_log_tells_losses_and_metrics_of_pixels(whole):
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == 3
    first, last = epochs[0], epochs[-1]
    assert {"loss", "cross_entropy", "loss.dice", "accuracy"} <= first["train"].keys()
    assert {"mean_iou", "mean_dice", "balanced_accuracy", "accuracy"} <= first["val"].keys()
    for part in (first["train"], first["val"]):
        assert part["loss"] == pytest.approx(part["cross_entropy"] + part["loss.dice"])
    assert last["train"]["loss"] < first["train"]["loss"]
    assert load_run(whole).data.task == "segmentation"
    assert load_run(whole).classes == ("ground", "box")


def test_a_killed_run_ends_with_the_same_bits(whole, home):
    killed = killed_and_resumed(config_of(base=SEGMENTER), home / "killed", home, step=4)
    assert same_tensors(load_run(whole, "last").net.state_dict(), killed.net.state_dict())


def test_numbers_of_the_test_set_are_those_of_the_masks_at_their_own_size(whole, home):
    run = load_run(whole)
    values = evaluate_run(run, "test")
    table = pl.read_parquet(whole / "predictions/test.parquet")
    assert table["image"].to_list() == ["3.png", "7.png", "11.png"]
    guesses, truths = [], []
    for name in table["image"]:
        mask = np.array(Image.open(home / name.replace(".png", "-mask.png")).copy())
        with torch.no_grad():
            logits = run.net(run.transform(str(home / name)))
        logits = torch.nn.functional.interpolate(logits, mask.shape, mode="bilinear")
        kept = mask != 0
        guesses.append(logits[0].argmax(0).numpy()[kept])
        truths.append(np.where(mask == 1, 0, 1)[kept])
    guess, true = np.concatenate(guesses), np.concatenate(truths)
    metrics = values["metrics"]
    assert metrics["pixels"] == len(true) == 3 * 40 * 56
    expected = jaccard_score(true, guess, average=None)
    found = [metrics["per_class"][name]["iou"]["value"] for name in ("ground", "box")]
    assert found == pytest.approx(expected)
    assert metrics["mean_iou"]["value"] == pytest.approx(expected.mean())
    assert json.loads((whole / "metrics/test.json").read_text()) == values
    assert len((whole / "metrics/readings.jsonl").read_text().splitlines()) == 1


def test_void_may_be_a_class(home):
    train(config_of("data.void=class", "training.epochs=1", base=SEGMENTER), home / "void",
          folder=home)  # fmt: skip
    run = load_run(home / "void")
    assert run.classes == ("void", "ground", "box")
    assert evaluate_run(run, "test")["metrics"]["pixels"] == 3 * 40 * 60


def test_the_loss_weighs_its_parts(home):
    changes = ("training.dice=0.5", "guidance.cross_entropy=2", "training.epochs=1")
    train(config_of(*changes, base=SEGMENTER), home / "parts", folder=home)
    lines = [json.loads(line) for line in (home / "parts/log.jsonl").read_text().splitlines()]
    (record,) = [line for line in lines if line["kind"] == "epoch"]
    for part in (record["train"], record["val"]):
        expected = 2 * part["cross_entropy"] + 0.5 * part["loss.dice"]
        assert part["loss"] == pytest.approx(expected)


def test_weights_make_the_rarer_class_count_as_much(home):
    trained = train(
        config_of("training.imbalance=weights", "training.epochs=1", base=SEGMENTER),
        home / "weighted", folder=home,
    )  # fmt: skip
    assert trained.epoch == 1


def loaded(home, **how):
    run = load_run(home / "run")
    manifest = run.manifest()
    samples = samples_of(manifest, "test", run.classes, run.data)
    return Samples(samples, run.transform, classes=mask_classes(manifest), **how)


@pytest.mark.parametrize("cache", [0, 64])
def test_batches_hold_the_classes_of_pixels(whole, home, cache):
    loader = Loader(loaded(home, cache_mb=cache), 2)
    for _ in range(2):
        batches = list(loader.batches())
        assert [tuple(b.target.shape) for b in batches] == [(2, 32, 48), (1, 32, 48)]
        target = torch.cat([b.target for b in batches])
        assert target.dtype == torch.uint8
        assert set(target.unique().tolist()) == {0, 1, VOID}
        assert bool((target[:, :, :3] == VOID).all())


def test_classes_move_with_the_image_and_what_is_uncovered_is_void():
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(24, 32, dtype=torch.uint8)
    target[6:14, 10:22] = 2
    image = torch.where(target > 0, 255, 0).to(torch.uint8).expand(3, -1, -1)
    how = Augment(rotate=30, flip=0.5, flip_vertical=0.5, zoom=0.3, translate=0.4)
    uncovered = 0
    for _ in range(20):
        images, masks = augment({"image": image}, {"target": target}, how, generator)
        moved, own = images["image"][0].float(), masks["target"]
        assert own.dtype == torch.uint8
        assert set(own.unique().tolist()) <= {0, 2, VOID}
        uncovered += int((own == VOID).sum())
        # Where the picture is clearly the box, or clearly not, so says the mask.
        said = own != VOID
        assert bool((own[said & (moved > 200)] == 2).all())
        assert bool((own[said & (moved < 20)] == 0).all())
    assert uncovered


def test_a_padded_mask_is_void_around(home):
    run = load_run(home / "run")
    transform = replace(run.transform, fit="pad", size=(32, 32))
    found = transform.fit_target(torch.ones(40, 60, dtype=torch.uint8))
    assert found.shape == (32, 32)
    assert bool((found[:5] == VOID).all())
    assert bool((found[5:26] == 1).all())
    crop = replace(transform, fit="crop").fit_target(torch.ones(40, 60, dtype=torch.uint8))
    assert bool((crop == 1).all())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ("model={spec: regard:cnn2, options: {pool: avg}}",),
            "model.spec for segmentation: expected a segmenter",
        ),
        (("training.imbalance=oversample",), "none or weights for a segmenter"),
        (("guidance.combine=product",), "sum for a segmenter, found product"),
        (("training.best=val.f1_macro",), "val.f1_macro"),
        (("data.task=classification",), "two classes or more in train"),
        (("data.views=[segmented]",), "column 'segmented'"),
    ],
)
def test_mistakes_are_refused_at_the_start(home, tmp_path, changes, said):
    with pytest.raises((ConfigError, DataError), match=said) as caught:
        train(config_of(*changes, base=SEGMENTER), tmp_path / "run", folder=home)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: Image.new("L", (60, 40), 9).save(f / "0-mask.png"), "found id 9 on 2,400"),
        (
            lambda f: Image.new("L", (30, 20), 1).save(f / "0-mask.png"),
            r"the size of 0\.png, 60 x 40, found 30 x 20",
        ),
        (lambda f: Image.new("RGB", (60, 40)).save(f / "0-mask.png"), "one channel of class ids"),
        (lambda f: (f / "0-mask.png").unlink(), "found no such file"),
        (lambda f: write_masks(f, ids=(1,)), "pixels of every class.*none of 'box'"),
    ],
)
def test_wrong_masks_are_told_in_one_line(tmp_path, change, said):
    home = write_masks(tmp_path)
    change(home)
    with pytest.raises(DataError, match=said) as caught:
        train(config_of(base=SEGMENTER), home / "run", folder=home)
    assert "\n" not in str(caught.value)


def test_the_checkpoint_of_another_number_of_classes_gives_its_encoder(whole, home, tmp_path):
    shutil.copytree(whole, tmp_path / "first")
    config = config_of(
        f"model.weights={tmp_path / 'first'}", "data.void=class", "training.epochs=1",
        "model.freeze=backbone", base=SEGMENTER,
    )  # fmt: skip
    train(config, tmp_path / "second", folder=home)
    one, other = (load_run(tmp_path / n).net.state_dict() for n in ("first", "second"))
    assert all(torch.equal(one[n], other[n]) for n in one if n.startswith("encoder."))
    with pytest.raises(RunError):
        load_run(tmp_path / "nowhere")
