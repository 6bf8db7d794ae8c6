"""A small tuning: killed and continued, in parallel, and what came of it."""

import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from multiprocessing import active_children
from unittest import mock

import numpy as np
import optuna
import polars as pl
import pytest
import yaml
from optuna.trial import TrialState, create_trial
from polars.testing import assert_frame_equal

from forked import Forked
from processes import until
from regard.errors import ConfigError, MissingExtraError, NumericalError, RegardError, RunError
from regard.runs import checkpoints
from regard.runs.checkpoints import load
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.runs.log import read_log
from regard.runs.run import load_run
from regard.studies import arm, tuning_trial, tuning_work
from regard.studies.read import read_study
from regard.studies.tuning import number_of_trials, tune
from regard.studies.tuning_holds import FileHolds
from regard.studies.tuning_preflight import refuse_trials
from regard.studies.tuning_read import read_tuning
from regard.studies.tuning_sampling import drawn, judged
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import space_of
from regard.studies.tuning_summary import front
from regard.training.config import changed, read_config
from regard.training.loop import Trainer
from regard.training.train import train
from tinyset import BASE, REGARD, environment, run_regard, same_tensors, write_set

COUNTS = {"train": 12, "val": 6, "test": 6}
TUNING = {
    "name": "tiny",
    "base": changed(BASE, ["training.batch_size=4", "gaze.train_sample=0"]),
    "search": {
        "training.optimiser.lr": {"low": "1e-3", "high": 0.3, "log": True},
        "training.optimiser.name": ["adamw", "sgd"],
        "model.options.dropout": {"low": 0, "high": 0.5, "step": 0.25},
        "model.freeze": ["none", 1],
        "training.batch_size": {"low": 4, "high": 6},
    },
    "startup": 3,
    "pruning": {"kind": "median", "warmup": 0, "startup": 2},
    "seed": 3,
}
GRID = {
    "search": {"training.optimiser.lr": [0.001, 0.01, 0.1], "training.patience": [1, None]},
    "sampler": "grid",
    "pruning": "none",
}
TRIALS = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning home")
    write_set(folder, counts=COUNTS)
    return folder


def tuning_in(folder, *changes, name="tuning.yaml", **values):
    """A tuning's file, with changes such as `seed=1`, read."""
    path = folder / name
    path.write_text(yaml.safe_dump(changed(TUNING | values, changes), sort_keys=False))
    return read_tuning(path)


def table_in(out):
    return pl.read_parquet(out / "trials.parquet").drop("seconds")


@pytest.fixture(scope="module")
def whole(home):
    """A tuning that nothing interrupted."""
    out = home / "whole"
    summary = tune(tuning_in(home), out, trials=TRIALS)
    return out, summary


@pytest.fixture(scope="module")
def two(home):
    """A tuning of two objectives, by a grid."""
    out = home / "two"
    tuning = tuning_in(home, name="two.yaml", **GRID | {"pruning": None},
                       objective=["val.accuracy", "val.energy"])  # fmt: skip
    return tuning, out, tune(tuning, out)


def test_a_row_is_what_its_run_and_the_storage_have(whole):
    out, summary = whole
    table = pl.read_parquet(out / "trials.parquet")
    assert table["number"].to_list() == list(range(TRIALS))
    assert {"complete", "pruned"} <= set(table["state"])
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{out}/tuning.db")
    for row, trial in zip(table.iter_rows(named=True), study.trials, strict=True):
        run = out / row["run"]
        epochs = list(read_log(RunFolder(run).log, "epoch"))
        best = [record for record in epochs if record["best"]][-1]
        assert (row["epochs"], row["seconds"]) == (len(epochs), epochs[-1]["seconds"])
        chosen = best if row["state"] == "complete" else epochs[-1]
        assert row["val.loss"] == trial.value == chosen["val"]["loss"]
        assert trial.intermediate_values == {e["epoch"]: e["val"]["loss"] for e in epochs}
        config = RunFolder(run).read_config()
        assert config["training"]["optimiser"]["lr"] == row["training.optimiser.lr"]
        assert config["model"]["options"]["dropout"] == row["model.options.dropout"]
        assert str(config["model"]["freeze"]) == row["model.freeze"]
        assert config["training"]["best"] == "val.loss"
    study._storage._backend.engine.dispose()
    done = table.filter(pl.col("state") == "complete").sort("val.loss")
    assert summary["best"][0]["number"] == done["number"][0]
    assert summary == read_json(out / "tuning.json")
    assert sum(summary["states"].values()) == TRIALS
    assert not list(out.rglob("test.parquet"))
    assert not list(out.rglob("readings.jsonl"))


