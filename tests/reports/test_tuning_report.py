"""The report of a tuning, of folders made by hand."""

import json
import shutil
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import yaml
from pages import HOSTILE, MATHS, see

from regard.errors import RunError
from regard.reports import report, tuning_report
from regard.reports.drawing import canvas, plot
from regard.reports.tuning_axes import Scale, logarithmic, short
from regard.reports.tuning_contents import TuningContents
from regard.runs.files import dump_json, write_json

COUNT = 14


def write_tuning(folder, metrics=("val.loss",)):
    """Twelve complete trials, one that was broken off, one that failed; two with logs."""
    rng = np.random.default_rng(0)
    search = {
        "training.optimiser.lr": {"low": 0.001, "high": 0.1, "log": True},
        "model.freeze": {"choices": ["none", 1]},
    }
    tuning = {"name": "ferns", "title": f"Ferns {HOSTILE}", "about": MATHS, "base": {"data": {}},
              "search": search, "objective": [{"metric": m} for m in metrics]}  # fmt: skip
    (folder / "tuning.yaml").write_text(yaml.safe_dump(tuning, sort_keys=False))
    states = ["complete"] * 12 + ["pruned", "failed"]
    values = {m: [*rng.random(13).round(3).tolist(), None] for m in metrics}
    columns = {"number": range(COUNT), "state": states, **values,
               "training.optimiser.lr": np.geomspace(0.001, 0.1, COUNT),
               "model.freeze": ["none", "1"] * 7, "seconds": [2.0] * COUNT, "epochs": [2] * COUNT,
               "best_epoch": [2] * COUNT, "error": [None] * 13 + [f"ValueError: {HOSTILE}"],
               "run": [f"trials/{n}" for n in range(COUNT)]}  # fmt: skip
    pl.DataFrame(columns).write_parquet(folder / "trials.parquet")
    for number in (0, 12):
        (folder / f"trials/{number}").mkdir(parents=True)
        names = [metric.partition(".")[2] for metric in metrics]
        lines = [{"kind": "epoch", "epoch": e, "best": True, "val": dict.fromkeys(names, 0.5 / e)}
                 for e in (1, 2)]  # fmt: skip
        text = "".join(dump_json(line) + "\n" for line in lines)
        (folder / f"trials/{number}/log.jsonl").write_text(text)
    first = np.asarray(values[metrics[0]][:12])
    numbers = [int(first.argmin())]
    numbers += [int(first.argmax())] if len(metrics) > 1 else []
    best = [
        {"number": n, "run": f"trials/{n}", "best_epoch": 2, "epochs": 2, "config": f"{n}.yaml",
         "equals": 3 if len(metrics) > 1 else 0,
         "params": {"training.optimiser.lr": 0.01, "model.freeze": "none"},
         **{m: values[m][n] for m in metrics}} for n in numbers
    ]  # fmt: skip
    write_json(
        folder / "tuning.json",
        {"name": "ferns", "pruning": "median", "states": {"complete": 12, "pruned": 1, "failed": 1},
         "epochs": 28, "seconds": 28.0, "best": best,
         "importance": {metrics[0]: {"training.optimiser.lr": 0.75, "model.freeze": 0.25}}},
    )  # fmt: skip
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_tuning(tmp_path)


def test_numbers_are_those_of_the_files(folder):
    seen = see(tuning_report(folder))
    table = pl.read_parquet(folder / "trials.parquet")
    done = table.filter(pl.col("state") == "complete")["val.loss"]
    assert f"Loss on val {done.min():.3f} the lowest of 12; the median is" in seen.text
    assert "12 complete, 1 broken off, 1 failed; 28 epochs in 28 s" in seen.text
    assert "The value of a trial that was broken off is that of its last epoch." in seen.text
    assert "they are the best of 12 on the same val images" in seen.text
    assert "Test was not read" in seen.text
    best = json.loads((folder / "tuning.json").read_text())["best"][0]["number"]
    for row in table.iter_rows(named=True):
        cells = seen.row(str(row["number"]))
        state = {"complete": "complete", "pruned": "broken off"}.get(row["state"], "failed")
        assert cells[1].split("|")[0] == ("best" if row["number"] == best else state)
        value = row["val.loss"]
        assert cells[2] == ("–" if value is None else f"{value:.4f}")
        assert cells[4] == row["model.freeze"]
    assert seen.row("13")[1] == f"failed|ValueError: {HOSTILE}"
    labels = [tag["aria-label"] for tag in seen.named("svg")]
    assert any("training.optimiser.lr 75 %" in t.replace("\xa0", " ") for t in labels)
    assert any(f"to {done.min():.3f}" in t for t in labels)
    assert "Ferns " + HOSTILE in seen.text


