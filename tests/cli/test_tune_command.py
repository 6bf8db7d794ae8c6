"""What `regard tune` prints, while trials go and at the end."""

import json

import polars as pl
import pytest
import yaml

from regard.cli.show_tune import TuningView, ranked, show_tuning
from regard.runs.files import read_json
from regard.studies.tuning_settings import Tuning
from tinyset import BASE, write_set

TUNING = {
    "name": "tiny",
    "base": BASE,
    "search": {"training.optimiser.lr": [0.001, 0.01], "model.freeze": ["none", 1]},
    "sampler": "grid",
    "trials": 2,
}


def row(number, state, value, **rest):
    params = {"training.optimiser.lr": 0.01, "training.optimiser.name": "sgd"}
    fixed = {"number": number, "state": state, "params": params, "epochs": 3, "error": None}
    return fixed | {"val.loss": value} | rest


def test_a_line_a_trial_says_what_came_of_what(capsys):
    view = TuningView(Tuning.model_validate(TUNING))
    view.begun([row(0, "complete", 0.5)], 9)
    view.finished(row(1, "complete", 0.25))
    view.finished(row(2, "pruned", 0.75))
    view.finished(row(3, "failed", None, error="not finite: loss"))
    tried = "(lr 0.01, optimiser.name sgd)"
    assert capsys.readouterr().err.splitlines() == [
        "going on with 1 trial done of 9",
        f"trial 1: val.loss 0.2500 {tried}",
        f"trial 2: val.loss 0.7500, broken off after 3 epochs {tried}",
        f"trial 3: not finite: loss {tried}",
    ]
    assert view._title() == "trials, best val.loss 0.25"


@pytest.mark.parametrize(("better", "order"), [("lower", [3, 1, 0]), ("higher", [3, 0, 1])])
def test_the_front_stands_first_and_the_rest_by_its_value(better, order):
    states = ["complete", "complete", "pruned", "complete"]
    table = pl.DataFrame({"number": range(4), "state": states, "val.x": [0.9, 0.1, 0.0, 0.5]})
    summary = {"objectives": [{"metric": "val.x", "better": better}], "best": [{"number": 3}]}
    assert ranked(table, summary)["number"].to_list() == order


def test_equal_trials_are_not_called_better(tmp_path, capsys):
    table = {"number": [0, 1, 2], "state": ["complete"] * 3, "val.x": [0.5] * 3, "a": [1, 2, 3]}
    pl.DataFrame(table).write_parquet(tmp_path / "trials.parquet")
    summary = {
        "objectives": [{"metric": "val.x", "better": "lower"}],
        "best": [{"number": 0, "config": "best.yaml", "equals": 2}],
        "states": {"complete": 3, "pruned": 0, "failed": 0},
        "importance": {},
    }
    show_tuning(summary, tmp_path)
    told = capsys.readouterr().out
    assert "2 other trials are as good as trial 0, which is the first of them\n" in told
    summary["best"][0]["equals"] = 0
    show_tuning(summary, tmp_path)
    assert "as good as" not in capsys.readouterr().out


def test_from_a_file_to_the_best_config_and_a_report(regard, tmp_path, monkeypatch):
    write_set(tmp_path, counts={"train": 12, "val": 6, "test": 6})
    path = tmp_path / "tuning.yaml"
    path.write_text(yaml.safe_dump(TUNING, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    words = ("tune", path, "--set", "base.training.epochs=1")
    answer = regard(*words)
    out = tmp_path / "tunings" / "tiny"
    assert answer.code == 0
    assert answer.err.count("trial ") == 2
    assert "Best of 2 trials (2 complete)" in answer.out
    assert "Next: regard train tunings/tiny/best.yaml; regard evaluate runs/best\n" in answer.out
    assert "Values are of val, on which they were chosen" in answer.out
    assert answer.out.splitlines()[-1] == "Report: tunings/tiny/report.html"
    answer = regard(*words, "--trials", 3, "--json")
    assert json.loads(answer.out) == read_json(out / "tuning.json")
    assert read_json(out / "tuning.json")["states"] == {"complete": 3, "pruned": 0, "failed": 0}
    assert "going on with 2 trials done of 3" in answer.err
    (out / "report.html").unlink()
    assert regard("report", out).out.strip() == str(out / "report.html")
    refused = regard("tune", path, "--trials", 0)
    assert (refused.code, refused.err) == (
        2, "regard: --trials: expected 1 or more, found 0; correct it\n",
    )  # fmt: skip
