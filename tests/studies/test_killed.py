"""A study that is killed at any point and continued ends with the tables of one that was not."""

import os
import random
import signal
import subprocess

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from small_study import STUDY, Watcher

from forked import Forked
from processes import until, workers
from regard.runs.files import read_json
from regard.studies.read import read_study
from regard.studies.runner import run_study
from regard.training.config import changed
from tinyset import REGARD, environment, in_this_process, write_set

CHANGES = (
    "arms={plain: {}, moved: {guidance: {terms: [{term: energy}], regions: misplaced}}}",
    "comparisons=null",
)
# Two arms, two seeds, two epochs of two steps.
STEPS = 16
POINTS = random.Random(20).sample(range(1, STEPS), 10)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed home")
    write_set(folder, counts={"train": 12, "val": 6, "test": 12})
    text = yaml.safe_dump(changed(STUDY, CHANGES), sort_keys=False)
    (folder / "study.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def whole(home):
    with pytest.MonkeyPatch.context() as patched:
        in_this_process(patched)
        run_study(read_study(home / "study.yaml"), home / "whole", Watcher(), workers=1)
    return home / "whole"


def steps_in(out):
    logs = out.glob("runs/*/log.jsonl")
    return sum(log.read_bytes().count(b'{"kind": "step"') for log in logs)


def killed(home, out, point, one):
    """Start the study, and kill it, or one of its workers, at so many steps of all runs."""
    words = [*REGARD, "study", str(home / "study.yaml"), "--out", str(out), "--workers", "2"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with Forked(words, env=environment(), start_new_session=True, **quiet) as process:
        until(lambda: steps_in(out) >= point, process)
        if one:
            os.kill(workers(process.pid)[0], signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        _, err = process.communicate(timeout=300)
    return process.returncode, err


@pytest.mark.parametrize(
    ("point", "one"),
    [
        *(pytest.param(point, False, marks=pytest.mark.torture) for point in POINTS),
        pytest.param(POINTS[0], True, marks=pytest.mark.torture),
    ],
)
def test_the_tables_are_those_of_an_uninterrupted_study(
    home, whole, tmp_path, monkeypatch, tally, point, one
):
    out = tmp_path / "out"
    code, err = killed(home, out, point, one)
    if one:
        assert code in (1, 2)
        assert "its process was killed, perhaps for want of memory" in err
    else:
        assert code == -signal.SIGKILL
        assert not (out / "results.parquet").exists()
    in_this_process(monkeypatch)
    run_study(read_study(home / "study.yaml"), out, Watcher(), workers=1)
    tables = [pl.read_parquet(f / "results.parquet").drop("seconds") for f in (out, whole)]
    assert_frame_equal(*tables, check_exact=True)
    summaries = [read_json(f / "summary.json") for f in (out, whole)]
    for summary in summaries:
        for told in summary["costs"].values():
            del told["seconds"]
    assert summaries[0] == summaries[1]
    arms = [pl.read_csv(f / "arms.csv").filter(pl.col("metric") != "seconds") for f in (out, whole)]
    assert_frame_equal(*arms, check_exact=True)
    rows = [pl.read_csv(f / "results.csv").drop("seconds") for f in (out, whole)]
    assert_frame_equal(*rows, check_exact=True)
    tally("kill -9: a training of a study" if one else "kill -9: study", 1, 1)
