"""`regard compare`: what it prints and writes, and its mistakes."""

import json
import shutil

import polars as pl
import pytest

from regard.evaluation.comparison_metrics import METRICS
from regard.runs.files import read_json


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(trained, tmp_path_factory):
    """A copy, as a comparison notes in a run that a split was read."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("copy") / "run")


def test_two_checkpoints_of_a_run(regard, run, elsewhere):
    answer = regard("compare", run, f"{run}@last")
    assert answer.code == 0, answer.err
    folder = elsewhere / "compare" / "run-vs-run@last"
    assert {path.name for path in folder.iterdir()} == {
        "pairs.parquet",
        "summary.json",
        "report.html",
    }
    (other,) = read_json(folder / "summary.json")["others"]
    difference = other["accuracy"]["difference"]
    title, *lines = answer.out.splitlines()
    assert title.startswith("run@last against run on test: 12 images")
    (row,) = [line.split() for line in lines if line.split()[:1] == ["accuracy"]]
    shown = [f"{other['accuracy'][end]['value']:.3f}" for end in ("before", "after")]
    assert row[1:4] == [*shown, f"{difference['value']:.3f}"]
    names = [line.split()[0] for line in lines if line.strip()]
    scores = ["energy", "energy_gain", "iou", "magtr", "mangtr"]
    head = names.index("accuracy")
    assert names[head : head + 13] == ["accuracy", *scores, *METRICS]
    recall = other["per_class"]["fern"]["recall"]
    row = next(line.split() for line in lines if line.split()[:1] == ["fern"])
    assert row[1:3] == [f"{recall[end]:.3f}" for end in ("before", "after")]
    assert lines[-2] == "Images: " + ", ".join(
        f"{name.replace('_', ' ')} {count}" for name, count in other["outcomes"].items()
    )
    assert lines[-1] == "Report: compare/run-vs-run@last/report.html"


def test_json_and_no_pictures_and_again_into_the_same_folder(regard, run, elsewhere):
    words = ("compare", run, run, "--split", "val", "--out", "out", "--pictures", 0)
    for _ in range(2):
        answer = regard(*words, "--method", "saliency", "--json")
        assert answer.code == 0, answer.err
        assert json.loads(answer.out) == read_json(elsewhere / "out" / "summary.json")
    assert len(pl.read_parquet(elsewhere / "out" / "pairs.parquet")) == 12
    assert "<img" not in (elsewhere / "out" / "report.html").read_text()


def mistake(regard, found, *words):
    answer = regard("compare", *words)
    assert answer.code == 2, answer.err
    (line,) = answer.err.splitlines()
    assert line.startswith("regard: ")
    for part in (": expected ", ", found ", "; "):
        assert part in line
    assert found in line


def test_mistakes_are_one_line_and_write_nothing(regard, trained, elsewhere):
    before = sorted(trained.rglob("*"))
    mistake(regard, "found 1;", trained)
    mistake(regard, "no such folder", trained, "nowhere")
    mistake(regard, "'epoch-7', which is not in", trained, f"{trained}@7")
    mistake(regard, "did you mean gradcam", trained, trained, "--method", "gradcan")
    mistake(regard, "found none", trained, trained, "--split", "tset")
    mistake(regard, "a folder with other files", trained, trained, "--out", trained)
    assert sorted(trained.rglob("*")) == before
    assert list(elsewhere.iterdir()) == []


def test_other_classes(regard, trained, elsewhere):
    other = shutil.copytree(trained, elsewhere / "other")
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("- moss", "- lichen"))
    mistake(regard, "without moss and with lichen", trained, other)
    assert not (elsewhere / "compare").exists()
