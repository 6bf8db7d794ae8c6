"""Reports, comparisons and studies of segmenters, from real files."""

import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
import torch

from regard.cli.show_compare import show_comparison
from regard.data.loader import Loader
from regard.data.samples import Samples
from regard.data.source import mask_classes, samples_of
from regard.errors import ConfigError, DataError
from regard.evaluation.pixels import Boundary, boundary_counts, pixel_confusion
from regard.evaluation.segmentation import Pooled
from regard.evaluation.segmentation_pairs import compare_pooled, compare_segmentations, pooled_of
from regard.evaluation.settings import Gaze
from regard.evaluation.units import Units
from regard.images.mask_colours import class_colours, painted
from regard.reports import report
from regard.reports.album import Album, photo_limit
from regard.reports.compare_report import compare_report
from regard.reports.mask_galleries import looks_card
from regard.runs.averages import average_maps
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.run import load_run
from regard.studies.compare_arms import compare_arms
from regard.studies.finished_arms import open_arms
from regard.studies.read import read_study
from regard.studies.runner import run_study
from regard.training.train import train
from tinyset import SEGMENTER, SilentStudy, config_of, in_this_process, write_masks

LAYER = "encoder.model.blocks.2"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return write_masks(tmp_path_factory.mktemp("masks"), count=16)


@pytest.fixture(scope="module")
def runs(home):
    for name, epochs in (("short", 1), ("long", 8)):
        changes = (f"training.epochs={epochs}", "training.best=last", "data.size=[64,96]")
        train(config_of(*changes, f"gaze.layer={LAYER}", base=SEGMENTER), home / name, folder=home)
        evaluate_run(load_run(home / name), "test", gaze=[Gaze(layer=LAYER)])
    return home / "short", home / "long"


def test_the_report_of_a_run_tells_its_numbers_and_shows_its_masks(runs):
    html = report(runs[1], pictures=4).read_text()
    metrics = json.loads((runs[1] / "metrics/test.json").read_text())["metrics"]
    for name in ("mean_iou", "accuracy", "mean_boundary_f1"):
        assert f"{metrics[name]['value']:.3f}" in html
    for own in metrics["per_class"].values():
        assert f"{own['iou']['value']:.3f}" in html
    assert html.count(">prediction<") == html.count(">truth<") == html.count(">difference<") == 4
    assert "Where it looks, class by class" in html
    assert "Mean Dice" in html
    # Of 8,960 pixels each is counted, and shares are of the row.
    assert f"{metrics['confusion'][0][0]:,}<small>" in re.sub(r"\s+", "", html)
    assert "<script src" not in html


def test_an_image_that_is_void_everywhere_says_so(runs):
    table = pl.read_parquet(runs[0] / "predictions/test.parquet")
    album = Album(runs[0], table, "test", photo_limit(1))
    row = table.row(0, named=True)
    assert looks_card(album, row, album.run).pictures[0].map
    nothing = row | {"confusion": np.zeros_like(row["confusion"]).tolist()}
    (picture,) = looks_card(album, nothing, album.run).pictures
    assert (picture.caption, picture.map) == ("every pixel is void", "")


def test_mean_maps_are_in_the_report_where_they_were_asked_for(runs):
    assert "Mean maps" not in report(runs[1], pictures=0).read_text()
    out = runs[1] / "explanations/global/gradcam"
    values = average_maps(load_run(runs[1]), "test", "gradcam", out)
    html = report(runs[1], pictures=0).read_text()
    assert 'alt="Mean maps by class, gradcam"' in html
    for row in values["rows"]:
        assert f"{row['inside']:.3f}" in html
    every = values["rows"][0]
    assert every["images"] == 8
    assert every["inside_low"] <= every["inside"] <= every["inside_high"]
    shutil.rmtree(runs[1] / "explanations")


def test_a_painted_mask_is_clear_where_nothing_is_said():
    ids = np.array([[0, 1, 255], [6, 2, 255]], dtype=np.uint8)
    colours = class_colours([f"c{k}" for k in range(7)])
    assert len(set(colours)) == 7
    assert len(set(class_colours([f"c{k}" for k in range(40)]))) == 40
    shown = np.array(painted(ids, colours).convert("RGBA"))
    assert shown[..., 3].tolist() == [[255, 255, 0], [255, 255, 0]]
    assert tuple(shown[1, 0, :3]) == tuple(bytes.fromhex(colours[6][1:]))