def test_the_best_file_trains_and_gives_its_trial_again(whole, tmp_path):
    out, summary = whole
    best = summary["best"][0]
    config = read_config(out / "best.yaml")
    train(config, tmp_path / "run", folder=out)
    logs = [list(read_log(folder / "log.jsonl", "epoch")) for folder in
            (tmp_path / "run", out / best["run"])]  # fmt: skip
    values = [[record["val"]["loss"] for record in log] for log in logs]
    assert values[0] == values[1]
    assert min(values[0]) == best["val.loss"]
    assert same_tensors(*(load_run(f).net.state_dict() for f in
                          (tmp_path / "run", out / best["run"])))  # fmt: skip
    head = (out / "best.yaml").read_text().splitlines()[:2]
    assert head[0].startswith(f"# Trial {best['number']} of the tuning tiny: val.loss ")
    assert "test was not read" in head[1]


def test_more_trials_may_follow_and_done_ones_are_kept(home, whole):
    out, _ = whole
    before = {path: path.stat().st_mtime_ns for path in (out / "trials").rglob("*.jsonl")}
    table = table_in(out)
    summary = tune(tuning_in(home), out, trials=2)
    assert summary["trials"] == 2
    assert_frame_equal(table_in(out), table)
    assert before == {p: p.stat().st_mtime_ns for p in (out / "trials").rglob("*.jsonl")}


def test_a_tuning_whose_trials_did_not_tell_of_their_logs_goes_on(home, whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    origin = read_json(out / "origin.json")
    del origin["home"]
    (out / "origin.json").write_text(json.dumps(origin))
    with closing(sqlite3.connect(out / "tuning.db")) as database:
        database.execute("DELETE FROM trial_user_attributes WHERE key = 'logged'")
        database.commit()
    tune(tuning_in(home), out, trials=TRIALS)
    assert_frame_equal(*(pl.read_parquet(f / "trials.parquet") for f in (out, whole[0])))
    assert len(read_json(out / "origin.json")["home"]) == 16


class KilledError(BaseException):
    """The process ends here, with nothing cleaned up behind it."""


POINTS = (
    (tuning_work, "drawn"),
    (optuna.storages.RDBStorage, "_create_new_trial"),
    (optuna.Study, "tell"),
    (tuning_work, "judged"),
    (tuning_work, "attempt"),
    (tuning_trial, "_train"),
    (arm, "write_json"),
    (optuna.storages.RDBStorage, "set_trial_intermediate_value"),
    (Trainer, "_step"),
    (Trainer, "save"),
    (checkpoints, "point"),
)


def killing(rng):
    """Patches that let the process end before or after one of the next calls at `POINTS`."""
    left = rng.randint(1, 12)

    def deadly(function):
        def called(*args, **kwargs):
            nonlocal left
            left -= 1
            here = left == 0
            if here and rng.random() < 0.5:
                raise KilledError
            result = function(*args, **kwargs)
            if here:
                raise KilledError
            return result

        return called

    return [mock.patch.object(o, name, deadly(getattr(o, name))) for o, name in POINTS]


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.torture) for seed in (0, 2))]
)
def test_ended_at_any_point_and_continued_it_ends_the_same(home, whole, tmp_path, tally, seed):
    expected, kills, rng = table_in(whole[0]), 0, random.Random(seed)
    while True:
        patches = killing(rng)
        for patch in patches:
            patch.start()
        try:
            tune(tuning_in(home), tmp_path / "out", trials=TRIALS)
            break
        except KilledError:
            kills += 1
        finally:
            for patch in patches:
                patch.stop()
    assert kills > 4
    assert_frame_equal(table_in(tmp_path / "out"), expected, check_exact=True)
    assert steps_reported(tmp_path / "out") == steps_reported(whole[0])
    for row in expected.iter_rows(named=True):
        own, other = (load(f / row["run"] / "checkpoints") for f in (tmp_path / "out", whole[0]))
        assert same_tensors(own.model, other.model)
    tally("tuning ended at any call", kills, kills)


