"""Sets of labels, and a hierarchy of labels, from the command line to the report."""

import json
import re

import polars as pl
import pytest
import yaml

from regard.data.manifest import read_manifest
from tinyset import COLOURS, SETS, config_of, in_this_process, write_config, write_set, write_sets

TREE = "child,parent\nfern,green\nmoss,green\nrose,red\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets on the command line")
    write_sets(folder, counts={"train": 40, "val": 8, "test": 16})
    write_config(folder, "training.epochs=3", "guidance.terms=[{term: energy}]", base=SETS)
    return folder


def test_from_a_csv_of_labels_to_a_report(regard, home, monkeypatch):
    monkeypatch.chdir(home)
    table = read_manifest("manifest.parquet").table
    rows = [f"{image},{';'.join(labels)},{split}" for image, labels, split in
            table.select("image", "labels", "split").rows()]  # fmt: skip
    (home / "labels.csv").write_text("\n".join(["image,what,split", *rows]))
    words = ("--label", "what", "--label-separator", ";", "--split", "split")
    answer = regard("data", "import", "csv", "labels.csv", "--out", "again.parquet", *words)
    assert answer.code == 0, answer.err
    assert "64 samples, 3 classes" in answer.out
    assert read_manifest("again.parquet").table["labels"].to_list() == table["labels"].to_list()
    assert regard("data", "check", "manifest.parquet").code == 0
    shown = regard("data", "describe", "manifest.parquet").out
    assert "Samples by how many labels they have: 0: 8, 1: 24, 2: 24, 3: 8" in shown
    answer = regard("train", "config.yaml", "--out", "run")
    assert answer.code == 0, answer.err
    assert "map" in answer.err
    assert yaml.safe_load((home / "run/config.yaml").read_text())["data"]["task"] == "multilabel"
    answer = regard("evaluate", "run")
    assert answer.code == 0, answer.err
    assert "average precision" in answer.out
    assert "Confusion" not in answer.out
    answer = regard("score", "run", "--score", "energy", "--score", "insertion")
    assert answer.code == 0, answer.err
    assert "Gaze by class, gradcam" in answer.out
    answer = regard("explain", "run", "--limit", "2")
    assert answer.code == 0, answer.err
    assert regard("explain", "run", "--limit", "1", "--class", "grass").code == 2
    answer = regard("compare", "run@0", "run@last", "--json", "--pictures", "2")
    assert answer.code == 2  # epoch 0 was not kept
    answer = regard("compare", "run@last", "run", "--pictures", "2")
    assert answer.code == 0, answer.err
    assert "map" in answer.out
    assert "Images: stays right" in answer.out
    answer = regard("report", "run")
    assert answer.code == 0, answer.err
    html = (home / "run/report.html").read_text()
    for text in ("Whole set right", "Classes together", "False alarms", "Gaze by class"):
        assert text in html
    assert "mAP" in html
    assert not re.search(r"word-mean-average-precision\">map<", html)