def test_two_objectives_have_a_front(tmp_path):
    seen = see(report(write_tuning(tmp_path, ("val.accuracy", "val.energy"))))
    numbers = [row["number"] for row in json.loads((tmp_path / "tuning.json").read_text())["best"]]
    assert "2 trials are beaten by no other one in both objectives" in seen.text
    labels = [tag["aria-label"] for tag in seen.named("svg")]
    assert any(t.endswith(f"not beaten: trials {numbers[0]} and {numbers[1]}") for t in labels)
    assert {seen.row(str(n))[1] for n in numbers} == {"of the front"}
    assert "better is right and up" in seen.text
    told = f"3 other trials are as good as trial {numbers[0]}, which is the first of them."
    assert told in seen.text


def test_reports_of_trials_are_linked_from_the_file_that_is_written(folder, tmp_path):
    (folder / "trials/0/report.html").write_text("<p>")
    links = [t["href"] for t in see(tuning_report(folder)).named("a")]
    assert "trials/0/report.html" in links
    assert "trials/1/report.html" not in links
    out = tmp_path / "a b" / "page.html"
    assert "../trials/0/report.html" in [t["href"] for t in see(report(folder, out)).named("a")]


def changed(folder, states=None, kept=COUNT, pruning="median", **base):
    """The page of the tuning with fewer trials, with other words of its config, or both."""
    tuning = yaml.safe_load((folder / "tuning.yaml").read_text())
    tuning["base"]["training"] = base
    (folder / "tuning.yaml").write_text(yaml.safe_dump(tuning))
    summary = json.loads((folder / "tuning.json").read_text())
    write_json(folder / "tuning.json", summary | {"pruning": pruning})
    table = pl.read_parquet(folder / "trials.parquet")
    if states is not None:
        table = table.with_columns(state=pl.lit(states))
    table.head(kept).write_parquet(folder / "trials.parquet")
    return see(tuning_report(folder)).text


@pytest.mark.parametrize(
    ("pruning", "epochs", "possible"),
    [("median", 3, False), ("median", 4, True), ("hyperband", 2, False), ("hyperband", 3, True)],
)
def test_that_a_trial_is_broken_off_is_said_where_that_can_be(folder, pruning, epochs, possible):
    text = changed(folder, "complete", pruning=pruning, epochs=epochs)
    assert ("a trial is broken off" in text.lower()) == possible
    first = 3 if pruning == "median" else 2
    told = f"judged from epoch {first} on and before its last, and a trial has {epochs} epochs."
    assert (told in text) != possible
    assert "that cannot happen" not in text
    assert "The value of a trial that was broken off" not in text


def test_few_trials_are_all_random_and_none_is_broken_off(folder):
    text = changed(folder, kept=3)
    assert "All 3 trials were drawn at random: TPE" in text
    assert "The first 10 trials" not in text
    assert "With 3 trials that cannot happen: it takes 5 complete ones before." in text


def test_the_longest_epochs_searched_count(folder):
    tuning = yaml.safe_load((folder / "tuning.yaml").read_text())
    for tried in ({"low": 1, "high": 8}, {"choices": [2, 8]}):
        tuning["search"]["training.epochs"] = tried
        assert TuningContents(folder, tuning, None, {}).most_epochs == 8


@pytest.mark.parametrize("lost", ["tuning.json", "trials.parquet", "trials"])
def test_what_is_lost_is_said(folder, lost):
    path = folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = see(tuning_report(folder)).text
    assert ("cannot be read" in text) == (lost != "trials")
    (folder / "tuning.yaml").write_text("- 1")
    with pytest.raises(RunError, match=r"no tuning\.yaml with search"):
        tuning_report(folder)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (1.29e-4, 2.48e-4, ["0.000129", "0.000248"]),
        (0.2, 7.8, ["0.3", "1", "3"]),
        (1e-5, 0.1, ["1e−5", "0.0001", "0.001", "0.01", "0.1"]),
        (1e-7, 1.0, ["1e−7", "1e−5", "0.001", "0.1"]),
        (3.0, 3.0, ["3"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_do_not_overlap(low, high, told):
    with canvas() as drawn:
        axes = plot(drawn, "lr")
        axes.scatter([low, high], [0, 1])
        logarithmic(axes)
        drawn.draw_without_rendering()
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        assert [label.get_text() for label in labels] == told
        boxes = [label.get_window_extent() for label in labels]
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_a_place_in_a_list_is_named_with_the_list():
    assert short("guidance.terms.0.weight") == "terms.0.weight"
    assert short("training.optimiser.lr") == "optimiser.lr"


@pytest.mark.parametrize("lower", [True, False])
def test_a_few_very_bad_values_do_not_flatten_the_rest(lower):
    sign = 1 if lower else -1
    values = sign * np.asarray([*np.linspace(1, 2, 20), 1e5, np.nan])
    scale = Scale(values, lower)
    places, out = scale.placed(values)
    assert scale.beyond == 1
    assert out.tolist() == [False] * 20 + [True] * 2
    assert np.ptp(places) < 2
    assert (places[:20] == values[:20]).all()
    even = np.linspace(0, 1, 20)
    assert not Scale(even, lower).placed(even)[1].any()
