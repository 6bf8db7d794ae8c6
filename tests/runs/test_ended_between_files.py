"""Commands that end between two of their files, or that two processes give at once."""

import shutil
import threading
from unittest import mock

import polars as pl
import pytest

from regard.errors import RunError
from regard.evaluation.settings import Evaluate, Gaze
from regard.runs import compare as compare_module
from regard.runs import evaluate as evaluate_module
from regard.runs.comparable import open_runs
from regard.runs.compare import compare_runs
from regard.runs.evaluate import evaluate_run
from regard.runs.files import read_json
from regard.runs.folder import locked
from regard.runs.log import add_line, read_lines
from regard.runs.run import load_run
from regard.studies.arm import evaluated, gaze_of
from regard.training.train import train
from tinyset import config_of, write_set

GRADCAM, LAYERCAM = (Gaze(method=name, scores=("energy",)) for name in ("gradcam", "layercam"))


class KilledError(BaseException):
    """The process ends here."""


def killed_at(module, name, call=1):
    """Within, the process ends at one of a function's calls."""
    own, calls = getattr(module, name), 0

    def called(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            raise KilledError
        return own(*args, **kwargs)

    return mock.patch.object(module, name, called)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended")
    write_set(folder)
    changes = ("training.epochs=3", "training.best=val.loss", "training.optimiser.lr=0.3")
    train(config_of(*changes), folder / "run", folder=folder)
    checkpoints = {load_run(folder / "run", name).checkpoint for name in ("best", "last")}
    assert len(checkpoints) == 2
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy beside the samples, to be written into."""
    folder = trained.parent / tmp_path.name
    yield shutil.copytree(trained, folder)
    shutil.rmtree(folder)


def energies(folder):
    told = read_json(folder / "metrics/test.json")
    return {m: values["scores"]["energy"]["value"] for m, values in told["gaze"].items()}


def test_tables_of_one_checkpoint_are_never_beside_metrics_of_another(run):
    evaluate_run(load_run(run), "test", gaze=[GRADCAM])
    truth = energies(run)["gradcam"]
    with pytest.raises(KilledError), killed_at(evaluate_module, "write_json"):
        evaluate_run(load_run(run, "last"), "test", gaze=[GRADCAM])
    assert not (run / "metrics/test.json").exists()
    evaluate_run(load_run(run), "test", gaze=[LAYERCAM])
    assert list(energies(run)) == ["layercam"]
    evaluate_run(load_run(run), "test", gaze=[GRADCAM])
    assert energies(run)["gradcam"] == truth


def test_a_threshold_is_of_the_checkpoint_s_own_answers(run, tmp_path):
    decide = Evaluate(target_recall=0.75)
    whole = shutil.copytree(run, run.with_name(run.name + "-whole"))
    evaluate_run(load_run(whole), "test", decide=decide)
    evaluate_run(load_run(run), "val")
    with pytest.raises(KilledError), killed_at(evaluate_module, "write_json"):
        evaluate_run(load_run(run, "last"), "val")
    evaluate_run(load_run(run), "test", decide=decide)
    assert read_json(run / "threshold.json") == read_json(whole / "threshold.json")
    shutil.rmtree(whole)


def test_a_reading_is_noted_before_its_numbers_are_there(run):
    with pytest.raises(KilledError), killed_at(evaluate_module, "write_json"):
        evaluate_run(load_run(run), "test", gaze=[GRADCAM])
    assert [line["split"] for line in read_lines(run / "metrics/readings.jsonl")] == ["test"]
    own = load_run(run)
    evaluate_run(own, "test", gaze=gaze_of(own.config))
    assert evaluated(own, "test")


def test_two_that_score_one_run_keep_what_both_found(run):
    """The second one reads what is there once the first has written all of it."""
    inside, go_on = threading.Event(), threading.Event()
    own = evaluate_module.write_table

    def slowly(path, table):
        if threading.current_thread() is first and "scores" in str(path):
            inside.set()
            assert go_on.wait(60)
        own(path, table)

    first = threading.Thread(
        target=lambda: evaluate_run(load_run(run), "test", gaze=[GRADCAM]), daemon=True
    )
    with mock.patch.object(evaluate_module, "write_table", slowly):
        first.start()
        assert inside.wait(60)
        with (
            mock.patch("regard.runs.folder.PATIENCE", 0.05),
            pytest.raises(RunError, match="a folder that no other process writes into"),
        ):
            evaluate_run(load_run(run), "test", gaze=[LAYERCAM])
        go_on.set()
        first.join()
        evaluate_run(load_run(run), "test", gaze=[LAYERCAM])
    assert set(energies(run)) == {"gradcam", "layercam"}
    scores = pl.read_parquet(run / "scores/test.parquet")
    assert set(scores["method"]) == {"gradcam", "layercam"}
    with locked(run / "metrics"):
        pass


@pytest.mark.parametrize("function", ["write_table", "write_json"])
def test_a_comparison_that_was_killed_is_made_again(run, function):
    out = run.with_name(run.name + "-compared")
    runs = open_runs([str(run), f"{run}@last"], "test")
    with pytest.raises(KilledError), killed_at(compare_module, function):
        compare_runs(runs, "test", out)
    out.mkdir(exist_ok=True)
    (out / ".pairs.parquet.partial").write_text("half")
    compare_runs(runs, "test", out)
    assert {path.name for path in out.iterdir()} == {"pairs.parquet", "summary.json"}
    shutil.rmtree(out)


def test_a_line_after_a_torn_one_stands_by_itself(tmp_path):
    path = tmp_path / "lines.jsonl"
    add_line(path, {"a": 1})
    with path.open("a") as file:
        file.write('{"a": 2, "b')
    add_line(path, {"a": 3})
    assert [line["a"] for line in read_lines(path)] == [1, 3]
    path.write_text('{"a": 2, "b')
    add_line(path, {"a": 3})
    assert [line["a"] for line in read_lines(path)] == [3]


@pytest.mark.parametrize("text", ["{}", "[]", "{", "null", '{"checkpoint": "step-99"}'])
def test_metrics_that_are_none_are_written_anew(run, text):
    evaluate_run(load_run(run), "test", gaze=[GRADCAM])
    whole = read_json(run / "metrics/test.json")
    (run / "metrics/test.json").write_text(text)
    assert not evaluated(load_run(run), "test")
    evaluate_run(load_run(run), "test", gaze=[GRADCAM])
    assert read_json(run / "metrics/test.json") == whole