@pytest.mark.parametrize(
    "kills", [(9,), pytest.param((2, 5, 9, 11, 13), marks=pytest.mark.torture)]
)
def test_killed_processes_continued_end_the_same(home, whole, tmp_path, tally, kills):
    out, rng = tmp_path / "out", random.Random(1)
    tuning_in(home, name="again.yaml")
    words = [*REGARD, "tune", str(home / "again.yaml"), "--trials", str(TRIALS), "--out", str(out)]
    for steps in kills:
        with Forked(
            words, env=environment(), start_new_session=True, stderr=subprocess.PIPE
        ) as process:
            until(lambda: steps_of(out) >= steps, process)  # noqa: B023
            at = time.monotonic() + rng.random() / 3
            until(lambda: time.monotonic() >= at, process)  # noqa: B023
            os.killpg(process.pid, signal.SIGKILL)
    done = run_regard(*words[3:], timeout=600)
    assert done.returncode == 0, done.stderr
    assert "going on with" in done.stderr
    assert_frame_equal(table_in(out), table_in(whole[0]), check_exact=True)
    assert (out / "report.html").is_file()
    tally("kill -9: tuning", len(kills), len(kills))


def steps_of(out):
    """Steps in the logs of all trials."""
    return sum(log.read_text().count('"kind": "step"') for log in out.glob("trials/*/log.jsonl"))


def steps_reported(out):
    """The values that the storage has of every trial's epochs."""
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{out}/tuning.db")
    found = [trial.intermediate_values for trial in study.trials]
    study._storage._backend.engine.dispose()
    return found


class KillsOne:
    """A watcher that kills a process of the crew, once, in the middle of a trial."""

    def __init__(self):
        self.killed, self.rows = None, []

    def begun(self, rows, total):
        self.total = total

    def moved(self, done):
        if self.killed is None and done % 1:
            self.killed = active_children()[0].pid
            os.kill(self.killed, signal.SIGKILL)

    def finished(self, row):
        self.rows.append(row["number"])


