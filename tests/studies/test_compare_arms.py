"""Arms compared over their seeds and folds, from the files of their study."""

import shutil

import numpy as np
import polars as pl
import pytest
import yaml
from small_study import STUDY, Watcher

from regard.errors import ConfigError, RunError
from regard.evaluation.comparison import Answers, compare_models
from regard.evaluation.comparison_of_arms import compare_trainings
from regard.evaluation.paired import paired_bootstrap, paired_student
from regard.evaluation.table import predictions_table
from regard.reports.compare_report import compare_report
from regard.runs.files import read_json, write_json
from regard.studies.compare_arms import compare_arms
from regard.studies.finished_arms import is_arm, open_arms
from regard.studies.read import read_study
from regard.studies.runner import run_study
from regard.training.config import changed
from tinyset import in_this_process, write_set

ARMS = "arms={plain: {}, moved: {guidance: {terms: [{term: energy}], regions: misplaced}}}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A study of two seeds, and one of three folds."""
    folder = tmp_path_factory.mktemp("arms home")
    write_set(folder, counts={"train": 12, "val": 6, "test": 12})
    with pytest.MonkeyPatch.context() as patched:
        in_this_process(patched)
        for name, own in (("seeds", "seeds=[0, 1]"), ("folds", "seeds=[0]")):
            changes = [ARMS, "comparisons=null", "base.training.epochs=1", own, f"name={name}"]
            changes += ["folds=3"] if name == "folds" else []
            path = folder / f"{name}.yaml"
            path.write_text(yaml.safe_dump(changed(STUDY, changes)))
            run_study(read_study(path), folder / name, Watcher(), workers=1)
    return folder


def tables(home, arm, kind="predictions"):
    return [pl.read_parquet(home / f"seeds/runs/{arm}-seed{s}/{kind}/test.parquet") for s in (0, 1)]


def test_numbers_are_means_over_the_seeds_and_nothing_is_read_again(home, tmp_path):
    readings = sorted((home / "seeds").rglob("readings.jsonl"))
    before = [path.read_text() for path in readings]
    arms = open_arms([f"{home}/seeds:plain", f"{home}/seeds:moved"])
    summary = compare_arms(arms, "test", tmp_path / "out")
    assert [path.read_text() for path in readings] == before
    assert summary == read_json(tmp_path / "out" / "summary.json")
    assert summary["of_arms"] == {"seeds": [0, 1], "folds": 1}
    (other,) = summary["others"]
    right = {arm: np.stack([t["correct"].to_numpy() for t in tables(home, arm)]).astype(float)
             for arm in ("plain", "moved")}  # fmt: skip
    a, b = right["plain"], right["moved"]
    over_images = paired_bootstrap(a.mean(0), b.mean(0)).as_dict()
    assert other["accuracy"]["difference"] == over_images["difference"]
    expected = paired_student(a.mean(1), b.mean(1)).as_dict()
    assert other["trainings"]["over_seeds"] == expected
    study = read_json(home / "seeds" / "summary.json")["comparisons"]
    row = next(r for r in study if r["metric"] == "test.accuracy")
    assert other["trainings"]["over_both"] == row["both"]
    assert sum(other["outcomes"].values()) == 2 * 12
    assert other["confusion"]["after"] == read_json(home / "seeds/summary.json")["confusion"][
        "test"]["arms"]["moved"]  # fmt: skip
    f1 = [read_json(home / f"seeds/runs/moved-seed{s}/metrics/test.json")["metrics"]["f1_macro"]
          for s in (0, 1)]  # fmt: skip
    assert other["metrics"]["f1_macro"]["after"] == pytest.approx(np.mean([m["value"] for m in f1]))
    energy = {arm: np.stack([t["energy"].to_numpy() for t in tables(home, arm, "scores")])
              for arm in right}  # fmt: skip
    both = np.isfinite(energy["plain"]) & np.isfinite(energy["moved"])
    known = both.any(0)
    means = np.where(both, energy["moved"], 0).sum(0)[known] / both.sum(0)[known]
    assert other["scores"]["energy"]["after"] == pytest.approx(means.mean())
    pairs = pl.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert len(pairs) == 24
    page = compare_report(tmp_path / "out", pictures=1).read_text()
    for said in ("Calibration, plain", "Calibration, moved", "Each class", "2 seeds (0 and 1)",
                 "Over 2 trainings and the images together"):  # fmt: skip
        assert said in page
    assert "Pictures are left out" not in page


