"""Comparisons and studies of nets for sets of labels, from real files."""

import re
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score

from regard.errors import ConfigError
from regard.evaluation.label_sets import sets_table
from regard.evaluation.multilabel import evaluate_multilabel
from regard.reports import report
from regard.reports.compare_report import compare_report
from regard.reports.multilabel import pair_tables, set_results
from regard.reports.samples_section import _areas
from regard.reports.set_galleries import doubted
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.run import load_run
from regard.studies.read import read_study
from regard.studies.runner import run_study
from regard.training.train import train
from tinyset import COLOURS, SETS, SilentStudy, config_of, in_this_process, write_sets


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    return folder


@pytest.fixture(scope="module")
def runs(home):
    for name, epochs in (("short", 1), ("long", 5)):
        config = config_of(f"training.epochs={epochs}", "training.best=last", base=SETS)
        train(config, home / name, folder=home)
    return home / "short", home / "long"


def test_two_runs_are_held_against_each_other(runs, tmp_path):
    found = compare_runs(open_runs([str(run) for run in runs], "test"), "test", tmp_path / "out")
    (other,) = found["others"]
    assert found["task"] == "multilabel"
    pairs = pl.read_parquet(tmp_path / "out/pairs.parquet")
    images = [str(runs[0].parent / image) for image in pairs["image"]]
    truth = np.array([[name in own for name in COLOURS] for own in pairs["labels"]])
    proba = [load_run(run).predict(images).double().numpy() for run in runs]
    values = [average_precision_score(truth, own) for own in proba]
    told = other["metrics"]["map"]
    assert [told["before"], told["after"]] == pytest.approx(values)
    assert told["difference"]["value"] == pytest.approx(values[1] - values[0])
    assert told["difference"]["low"] <= told["difference"]["value"] <= told["difference"]["high"]
    right = [((own >= 0.5) == truth).all(1) for own in proba]
    assert other["accuracy"]["after"]["value"] == pytest.approx(right[1].mean())
    counts = other["outcomes"]
    assert counts["wrong_becomes_right"] == (~right[0] & right[1]).sum()
    assert counts["right_becomes_wrong"] == (right[0] & ~right[1]).sum()
    for c, name in enumerate(COLOURS):
        own = other["per_class"][name]["average_precision"]
        ap = [average_precision_score(truth[:, c], p[:, c]) for p in proba]
        assert [own["before"], own["after"]] == pytest.approx(ap)
    f1 = [2 * (g & t).sum() / max(1, g.sum() + t.sum()) if g.any() or t.any() else 1.0
          for g, t in zip(proba[1] >= 0.5, truth, strict=True)]  # fmt: skip
    assert pairs["f1_after"].to_list() == pytest.approx(f1)
    assert {"energy_before", "energy_after"} <= set(pairs.columns)
    html = compare_report(tmp_path / "out", pictures=2).read_text()
    assert "What became of whole sets" in html
    assert "Average precision, class by class" in html
    same = compare_runs(open_runs([str(runs[0])] * 2, "test"), "test", tmp_path / "same")
    assert same["others"][0]["metrics"]["map"]["difference"]["value"] == 0


STUDY = """
name: sets
base:
  data: {manifest: MANIFEST, size: 32}
  model: {spec: "regard:cnn2", options: {pool: avg, width: 4, size: 32, dropout: 0.0}}
  training: {epochs: 2, batch_size: 8, threads: 1, device: cpu, optimiser: {lr: 0.01}}
  gaze: {scores: [energy]}
arms:
  plain: {}
  guided: {guidance: {terms: [{term: energy, weight: 0.5}], regions: misplaced}}
baseline: plain
seeds: [0, 1]
metrics: [accuracy, map, f1_samples, energy, "average_precision:sky"]
"""