def test_processes_of_two_commands_lose_and_double_no_trial(home, tmp_path):
    out, seen = tmp_path / "out", KillsOne()
    tuning = tuning_in(home, "base.training.epochs=60", name="grid.yaml", **GRID)
    words = [*REGARD, "tune", home / "grid.yaml", "--out", out, "--json"]
    with Forked(
        list(map(str, words)), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as other:
        summary = tune(tuning, out, seen, workers=2)
        answer, errors = other.communicate(timeout=600)
    assert other.returncode == 0, errors
    assert seen.killed
    assert (seen.total, sorted(set(seen.rows))) == (6, seen.rows and list(range(6)))
    table = pl.read_parquet(out / "trials.parquet")
    assert table["number"].to_list() == list(range(6))
    assert table["state"].to_list() == ["complete"] * 6
    points = set(table.select("training.optimiser.lr", "training.patience").rows())
    assert len(points) == 6
    for number in range(6):
        epochs = [r["epoch"] for r in read_log(out / f"trials/{number}/log.jsonl", "epoch")]
        assert epochs == list(range(1, len(epochs) + 1))
    assert {path.name for path in (out / "trials").iterdir()} == set(map(str, range(6)))
    assert yaml.safe_load(answer)["states"] == summary["states"]


def test_the_grid_has_every_point_once_in_the_seed_s_order():
    keys = {"a": [1, 2, 3], "b": ["x", [1, 2]], "c": {"low": 0, "high": 0.3, "step": 0.1}}
    base = changed(BASE, ["model.options.a=1", "model.options.b=1", "model.options.c=1"])
    search = {f"model.options.{key}": own for key, own in keys.items()}
    orders = []
    for seed in (0, 1):
        tuning = Tuning(name="g", base=base, search=search, sampler="grid", seed=seed)
        space, trials = space_of(tuning), []
        assert number_of_trials(tuning, space, 100) == 24
        for _ in range(24):
            chosen = drawn(tuning, space, trials)
            trials.append(tuning_work.begun(space, chosen))
        orders.append([tuple(trial.params.values()) for trial in trials])
    wanted = set(itertools.product([1, 2, 3], ["x", "[1, 2]"], [0.0, 0.1, 0.2, 0.3]))
    assert set(orders[0]) == set(orders[1]) == wanted
    assert len(orders[0]) == 24
    assert orders[0] != orders[1]
    assert space[1].value("[1, 2]") == [1, 2]


def finished_trials(tuning, count, seed=0, epochs=6):
    """Trials with noisy values of epochs; every third one was pruned after three."""
    space, rng, trials = space_of(tuning), np.random.default_rng(seed), []
    for number in range(count):
        own = drawn(tuning, space, trials)
        values = rng.normal(1, 0.3, epochs) - 0.05 * np.arange(epochs)
        short = number % 3 == 2
        kept = dict(enumerate(values[: 3 if short else None].tolist(), start=1))
        trial = create_trial(
            state=TrialState.PRUNED if short else TrialState.COMPLETE,
            value=min(kept.values()), params=own, intermediate_values=kept,
            distributions=tuning_work.begun(space, own).distributions,
        )  # fmt: skip
        trials.append(trial)
    return space, trials


def test_what_is_drawn_depends_on_seed_and_earlier_trials_alone():
    tuning = Tuning.model_validate(TUNING)
    space, trials = finished_trials(tuning, 12)
    again = finished_trials(tuning, 12)[1]
    assert [t.params for t in trials] == [t.params for t in again]
    last = drawn(tuning, space, trials)
    assert last == drawn(tuning, space, trials)
    other = tuning.model_copy(update={"seed": 4})
    assert last != drawn(other, space, trials)
    assert last != drawn(tuning, space, finished_trials(tuning, 12, seed=1)[1])
    for trial in trials:
        assert 1e-3 <= trial.params["training.optimiser.lr"] <= 0.3
        assert trial.params["model.options.dropout"] in (0, 0.25, 0.5)
        assert type(trial.params["training.batch_size"]) is int


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_median_prunes_by_its_definition(better):
    tuning = Tuning.model_validate(
        TUNING | {"pruning": {"kind": "median", "warmup": 2, "startup": 4},
                  "objective": {"metric": "val.loss", "better": better}}
    )  # fmt: skip
    space, trials = finished_trials(tuning, 9)
    rng, sign = np.random.default_rng(5), 1 if better == "lower" else -1
    verdicts = []
    for epoch in range(1, 6):
        for _ in range(4):
            own = dict(enumerate(rng.normal(0.9, 0.1, epoch).tolist(), start=1))
            running = tuning_work.begun(space, trials[0].params)
            full = [t for t in trials if t.state == TrialState.COMPLETE]
            at = sign * np.median([t.intermediate_values[epoch] for t in full])
            expected = epoch > 2 and min(sign * v for v in own.values()) > at
            assert judged(tuning, [*trials, running], 9, own, 6) == (expected, {})
            assert not judged(tuning, [*trials[:3], running], 3, own, 6)[0]
            verdicts.append(expected)
    assert {True, False} == set(verdicts)


def test_hyperband_judges_as_optuna_does_when_nothing_is_resumed():
    tuning = Tuning.model_validate(TUNING | {"pruning": {"kind": "hyperband", "warmup": 1}})
    space, rng = space_of(tuning), np.random.default_rng(0)
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    study = optuna.create_study(study_name="tiny", pruner=pruner)
    ours, lengths = [], []
    for number in range(20):
        trial, values = study.ask(), {}
        for epoch in range(1, 10):
            values[epoch] = float(rng.normal())
            trial.report(values[epoch], epoch)
            ended, marks = judged(
                tuning, [*ours, tuning_work.begun(space, drawn(tuning, space, []))],
                number, values, 9,
            )  # fmt: skip
            assert ended == trial.should_prune()
            if ended:
                break
        lengths.append(epoch)
        state = TrialState.PRUNED if ended else TrialState.COMPLETE
        study.tell(trial, None if ended else values[9], state=state)
        ours.append(
            create_trial(state=state, value=values[epoch], intermediate_values=values,
                         system_attrs=marks)
        )  # fmt: skip
    assert len(set(lengths)) > 2


@pytest.mark.parametrize("better", [("lower", "lower"), ("higher", "lower"), ("higher", "higher")])
def test_the_front_is_what_no_other_trial_beats(better):
    names = ("val.accuracy", "val.energy")
    tuning = Tuning.model_validate(
        TUNING | {"pruning": None, "objective": [{"metric": m, "better": b} for m, b in
                                                 zip(names, better, strict=True)]}
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(0, 8, (25, 2)) / 8
        rows = [{"number": n, "state": "complete" if n % 5 else "failed", names[0]: a, names[1]: b}
                for n, (a, b) in enumerate(values.tolist())]  # fmt: skip
        costs = values * [1 if b == "lower" else -1 for b in better]
        done = [n for n in range(25) if n % 5]
        beaten = {
            n for n in done for o in done
            if (costs[o] <= costs[n]).all() and ((costs[o] < costs[n]).any() or o < n)
        }  # fmt: skip
        found = front(tuning, rows)
        assert {row["number"] for row in found} == set(done) - beaten
        firsts = [costs[row["number"]][0] for row in found]
        assert firsts == sorted(firsts)


def test_two_objectives_give_a_front_of_configs(two):
    tuning, out, summary = two
    table = pl.read_parquet(out / "trials.parquet")
    assert table["state"].to_list() == ["complete"] * 6
    for row in table.iter_rows(named=True):
        best = [r for r in read_log(out / row["run"] / "log.jsonl", "epoch") if r["best"]][-1]
        assert (row["val.accuracy"], row["val.energy"]) == (
            best["val"]["accuracy"], best["val"]["energy"],
        )  # fmt: skip
    numbers = [row["number"] for row in summary["best"]]
    assert numbers == [row["number"] for row in front(tuning, table.rows(named=True))]
    values = table.select("val.accuracy", "val.energy").rows()
    equals = [values.count(values[number]) - 1 for number in numbers]
    assert [row["equals"] for row in summary["best"]] == equals
    assert sorted(p.name for p in out.glob("best*.yaml")) == sorted(
        f"best-{n}.yaml" for n in numbers
    )
    for number in numbers:
        config = read_config(out / f"best-{number}.yaml")
        assert config.training.optimiser.lr == table["training.optimiser.lr"][number]
        assert config.training.best == "val.loss"


def failing(*numbers):
    """Trials of these numbers blow up."""
    own = tuning_trial._train

    def trained(config, run, *rest):
        if int(run.name) in numbers:
            raise NumericalError(f"not finite: loss of trial {run.name}")
        own(config, run, *rest)

    return mock.patch.object(tuning_trial, "_train", trained)


def test_a_failed_trial_is_kept_and_the_search_goes_on(home, tmp_path):
    tuning = tuning_in(home, name="failing.yaml", sampler="random")
    with failing(0):
        summary = tune(tuning, tmp_path / "out", trials=2)
    table = pl.read_parquet(tmp_path / "out" / "trials.parquet")
    assert table["state"].to_list() == ["failed", "complete"]
    assert table["error"].to_list() == ["not finite: loss of trial 0", None]
    assert summary["best"][0]["number"] == 1
    with failing(0, 1), pytest.raises(RunError, match="found 2 failed, the first with: not finite"):
        tune(tuning, tmp_path / "none", trials=2)
    assert not (tmp_path / "none" / "best.yaml").exists()


def test_a_full_disk_is_no_trial_s_fault(home, tmp_path):
    tuning = tuning_in(home, name="full.yaml", sampler="random")
    full = OSError(28, "No space left on device", "log.jsonl")
    with (
        mock.patch.object(tuning_trial, "_train", side_effect=full),
        pytest.raises(OSError, match="sp"),
    ):
        tune(tuning, tmp_path / "out", trials=1)
    assert tune(tuning, tmp_path / "out", trials=1)["states"]["complete"] == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"search": {}}, "nothing to search; name keys"),
        ({"search": {"training.epochs": 3}}, "3; write {low: ..., high: ...} or a list"),
        ({"search": {"training.epochs": [3]}}, "1 choices; give two or more"),
        ({"search": {"training.epochs": [3, 3]}}, "the choice 3 twice"),
        ({"search": {"a.b": {"low": 1}}}, "neither low and high nor choices"),
        ({"search": {"a.b": {"low": 2, "high": 1}}}, "make high the larger one"),
        ({"search": {"a.b": {"low": 0, "high": 1, "log": True}}}, "begin above 0"),
        ({"search": {"a.b": {"low": 1, "high": 2, "log": True, "step": 1}}}, "both log and step"),
        ({"search": {"a.b": {"low": 0, "high": 1, "step": 0.3}}}, "set high: 0.9"),
        ({"search": {"a.b": {"low": 0, "high": 1, "stp": 0.3}}}, "did you mean step"),
        ({"objective": "test.accuracy"}, "judged on val alone"),
        ({"objective": ["val.loss", "val.loss"]}, "two different ones"),
        ({"objective": ["val.loss", "val.f1_macro"]}, "pruning median with two objectives"),
        ({"sampler": "gird"}, "did you mean grid"),
        ({"trials": 0}, "expected 1 or more, found 0"),
    ],
)
def test_a_wrong_file_is_one_clear_line(home, change, text):
    with pytest.raises(ConfigError, match=re.escape(text)) as caught:
        tuning_in(home, name="wrong.yaml", **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"search": {"training.optimizer.lr": [0.1, 1]}}, "training.optimizer: expected a known k"),
        (
            {"search": {"training.optimiser.lr": {"low": -1, "high": 1}}},
            "lr: expected above 0, fou",
        ),
        ({"search": {"training.optimiser.name": ["adam", "adamq"]}}, "did you mean adam"),
        ({"search": {"training.batch_size": {"low": 2, "high": 4, "step": 0.5}}}, "a whole number"),
        ({"search": {"gaze.contrast": {"low": 0, "high": 1}}}, "expected choices, as this is no"),
        ({"search": {"guidance.terms.0.weight": [1, 2]}}, "expected a list at guidance.terms"),
        ({"sampler": "grid"}, "expected choices or a step, for a grid"),
        ({"objective": "val.acuracy"}, "did you mean val.accuracy"),
        ({"search": {"model.options.widht": [1, 2]}}, "unexpected keyword argument 'widht'"),
        ({"search": {"model.spec": ["regard:cnn2", "regard:cnn9"]}}, "model.spec=regard:cnn9"),
    ],
)
def test_what_can_be_known_is_refused_before_the_first_trial(home, tmp_path, change, text):
    tuning = tuning_in(home, name="wrong.yaml", **change)
    with pytest.raises(RegardError, match=re.escape(text)) as caught:
        tune(tuning, tmp_path / "out", trials=2)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "values", "objective", "refused"),
    [
        ("guidance.terms.0.weight", [0.1, 1.0], "val.loss", True),
        ("guidance.cross_entropy", [0.1, 1.0], "val.loss", True),
        ("guidance.terms.0.weight", [0.1, 1.0], ["val.accuracy", "val.loss"], True),
        ("guidance.terms.0.weight", [0.1, 1.0], "val.cross_entropy", False),
        ("guidance.share", [0.5, 1.0], "val.loss", False),
        ("training.label_smoothing", [0.0, 0.1], "val.loss", False),  # of train's loss alone
    ],
)
def test_a_factor_of_the_loss_is_not_searched_by_the_loss(home, key, values, objective, refused):
    base = changed(TUNING["base"], ["guidance.terms=[{term: energy}]"])
    tuning = tuning_in(
        home, name="factor.yaml", search={key: values}, base=base, objective=objective, pruning=None
    )
    if refused:
        with pytest.raises(ConfigError, match=f"search {key}: expected an objective that means"):
            refuse_trials(tuning, space_of(tuning))
    else:
        refuse_trials(tuning, space_of(tuning))