def test_arms_in_folds_are_compared_on_the_pooled_predictions(home, tmp_path):
    arms = open_arms([f"{home}/folds:plain", f"{home}/folds:moved"])
    summary = compare_arms(arms, "test", tmp_path / "out")
    assert summary["of_arms"] == {"seeds": [0], "folds": 3}
    (other,) = summary["others"]
    sides = [Answers(pl.read_parquet(home / f"folds/pooled/{arm}-seed0/predictions/test.parquet"))
             for arm in ("plain", "moved")]  # fmt: skip
    assert other["accuracy"] == compare_models(*sides)["accuracy"]
    assert other["images"] == 30
    pairs = pl.read_parquet(tmp_path / "out" / "pairs.parquet")
    for row in pairs.iter_rows(named=True):
        run = (tmp_path / "out" / row["folder_after"]).resolve()
        own = pl.read_parquet(run / "predictions/test.parquet")
        assert row["index"] in own["index"]
    page = compare_report(tmp_path / "out", pictures=2).read_text()
    assert "pooled over 3 folds" in page
    assert "Pictures are left out" not in page


@pytest.mark.parametrize(
    ("texts", "error", "said"),
    [
        (["seeds:plain"], ConfigError, "found 1"),
        (["seeds:plain", "seeds/runs/plain-seed0"], ConfigError, "which is no arm"),
        (["seeds:plain", "seeds:movd"], RunError, "'movd'; did you mean moved"),
        (["seeds:plain", "seeds"], RunError, "found no arm; write"),
    ],
)
def test_mistakes_are_one_line(home, texts, error, said):
    with pytest.raises(error) as caught:
        open_arms([str(home / text) for text in texts])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_an_arm(home):
    assert is_arm(f"{home}/seeds:plain")
    assert is_arm(f"{home}/seeds")
    assert not is_arm(f"{home}/seeds/runs/plain-seed0")
    assert not is_arm("nowhere:plain")


def test_a_split_that_was_not_read_is_told(home, tmp_path):
    arms = open_arms([f"{home}/seeds:plain", f"{home}/seeds:moved"])
    with pytest.raises(RunError, match="expected predictions of 'val'"):
        compare_arms(arms, "val", tmp_path / "out")


def test_the_command(home, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from regard.cli.main import app

    monkeypatch.chdir(tmp_path)
    words = ["compare", f"{home}/seeds:plain", f"{home}/seeds:moved", "--pictures", "0"]
    answer = CliRunner().invoke(app, words, catch_exceptions=False)
    assert answer.exit_code == 0
    assert (tmp_path / "compare/plain-vs-moved/report.html").is_file()
    with pytest.raises(ConfigError, match="leave --method out"):
        CliRunner().invoke(app, [*words, "--method", "cam"], catch_exceptions=False)


def test_of_one_training_each_it_is_the_comparison_of_two_models():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=30)

    def said():
        proba = rng.dirichlet([1, 1], size=30)
        return Answers(predictions_table(range(30), ["i.jpg"] * 30, labels, proba, ["x", "y"]))

    a, b = said(), said()
    found = compare_trainings({3: a}, {3: b})
    assert found.pop("trainings") is None
    assert found == compare_models(a, b)
    again = compare_trainings({0: a, 1: a}, {0: b, 1: b})
    assert again["accuracy"]["difference"]["value"] == found["accuracy"]["difference"]["value"]
    assert again["metrics"]["ece"] == found["metrics"]["ece"]
    assert again["outcomes"] == {name: 2 * n for name, n in found["outcomes"].items()}


def test_answers_that_are_not_the_best_checkpoints_are_refused(home, tmp_path):
    shutil.copytree(home / "seeds", tmp_path / "seeds")
    arms = open_arms([f"{tmp_path}/seeds:plain", f"{tmp_path}/seeds:moved"])
    compare_arms(arms, "test", tmp_path / "before")
    metrics = tmp_path / "seeds/runs/moved-seed1/metrics/test.json"
    values = read_json(metrics)
    other = values["metrics"] | {"positive": "fern"}
    for change in ({"checkpoint": "epoch-1"}, {"metrics": other}):
        write_json(metrics, values | change)
        with pytest.raises(RunError, match="of the best checkpoint, as its config asks, found"):
            compare_arms(arms, "test", tmp_path / "after")