def study_of(home, folder, *changes):
    text = STUDY.replace("MANIFEST", str(home / "manifest.parquet"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "sets.yaml").write_text(text)
    return read_study(folder / "sets.yaml")


def test_a_study_compares_arms_over_seeds_and_over_images(home, tmp_path, monkeypatch):
    in_this_process(monkeypatch)
    summary = run_study(study_of(home, tmp_path), tmp_path / "out", SilentStudy(), workers=1)
    rows = {row["metric"]: row for row in summary["comparisons"]}
    assert len(rows) == 5
    made = tmp_path / "out/runs"
    tables = {
        (arm, seed): pl.read_parquet(made / f"{arm}-seed{seed}/predictions/test.parquet")
        for arm in ("plain", "guided")
        for seed in (0, 1)
    }  # fmt: skip

    def mean_of(arm, statistic):
        return np.mean([statistic(tables[arm, seed]) for seed in (0, 1)])

    def ap(table):
        truth = np.array([[name in own for name in COLOURS] for own in table["labels"]])
        proba = table.select([f"probability:{name}" for name in COLOURS]).to_numpy()
        return average_precision_score(truth, proba)

    for metric, statistic in (("map", ap), ("f1_samples", lambda t: t["f1_samples"].mean())):
        expected = mean_of("guided", statistic) - mean_of("plain", statistic)
        row = rows[f"test.{metric}"]
        assert row["images"]["difference"]["value"] == pytest.approx(expected)
        assert row["seeds"]["difference"]["value"] == pytest.approx(expected)
    sky = sum("sky" in labels for labels in tables["plain", 0]["labels"])
    assert rows["test.average_precision:sky"]["images"]["difference"]["n"] == sky == 4
    assert summary["arms"]["plain"]["test.f1:fern"]["n"] == 2
    assert "test.energy:fern" in summary["arms"]["plain"]
    assert summary["confusion"] == {}
    assert 0 <= summary["controls"]["guided"]["overlap"] < 1
    html = report(tmp_path / "out", pictures=2).read_text()
    assert "Average precision, sky" in html
    assert re.search(r"Better under (plain|guided)|another F1 under", html)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("balanced_accuracy", "what is measured of sets of labels, found 'balanced_accuracy'"),
        ("mean_iou", "what is measured of sets of labels"),
        ('"average_precision:grass"', "'average_precision:grass'; choose accuracy, map"),
        ("accuracy_level_1", "data.hierarchy for accuracy_level_1, found none"),
    ],
)
def test_metrics_that_sets_have_not_are_refused(home, tmp_path, metric, said):
    study = study_of(home, tmp_path, ("map", metric))
    with pytest.raises(ConfigError, match=said) as caught:
        run_study(study, tmp_path / "out", SilentStudy(), workers=1)
    assert "\n" not in str(caught.value)


def test_pairs_of_many_classes_are_listed():
    draw = np.random.default_rng(0)
    truth, proba = draw.random((40, 20)) < 0.3, draw.random((40, 20))
    names = [f"class {k}" for k in range(20)]
    table = sets_table(range(40), [f"{i}.jpg" for i in range(40)], truth, proba, names)
    numbers = evaluate_multilabel(table, resamples=10)
    blocks = pair_tables(numbers)
    tables = [block for block in blocks if block.kind == "table"]
    assert [len(block.rows) for block in tables] == [20, 20]
    together = np.array(numbers["cooccurrence"]) * (1 - np.eye(20, dtype=int))
    assert tables[0].rows[0][2].text == str(together.max())


def test_a_class_that_all_images_are_of_has_no_curve_and_that_is_said():
    draw = np.random.default_rng(1)
    truth = np.c_[np.ones(20, bool), draw.random((20, 2)) < 0.5, np.zeros(20, bool)]
    names = ["all", "b", "c", "none"]
    table = sets_table(range(20), ["x.jpg"] * 20, truth, draw.random((20, 4)), names)
    numbers = evaluate_multilabel(table, resamples=10)
    blocks = set_results(numbers, table)
    (drawn,) = [block for block in blocks if block.kind == "drawings"]
    assert [key.name for key in drawn.legend] in (["b", "c"], ["c", "b"])
    words = [text for block in blocks if block.kind == "text" for text in block.paragraphs]
    assert any("All images are of all: of these no ranking can be wrong" in text for text in words)
    assert any("Without an image, and so in no mean: none." in text for text in words)
    alone = evaluate_multilabel(table.head(1), resamples=10)
    assert [block.kind for block in set_results(alone, table.head(1))].count("drawings") == 0


def test_what_is_furthest_from_the_truth_is_shown_first():
    row = {"labels": ["a", "b"], "predicted": ["b", "c"], "probability:a": 0.3,
           "probability:b": 0.9, "probability:c": 0.95}  # fmt: skip
    assert doubted(row) == ["c", "a"]


def test_images_with_a_region_are_counted_once_whatever_labels_and_methods_they_have():
    rows = {"index": [0, 0, 1, 1, 2, 2], "area": [0.1, 0.3, 0.2, None, float("nan"), None]}
    split = SimpleNamespace(name="test", scores=pl.DataFrame(rows))
    (table,) = _areas(SimpleNamespace(splits=[split]))
    assert [cell.text for cell in table.rows[0]][:3] == ["test", "2 of 3", "20.0\u00a0%"]
