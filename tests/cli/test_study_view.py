"""The table of a running study, and its lines where there is no terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from regard.cli import study_view
from regard.cli.study_view import StudyView, _about
from regard.studies.settings import Job, Study

JOBS = [Job(arm, seed) for seed in (0, 1, 2) for arm in ("plain", "guided")]


@pytest.fixture
def study():
    values = {"name": "s", "base": {}, "arms": {"plain": {}, "guided": {}}, "baseline": "plain"}
    return Study.model_validate(values | {"metrics": ["accuracy"]})


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(study_view.time, "monotonic", lambda: now[0])
    return now


def row(job, value=None):
    if value is None:
        return {"arm": job.arm, "run": job.run, "status": "failed", "error": "why", "remedy": "r"}
    return {"arm": job.arm, "run": job.run, "status": "done", "test.accuracy": value, "seconds": 3}


def view_of(study, *, terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=110, color_system=None)
    return StudyView(study, Path("out"), console), file


def test_a_row_an_arm_and_the_time_that_is_left(study, clock):
    view, _ = view_of(study, terminal=True)
    total = dict.fromkeys(JOBS, 10)
    view.epochs(dict.fromkeys(JOBS), total)
    assert view.cells("plain") == ["plain", "0", "–", "0", "3", "–", "–"]
    assert view.left() is None
    clock[0] += 30
    done = dict.fromkeys(JOBS) | {Job("plain", 0): 10, Job("guided", 0): 4, Job("plain", 1): 0}
    view.epochs(done, total)
    view.finished(row(Job("plain", 0), 0.75))
    assert view.cells("plain") == ["plain", "1", "1 (epoch 0/10)", "0", "1", "0.750", "0.750"]
    assert view.cells("guided") == ["guided", "0", "1 (epoch 4/10)", "0", "2", "–", "–"]
    assert view.left() == pytest.approx(30 / 14 * (60 - 14))
    view.finished(row(Job("guided", 0)))  # a failed run has no epochs left
    assert view.left() == pytest.approx(30 / 20 * 40)
    assert view.cells("guided")[1:5] == ["0", "–", "1", "2"]
    view.finished(row(Job("plain", 1), 0.25))
    assert view.cells("plain")[5:] == ["0.250", "0.500"]
    assert view.remedies == ["r"]


def test_what_was_done_before_says_nothing_of_the_pace(study, clock):
    view, _ = view_of(study, terminal=False)
    total = dict.fromkeys(JOBS, 10)
    view.epochs(dict.fromkeys(JOBS) | {Job("plain", 0): 10}, total)
    clock[0] += 10
    view.epochs(dict.fromkeys(JOBS) | {Job("plain", 0): 10, Job("guided", 0): 5}, total)
    assert view.left() == pytest.approx(10 / 5 * 45)


def test_the_table_is_shown_in_a_terminal_alone(study, clock):
    for terminal in (True, False):
        view, file = view_of(study, terminal=terminal)
        with view:
            view.epochs(dict.fromkeys(JOBS, 2), dict.fromkeys(JOBS, 10))
            clock[0] += 60
            view.epochs(dict.fromkeys(JOBS, 4), dict.fromkeys(JOBS, 10))
            view.finished(row(Job("plain", 0), 0.5))
            if terminal:
                view._live.refresh()
        text = file.getvalue()
        line = "out/runs/plain-seed0: accuracy test 0.500 (3 s); 1 of 6 runs, about"
        assert line in text
        assert ("waiting" in text) == terminal
        assert ("epochs, about" in text) == terminal
        if not terminal:
            assert len(text.splitlines()) == 1


def test_other_phases_are_said(study):
    view, _ = view_of(study, terminal=True)
    for tell, said in ((view.made, "making samples: 1 of 4"), (view.averaged, "averaging maps"),
                       (view.benched, "measuring latency: 1 of 4 runs")):  # fmt: skip
        tell(1, 4)
        assert said in str(view.shown().renderables[1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, ""), (0.2, ", about 1 s left"), (100, ", about 100 s left"),
     (600, ", about 10 min left"), (9000, ", about 2 h left")],
)  # fmt: skip
def test_times_are_rounded_as_they_are_known(seconds, text):
    assert _about(seconds) == text
