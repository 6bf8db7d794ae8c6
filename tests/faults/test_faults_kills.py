"""Kill -9 at any moment: gone on with, the end is that of a run that was left alone."""

import filecmp
import os
import random
import shutil
import signal
import time
from pathlib import Path
from subprocess import PIPE, TimeoutExpired

import pytest

from endings import assert_same
from forked import Forked
from regard.runs.run import load_run
from regard.training.train import resume, train
from tinyset import REGARD, config_of, environment, run_regard, write_config, write_set

TRAININGS = {
    "plain": (),
    "guided": (
        "guidance.terms=[{term: energy, weight: 0.5, warmup_epochs: 3}, {term: background_swap}]",
        "guidance.combine=uncertainty",
    ),
    "accumulated": ("training.accumulate=3", "training.clip=1.0"),
    "oversampled": ("training.imbalance=oversample",),
    "plateau": (
        "training.schedule={name: plateau, factor: 0.5, patience: 0}",
        "training.best=val.accuracy",
    ),
    "about to stop": ("training.epochs=40", "training.patience=2", "training.best=val.accuracy"),
    "two loading processes": ("data.workers=2",),
}
KILLS, AGAIN = 15, 6
# Which splits were looked at and when; one that was killed has looked, too.
OF_ITS_OWN = {".lock", "readings.jsonl"}
COMMON = (
    "training.epochs=6",
    "training.batch_size=4",
    "training.checkpoint_steps=4",
    "training.optimiser={name: adamw, lr: 0.02, weight_decay: 0.01}",
    "model.options.dropout=0.25",
    "data.augment={rotate: 20, flip: 0.5, brightness: 0.2}",
)


def killed(words, moment):
    """Start `regard WORDS` and kill it, with all that it started; whether it was still there."""
    quiet = {"stdout": PIPE, "stderr": PIPE, "start_new_session": True}
    with Forked([*REGARD, *map(str, words)], env=environment(), **quiet) as process:
        try:
            process.communicate(timeout=moment)
        except TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode == -signal.SIGKILL


def seconds(words):
    begun = time.monotonic()
    done = run_regard(*words)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


@pytest.mark.torture
@pytest.mark.parametrize("kind", TRAININGS)
def test_trainings(kind, tmp_path, tally):
    write_set(tmp_path)
    changes = (*COMMON, *TRAININGS[kind])
    config, whole = write_config(tmp_path, *changes), tmp_path / "whole"
    train(config_of(*changes), whole, folder=tmp_path)
    draw, run = random.Random(kind), tmp_path / "run"
    first = ["train", config, "--out", run]
    lasts = seconds(first)
    shutil.rmtree(run)
    kills = survived = 0
    while kills < KILLS:
        # Up to three kills of one training, the later ones anywhere in what is left.
        words = first
        for _ in range(draw.randint(1, 3)):
            if not killed(words, draw.uniform(0, lasts)):
                break
            kills += 1
            # Before its config is there it is no run yet, and begun again.
            words = ["train", run, "--resume"] if (run / "config.yaml").exists() else first
        if words is first:
            done = run_regard(*first) if not (run / "checkpoints/best.json").exists() else None
            assert done is None or done.returncode == 0, done.stderr
        else:
            resume(run)
        assert_same(run, whole)
        assert not list(run.rglob("*.partial*"))
        shutil.rmtree(run)
        survived = kills
    tally(f"kill -9, training: {kind}", kills, survived)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    write_set(folder, counts={"train": 24, "val": 12, "test": 40})
    train(config_of("training.epochs=1"), folder / "run", folder=folder)
    return folder


@pytest.mark.torture
@pytest.mark.parametrize("command", ["evaluate", "score", "report", "explain"])
def test_what_is_made_of_a_run(command, home, tmp_path, tally):
    run = shutil.copytree(home / "run", home / tmp_path.name)
    words = {
        "evaluate": ["evaluate", run, "--split", "test"],
        "score": ["score", run],
        "report": ["report", run],
        "explain": ["explain", run, "--split", "test"],
    }[command]
    bare = shutil.copytree(run, tmp_path / "bare")
    lasts = seconds(words)
    whole = shutil.copytree(run, tmp_path / "whole")
    draw = random.Random(command)
    for _ in range(AGAIN):
        shutil.rmtree(run)
        shutil.copytree(bare, run)
        killed(words, draw.uniform(0, lasts))
        load_run(run)
        seconds(words)
        assert not list(run.rglob("*.partial*"))
        assert unlike(run, whole) == []
    shutil.rmtree(run)
    tally(f"kill -9: {command}", AGAIN, AGAIN)


def unlike(one: Path, other: Path) -> list[str]:
    """Files that only one of two folders has, or that differ."""
    names = {str(p.relative_to(f)) for f in (one, other) for p in f.rglob("*") if p.is_file()}
    _, different, alone = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted(n for n in {*different, *alone} if Path(n).name not in OF_ITS_OWN)
