"""Degenerate sets are trained, measured and reported: every number is defined, or has a reason."""

import re

import numpy as np
import polars as pl
import pytest
from answered import is_one_line, regard
from PIL import Image

from regard.training.prepare import prepare
from regard.training.train import train
from tinyset import config_of, log_lines, write_config, write_set

FULL = pytest.mark.torture
GUIDED = ["guidance.terms=[{term: energy}, {term: magtr, method: gradcam}]"]


def one_class_in_val_and_test(folder):
    relabel(folder, pl.when(pl.col("split") != "train").then(pl.lit("fern")).otherwise("label"))


def one_sample_of_a_class(folder):
    first = pl.int_range(pl.len()) == 0
    relabel(folder, pl.when(first).then(pl.lit("solo")).otherwise("label"))


def one_image_to_test(folder):
    path = folder / "manifest.parquet"
    table = pl.read_parquet(path)
    few = (pl.col("split") == "train") | (pl.int_range(pl.len()).over("split") == 0)
    table.filter(few).write_parquet(path)


def constant_images(folder):
    for path in (folder / "images").glob("*.png"):
        if "region" not in path.name:
            Image.new("RGB", (32, 32), (7, 7, 7)).save(path)


def regions_of(grey):
    def change(folder):
        for path in (folder / "images").glob("*region.png"):
            Image.fromarray(grey.astype(np.uint8)).save(path)

    return change


def relabel(folder, label):
    path = folder / "manifest.parquet"
    pl.read_parquet(path).with_columns(label=label).write_parquet(path)


PIXEL = np.zeros((32, 32))
PIXEL[3, 4] = 255
SETS = {
    "one class to test": one_class_in_val_and_test,
    "one sample of a class": one_sample_of_a_class,
    "one image to test": one_image_to_test,
    "constant images": constant_images,
    "regions of nothing": regions_of(PIXEL * 0),
    "regions of everything": regions_of(PIXEL * 0 + 255),
    "regions of one pixel": regions_of(PIXEL),
}


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=FULL)])
def test_degenerate_sets_are_trained_measured_and_reported(tmp_path, tally, quick):
    """No number in a report is a bare nan, and a term that did nothing is told."""
    names = ["one class to test"] if quick else list(SETS)
    for name in names:
        home = tmp_path / name
        write_set(home, counts={"train": 9, "val": 6, "test": 4})
        write_config(home, "training.epochs=1", *GUIDED)
        SETS[name](home)
        run = home / "run"
        first = [["train", home / "config.yaml", "--out", run], ["evaluate", run]]
        gaze = [] if quick else [["score", run], ["explain", run]]
        for words in [*first, *gaze, ["report", run]]:
            answer = regard(*words)
            assert answer.code == 0, (name, words, answer.err)
        text = (run / "report.html").read_text(encoding="utf-8")
        shown = re.sub(r"<(svg|style|script|pre)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
        assert not re.search(r"(?i)(?<![\w-])(nan|[-+]?inf(inity)?)(?![\w-])", shown), name
        notes = [line["text"] for line in log_lines(run) if line["kind"] == "note"]
        idle = name in ("regions of nothing", "regions of everything")
        assert any("energy has done nothing" in note for note in notes) == idle, notes
    tally("degenerate sets, from training to report", len(names), len(names))


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        (["training.batch_size=8"], False),  # 8 and 1
        (["training.batch_size=1"], False),
        (["training.batch_size=4", "training.accumulate=2"], False),
        (["training.batch_size=9"], True),
        (["training.batch_size=8", "model.freeze_bn=true"], True),
        (["training.batch_size=8", "model.freeze=backbone"], True),
        (["training.batch_size=8", "data.size=64"], True),
    ],
)
def test_a_part_of_one_image_beside_batch_norm_is_told_before_training(tmp_path, changes, allowed):
    write_set(tmp_path, counts={"train": 9, "val": 4})
    net = ["model={spec: timm:resnet10t}", "data.size=32", "training.epochs=1"]
    config = config_of(*net, *changes)
    if allowed:
        prepare(config, tmp_path).close()
        return
    with pytest.raises(ValueError, match=r"training\.batch_size: expected two images") as caught:
        train(config, tmp_path / "run", folder=tmp_path)
    assert is_one_line(caught.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_metric_that_is_never_a_number_is_told(tmp_path):
    write_set(tmp_path, counts={"train": 9, "val": 4})
    SETS["regions of nothing"](tmp_path)
    config = config_of("training.best=val.energy", "training.epochs=1")
    train(config, tmp_path / "run", folder=tmp_path)
    notes = [line["text"] for line in log_lines(tmp_path / "run") if line["kind"] == "note"]
    assert any("val.energy was never a number" in note for note in notes)