def test_guidance_weights_and_numbers_are_searched_as_the_config_takes_them(home):
    search = {
        "guidance.terms.0.weight": {"low": 0, "high": 10},
        "training.optimiser.weight_decay": {"low": 0, "high": 1},
        "training.patience": {"low": 1, "high": 5},
        "model.head.width": {"low": 16, "high": 64, "step": 16},
    }
    base = changed(TUNING["base"], ["guidance.terms=[{term: energy}]"])
    tuning = tuning_in(home, name="guided.yaml", search=search, base=base)
    space = space_of(tuning)
    assert [own.whole for own in space] == [False, False, True, True]
    assert space[3].points == (16, 32, 48, 64)
    chosen = drawn(tuning, space, [])
    assert [type(value) for value in chosen.values()] == [float, float, int, int]


def test_numbers_of_trials_and_processes_are_at_least_one(home, tmp_path):
    tuning = tuning_in(home)
    for how, text in (({"trials": 0}, "--trials"), ({"trials": 2, "workers": 0}, "--workers")):
        with pytest.raises(ConfigError, match=f"{text}: expected 1 or more, found 0"):
            tune(tuning, tmp_path / "out", **how)
    with pytest.raises(ConfigError, match="found none; add --trials 30"):
        tune(tuning, tmp_path / "out")
    assert number_of_trials(tuning.model_copy(update={"trials": 7}), space_of(tuning), None) == 7