def test_a_comparison_pools_pixels_and_tells_classes_apart(runs, home, tmp_path, capsys):
    opened = open_runs([str(run) for run in runs], "test")
    summary = compare_runs(opened, "test", tmp_path / "c")
    (other,) = summary["others"]
    assert summary["task"] == "segmentation"
    for end, run in zip(("before", "after"), runs, strict=True):
        own = json.loads((run / "metrics/test.json").read_text())["metrics"]
        assert other["metrics"]["mean_iou"][end] == pytest.approx(own["mean_iou"]["value"])
        found = other["per_class"]["box"]["recall"][end]
        assert found == pytest.approx(own["per_class"]["box"]["recall"]["value"])
        assert other["confusion"][end] == own["confusion"]
    found = other["metrics"]["mean_iou"]["difference"]
    assert found["value"] > 0.2
    assert found["low"] <= found["value"] <= found["high"]
    pairs = pl.read_parquet(tmp_path / "c/pairs.parquet")
    assert {"iou_before", "iou_after", "right_after", "energy_before"} <= set(pairs.columns)
    assert len(pairs) == 4
    html = compare_report(tmp_path / "c", pictures=2).read_text()
    assert "Better with long" in html
    assert "IoU of pixels, class by class" in html
    show_comparison(summary)
    assert "IoU, box" in capsys.readouterr().out


def counted(generator, images, right):
    """Random confusions of three classes, a share `right` of the pixels right, or nearly so."""
    rows = []
    for index in range(images):
        shares = np.full((3, 3), (1 - right) / 2) + np.eye(3) * (1.5 * right - 0.5)
        hard = generator.uniform(0.9, 1.1, (3, 3))
        chances = shares * hard / (shares * hard).sum(1, keepdims=True)
        table = generator.multinomial([400, 300, 200], chances)
        edges = [generator.integers(5, 9, 3), generator.integers(0, 5, 3)] * 2
        rows.append(
            {"index": index, "image": f"{index}.png", "confusion": table.tolist(),
             "boundary": [part.tolist() for part in edges]}
        )  # fmt: skip
    return pl.DataFrame(rows)


def test_differences_are_those_of_all_pixels_and_images_are_resampled_together():
    generator = np.random.default_rng(0)
    a, b = counted(generator, 40, 0.5), counted(generator, 40, 0.7)
    found = compare_segmentations(a, b.sample(fraction=1, shuffle=True, seed=1))
    values = []
    for table in (a, b):
        total = np.array(table["confusion"].to_list()).sum(0)
        values.append(np.mean(np.diag(total) / (total.sum(0) + total.sum(1) - np.diag(total))))
    assert found["mean_iou"].difference.value == pytest.approx(values[1] - values[0])
    draws = np.random.default_rng(9).integers(40, size=(400, 40))
    pooled = []
    for rows in draws:
        ends = []
        for table in (a, b):
            total = np.array(table["confusion"].to_list())[rows].sum(0)
            ends.append(np.mean(np.diag(total) / (total.sum(0) + total.sum(1) - np.diag(total))))
        pooled.append(ends[1] - ends[0])
    low, high = np.quantile(pooled, [0.025, 0.975])
    interval = found["mean_iou"].difference
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.15 * (high - low))
    assert found["mean_iou"].p_value < 0.01
    turned = [np.array(rows).T.tolist() for rows in b["confusion"].to_list()]
    other = b.with_columns(confusion=pl.Series(turned))
    with pytest.raises(DataError, match="the same pixels of each image counted for both"):
        compare_segmentations(a, other)
    same = compare_segmentations(a, a)["iou.1"]
    assert (same.difference.value, same.p_value) == (0, 1)


@pytest.mark.parametrize(
    ("tries", "most"), [(60, 7), pytest.param(200, 24, marks=pytest.mark.torture)]
)
def test_an_interval_of_a_difference_covers_the_truth(tries, most):
    """Of draws without a difference about 5 % are said to have one."""
    generator, claimed = np.random.default_rng(3), 0
    for _ in range(tries):
        a, b = counted(generator, 30, 0.6), counted(generator, 30, 0.6)
        sides = [pooled_of([table]) for table in (a, b)]
        interval = compare_pooled(*sides, Units.alone(30), level=0.95)["mean_iou"].difference
        claimed += not interval.low <= 0 <= interval.high
    assert 1 <= claimed <= most


def test_seeds_count_together():
    generator = np.random.default_rng(1)
    tables = [counted(generator, 5, 0.5) for _ in range(2)]
    confusions = np.sum([np.array(t["confusion"].to_list()) for t in tables], 0)
    edges = np.sum([np.array(t["boundary"].to_list()) for t in tables], 0)
    expected = Pooled(confusions, [Boundary(*own) for own in edges])(np.ones((5, 1)))
    found = pooled_of(tables)(np.ones((5, 1)))
    for name, values in expected.items():
        assert found[name].tolist() == pytest.approx(values.tolist(), nan_ok=True)