def test_accuracy_by_level_and_the_order_of_the_tree(regard, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, classes=("moss", "rose", "fern"))
    (tmp_path / "tree.csv").write_text(TREE)
    write_config(tmp_path, "data.hierarchy=tree.csv")
    answer = regard("train", "config.yaml", "--out", "runs/one")
    assert answer.code == 0, answer.err
    assert yaml.safe_load((tmp_path / "runs/one/config.yaml").read_text())["data"]["hierarchy"] == (
        "../../tree.csv"
    )
    answer = regard("evaluate", "runs/one", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["metrics"]
    table = pl.read_parquet(tmp_path / "runs/one/predictions/test.parquet")
    parents = {"fern": "green", "moss": "green", "rose": "red"}
    share = table.select(pl.col("label").replace(parents) == pl.col("predicted").replace(parents))
    assert found["accuracy_level_1"]["value"] == share["label"].mean()
    assert table["accuracy_level_1"].mean() == share["label"].mean()
    assert set(table["tree_distance"].unique()) <= {0.0, 2.0, 4.0}
    assert found["hierarchy"]["order"] == ["fern", "moss", "rose"]
    answer = regard("report", "runs/one")
    assert answer.code == 0, answer.err
    html = (tmp_path / "runs/one/report.html").read_text()
    assert "By level" in html
    heads = re.findall(r'<th scope="col">(\w+)</th>', html)
    assert [name for name in heads if name in parents][:3] == ["fern", "moss", "rose"]
    if not table["correct"].all():
        assert "Furthest mistakes" in html
    (tmp_path / "tree.csv").write_text(TREE.replace("rose,red", "rose,green"))
    answer = regard("evaluate", "runs/one")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "labels above the classes" in answer.err


def test_a_hierarchy_for_sets_and_none_for_masks(regard, home, monkeypatch):
    monkeypatch.chdir(home)
    (home / "tree.csv").write_text("child,parent\nfern,land\nberry,land\nsky,air\n")
    config = config_of("data.hierarchy=tree.csv", "training.epochs=1", base=SETS)
    assert config.data.hierarchy == "tree.csv"
    words = ("--set", "data.hierarchy=tree.csv", "--set", "training.epochs=1")
    answer = regard("train", "config.yaml", "--out", "tree", *words)
    assert answer.code == 0, answer.err
    found = json.loads(regard("evaluate", "tree", "--json").out)["metrics"]
    assert {"accuracy_level_1", "hierarchical_f1"} <= found.keys()
    assert "mistake_distance" not in found
    assert COLOURS == tuple(found["classes"])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("data.augment.mixup=0.2", "found sets of labels, each with its own region"),
        ("evaluate.target_recall=0.9", "expected nothing for sets of labels"),
    ],
)
def test_what_needs_one_label_an_image_is_refused(regard, home, monkeypatch, change, found):
    monkeypatch.chdir(home)
    answer = regard("train", "config.yaml", "--out", "refused", "--set", change)
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert found in line


def test_a_study_of_sets_in_folds_is_of_the_pooled_sets(regard, home, monkeypatch):
    in_this_process(monkeypatch)
    monkeypatch.chdir(home)
    metrics = ["map", "accuracy", "f1_samples", "f1:fern", "energy", "dead_maps"]
    study = {
        "name": "folded",
        "base": config_of("training.epochs=1", base=SETS).model_dump(
            mode="json", exclude_unset=True
        ),
        "arms": {"plain": {}, "guided": {"guidance": {"terms": [{"term": "energy"}]}}},
        "baseline": "plain",
        "seeds": [0],
        "folds": 3,
        "metrics": metrics,
    }
    (home / "study.yaml").write_text(yaml.safe_dump(study))
    answer = regard("study", "study.yaml", "--out", "folded", "--workers", "1")
    assert answer.code == 0, answer.err
    summary = json.loads((home / "folded/summary.json").read_text())
    told = {row["metric"]: row for row in summary["comparisons"]}
    assert set(told) == {f"test.{name}" for name in metrics}
    values = json.loads((home / "folded/pooled/plain-seed0/metrics/test.json").read_text())
    assert values["images"] == 64
    for row in told.values():
        assert row["images"] is not None
        assert row["basis"] == "folds"
    own = summary["arms"]["plain"]["test.map"]
    assert own["value"] == pytest.approx(values["metrics"]["map"]["value"])
    assert own["images"]["low"] == pytest.approx(values["metrics"]["map"]["low"])
    answer = regard("compare", "folded:plain", "folded:guided")
    assert answer.code == 2
    (line,) = answer.err.splitlines()
    assert "found sets of labels" in line


def test_sets_without_any_region_are_scored_without_an_area(regard, tmp_path):
    write_sets(tmp_path, counts={"train": 12, "val": 4, "test": 4}, boxes=False)
    config = write_config(tmp_path, "training.epochs=1", base=SETS)
    assert regard("train", config, "--out", tmp_path / "run").code == 0
    answer = regard("score", tmp_path / "run")
    assert answer.code == 0, answer.err
    row = next(line for line in answer.out.splitlines() if line.split()[:1] == [COLOURS[0]])
    assert row.split()[1] == "–"