def test_without_val_there_is_nothing_to_choose_on(tmp_path):
    write_set(tmp_path, counts={"train": 12, "test": 6})
    with pytest.raises(ConfigError, match=r"found splits train, test; set base\.data\.val_from"):
        tune(tuning_in(tmp_path), tmp_path / "out", trials=1)
    assert not (tmp_path / "out").exists()


def test_folders_and_storages_of_others_are_refused(home, whole, tmp_path):
    out, _ = whole
    tuning = tuning_in(home)
    with pytest.raises(RunError, match="found a tuning that differs in seed; choose another --out"):
        tune(tuning_in(home, "seed=9", name="other.yaml"), out, trials=9)
    with pytest.raises(RunError, match="found a run; choose another --out"):
        tune(tuning, out / "trials" / "0", trials=9)
    storage = f"sqlite:///{out}/tuning.db"
    with pytest.raises(RunError, match="found a tuning of another folder; give the --storage and"):
        tune(tuning, tmp_path / "a", trials=9, storage=storage)
    other = tuning_in(home, "seed=9", name="other.yaml")
    with pytest.raises(RunError, match=r"study tiny: .*found a tuning that differs in seed"):
        tune(other, tmp_path / "b", trials=9, storage=storage)
    with pytest.raises(RunError, match="found none, though the folder has some"):
        tune(tuning, out, trials=9, storage=f"sqlite:///{tmp_path}/empty.db")
    foreign = f"sqlite:///{tmp_path}/foreign.db"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="tiny", storage=foreign)
    study.add_trial(create_trial(value=1.0))
    study._storage._backend.engine.dispose()
    with pytest.raises(RunError, match="found those of another program"):
        tune(tuning, tmp_path / "c", trials=9, storage=foreign)
    for folder in "abc":
        assert not (tmp_path / folder / "trials").exists()