STUDY = """
name: masks
base:
  data: {manifest: MANIFEST, size: [64, 96], val_from_train: 0.25}
  model: {spec: regard:fpn, options: {encoder: test_efficientnet, width: 16}}
  training:
    {epochs: 4, batch_size: 4, best: val.mean_iou, device: cpu, threads: 1, optimiser: {lr: 0.003}}
  gaze: {layer: LAYER}
arms:
  plain: {}
  misplaced: {guidance: {terms: [{term: energy, weight: 2.0, layer: LAYER}], regions: misplaced}}
baseline: plain
mean_maps: 3
seeds: [0, 1]
metrics: [accuracy, mean_iou, "iou:box", "recall:box", "energy:box", energy]
"""


def test_a_study_compares_segmenters(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    text = STUDY.replace("MANIFEST", str(home / "manifest.parquet")).replace("LAYER", LAYER)
    (tmp_path / "masks.yaml").write_text(text)
    study = read_study(tmp_path / "masks.yaml")
    summary = run_study(study, tmp_path / "out", SilentStudy(), workers=1)
    rows = {(r["metric"], r["arm"]): r for r in summary["comparisons"] if r["against"] == "plain"}
    for metric in ("accuracy", "mean_iou", "iou:box", "recall:box", "energy:box", "energy"):
        assert f"test.{metric}" in summary["arms"]["plain"]
        row = rows[f"test.{metric}", "misplaced"]
        # A map is dead where nothing in the layer speaks for the class.
        assert row["seeds"]["difference"]["n"] == 2 or metric.startswith("energy")
        assert row["images"]["difference"]["n"] == 4 or metric.startswith("energy")
    files = [tmp_path / f"out/runs/plain-seed{s}/metrics/test.json" for s in (0, 1)]
    metrics = [json.loads(file.read_text()) for file in files]
    values = [m["metrics"]["per_class"]["box"]["iou"]["value"] for m in metrics]
    assert summary["arms"]["plain"]["test.iou:box"]["value"] == pytest.approx(np.mean(values))
    overlap = summary["controls"]["misplaced"]["overlap"]
    assert 0 < overlap < 0.9
    confusion = summary["confusion"]["test"]["arms"]["plain"]
    assert np.array(confusion).sum() == 2 * 4 * 40 * 56
    html = report(tmp_path / "out", pictures=2).read_text()
    assert "IoU, box" in html.replace("</a>", "")
    assert html.count('alt="Mean maps by class, ') == 2
    averages = tmp_path / "out/runs/plain-seed0/explanations/global/gradcam/averages.json"
    assert json.loads(averages.read_text())["rows"][0]["images"] == 6
    before = averages.stat().st_mtime_ns
    run_study(study, tmp_path / "out", SilentStudy(), workers=1)
    assert averages.stat().st_mtime_ns == before
    assert re.search(r"Better under (plain|misplaced)", html)
    assert re.search(r"misplaced, mean IoU \d\.\d\d", html)
    arms = open_arms([f"{tmp_path / 'out'}:plain", f"{tmp_path / 'out'}:misplaced"])
    (other,) = compare_arms(arms, "test", tmp_path / "compared")["others"]
    counts = np.sum([m["metrics"]["confusion"] for m in metrics], 0)
    assert other["confusion"]["before"] == counts.tolist()
    hits = np.diag(counts)
    iou = np.mean(hits / (counts.sum(0) + counts.sum(1) - hits))
    assert other["metrics"]["mean_iou"]["before"] == pytest.approx(iou)
    html = compare_report(tmp_path / "compared", pictures=1).read_text()
    assert "2 seeds (0 and 1) of each arm" in html
    assert "Pictures are left out" not in html


@pytest.mark.parametrize(
    ("metric", "said"),
    [("f1_macro", "measured of a segmenter"), ('"iou:boxes"', "'iou:boxes'; choose accuracy")],
)
def test_a_metric_that_a_segmenter_has_not_is_refused(home, tmp_path, metric, said):
    text = STUDY.replace("MANIFEST", str(home / "manifest.parquet")).replace("LAYER", LAYER)
    text = text.replace('"iou:box"', metric)
    (tmp_path / "masks.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        run_study(read_study(tmp_path / "masks.yaml"), tmp_path / "out", SilentStudy(), workers=1)


def test_flipping_image_and_mask_together_changes_no_metric(runs):
    """Of a net's answers turned over with their masks; and of the masks' own counts."""
    run = load_run(runs[1])
    manifest = run.manifest()
    samples = samples_of(manifest, "test", run.classes, run.data)
    data = Samples(samples, run.transform, classes=mask_classes(manifest))
    batch = next(iter(Loader(data, 8).batches()))
    with torch.no_grad():
        guess = run.net(run.transform.normalise(batch.images["image"])).argmax(1).numpy()
    for own, true in zip(guess, batch.target.numpy(), strict=True):
        there = pixel_confusion(own, true, 2), boundary_counts(own, true, 2)
        for axis in (0, 1):
            turned = np.flip(own, axis), np.flip(true, axis)
            assert (pixel_confusion(*turned, 2) == there[0]).all()
            assert (np.array(boundary_counts(*turned, 2)) == np.array(there[1])).all()