def test_changed_samples_are_refused(tmp_path):
    path = write_set(tmp_path, counts=COUNTS)
    tuning = tuning_in(tmp_path, sampler="random", pruning="none")
    tune(tuning, tmp_path / "out", trials=1)
    table = pl.read_parquet(path)
    table.head(23).write_parquet(path)
    with pytest.raises(RunError, match="expected the manifest that the tuning began with"):
        tune(tuning, tmp_path / "out", trials=2)


@pytest.mark.parametrize(
    ("storage", "kind", "text"),
    [
        ("nowhere", ConfigError, "--storage: expected a URL such as sqlite:///"),
        ("oracles://x/y", ConfigError, "--storage: expected a database that SQLAlchemy knows"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", RegardError, "postgresql+psycopg"),
        ("sqlite:////proc/none.db", RegardError, "expected a storage that answers"),
    ],
)
def test_a_storage_that_cannot_be_had_is_one_line(home, tmp_path, storage, kind, text):
    with pytest.raises(kind, match=re.escape(text)) as caught:
        tune(tuning_in(home), tmp_path / "out", trials=1, storage=storage)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_locked_database_is_said(home, tmp_path):
    path = tmp_path / "locked.db"
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RunError, match=r"no other program holds, found database is locked; wait"):
        tune(tuning_in(home), tmp_path / "out", trials=1, storage=f"sqlite:///{path}?timeout=0.1")
    holder.rollback()
    holder.close()


def test_a_storage_that_gets_locked_in_mid_trial_fails_no_trial(home, tmp_path):
    tuning = tuning_in(home, name="locks.yaml", sampler="random", pruning="none")
    locked = optuna.exceptions.StorageInternalError("database is locked")
    place = optuna.storages.RDBStorage, "set_trial_intermediate_value"
    with mock.patch.object(*place, side_effect=locked), pytest.raises(RunError, match="is locked"):
        tune(tuning, tmp_path / "out", trials=1)
    assert tune(tuning, tmp_path / "out", trials=1)["states"]["complete"] == 1


def test_a_trial_is_held_by_one_and_free_when_it_lets_go(tmp_path):
    holds = FileHolds(tmp_path / "holds")
    hold = holds.take(3)
    assert holds.take(3) is None
    hold.sure()
    hold.close()
    holds.take(3).close()


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in ("optuna_extra", "tuning"):
        monkeypatch.delitem(sys.modules, f"regard.studies.{name}", raising=False)
    with pytest.raises(MissingExtraError, match=r"regard tune: .* pip install 'regard\[tune\]'"):
        __import__("regard.studies.tuning")


def test_files_for_other_commands_are_pointed_there(home):
    tuning_in(home)
    for read, text in (
        (read_config, "a tuning \\(it has search\\); use: regard tune"),
        (read_study, "a tuning \\(it has search\\); use: regard tune"),
    ):
        with pytest.raises(ConfigError, match=text):
            read(home / "tuning.yaml")
    for values, command in ((BASE, "train"), ({"arms": {}}, "study")):
        (home / "no.yaml").write_text(yaml.safe_dump(values))
        with pytest.raises(ConfigError, match=f"use: regard {command}"):
            read_tuning(home / "no.yaml")


def test_paths_among_choices_start_from_the_file(tmp_path):
    search = {
        "model.weights": ["runs/a", "none"],
        "training.patience": [1, None],
        "model": [{"spec": "regard:cnn2", "weights": "runs/b"}, {"spec": "regard:cnn4"}],
    }
    values = {"name": "p", "base": BASE, "search": search}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(values))
    found = read_tuning(tmp_path / "p.yaml").search
    assert found["model.weights"].choices == (str(tmp_path / "runs/a"), "none")
    assert found["training.patience"].choices == (1, None)
    assert found["model"].choices[0]["weights"] == str(tmp_path / "runs/b")
    assert found["model"].choices[1] == {"spec": "regard:cnn4"}
