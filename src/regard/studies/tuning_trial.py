"""One trial of a tuning: an ordinary run, judged after every epoch, and what came of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regard.errors import MissingExtraError, NumericalError, RegardError, RunError
from regard.runs.checkpoints import checkpoints, load, point_again
from regard.runs.files import number
from regard.runs.folder import RunFolder
from regard.runs.log import read_log
from regard.studies.arm import claim
from regard.training.config import Config
from regard.training.progress import Progress
from regard.training.stopping import Interrupted
from regard.training.train import finished, resume, train

# What a run holds that is one of a tuning's trials.
MARK = "trial.json"
Judge = Callable[[int, float], bool]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: of the objectives at the best checkpoint, if it is complete.
        error: why it failed.
    """

    state: Literal["complete", "pruned", "failed"]
    values: tuple[float, ...] | None = None
    error: str | None = None


class BrokenOffError(Exception):
    """The trial does worse than others did."""


class TrialWatcher:
    """Hands every epoch's value to a judge, and says how far the trial is.

    Args:
        run: the trial's folder.
        metric: that is judged; None: no epoch is.
        epochs: that a run has at the most.
        judge: told of an epoch and its value; whether the trial is to end.
        moved: told of the share that is done.
    """

    def __init__(
        self,
        run: Path,
        metric: str | None,
        epochs: int,
        judge: Judge,
        moved: Callable[[float], None],
    ) -> None:
        self._run, self._metric, self._epochs = run, metric, epochs
        self._judge, self._moved = judge, moved

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """Say how far it is."""
        self._moved((progress.epoch + progress.batch / steps) / self._epochs)

    def epoch(self, record: dict[str, Any]) -> None:
        """Have the epoch judged; a run that has reached its end is not broken off."""
        if self._metric is None:
            return
        ended = self._judge(record["epoch"], value_in(record, self._metric))
        if ended and finished(self._run) is None:
            raise BrokenOffError

    def note(self, text: str) -> None:
        """A run's notes are in its log."""

    def again(self, patience: int | None) -> None:
        """Have judged what a run that goes on has behind it: the process may have ended before."""
        files, ended = RunFolder(self._run), False
        if self._metric is None or not checkpoints(files.checkpoints):
            return
        # The one that the run goes on from, whether it was pointed at or not.
        saved = load(files.checkpoints)
        reached = saved.state["progress"]
        point_again(files.checkpoints, saved.path.name, reached["best_step"])
        for record in read_log(files.log, "epoch"):
            if record["epoch"] <= reached["epoch"]:
                ended = self._judge(record["epoch"], value_in(record, self._metric))
        stale = patience is not None and reached["stale"] >= patience
        if ended and reached["epoch"] < self._epochs and not stale:
            raise BrokenOffError


def attempt(
    config: Config,
    run: Path,
    mark: dict[str, Any],
    metrics: tuple[str, ...],
    watcher: TrialWatcher,
    unmended: tuple[type[Exception], ...] = (),
) -> Outcome:
    """Train the trial's run, or go on with it; an error of its config is its outcome.

    Args:
        config: of the run; its paths are absolute.
        run: its folder.
        mark: what the trial is, for its `trial.json`.
        metrics: the objectives.
        watcher: of the run.
        unmended: errors that are not the config's, and stop the tuning.

    Raises:
        RunError: the folder is of another trial, or cannot be gone on with.
        Interrupted: the process was asked to stop; the checkpoint is written.
        OSError: the disk is full, say.
    """
    try:
        _train(config, run, mark, watcher)
        return _outcome(run, metrics)
    except BrokenOffError:
        return Outcome("pruned")
    except (RunError, MissingExtraError, Interrupted, OSError, *unmended):
        raise
    except (RegardError, NumericalError) as error:
        return Outcome("failed", error=str(error))
    except Exception as error:  # what a library raises at a config that it cannot take
        text = " ".join(str(error).split()) or type(error).__name__
        return Outcome("failed", error=f"stopped by: {text}")


def _train(config: Config, run: Path, mark: dict[str, Any], watcher: TrialWatcher) -> None:
    claim(run / MARK, config, "tuning", **mark)
    if RunFolder(run).config.is_file():
        watcher.again(config.training.patience)
        resume(run, watcher=watcher)
    else:
        train(config, run, watcher=watcher)


def _outcome(run: Path, metrics: tuple[str, ...]) -> Outcome:
    """The values at the best checkpoint."""
    best = best_record(run)
    if best is None:
        return Outcome("failed", error="no epoch has a number by which it could be the best")
    values = tuple(value_in(best, metric) for metric in metrics)
    for metric, value in zip(metrics, values, strict=True):
        if math.isnan(value):
            return Outcome("failed", error=f"{metric} is not defined at epoch {best['epoch']}")
    return Outcome("complete", values)


def best_record(run: Path) -> dict[str, Any] | None:
    """The log's line of the epoch whose checkpoint is the best one."""
    records = [record for record in read_log(RunFolder(run).log, "epoch") if record["best"]]
    return records[-1] if records else None


def value_in(record: dict[str, Any], metric: str) -> float:
    """A metric of an epoch, `val.loss`; NaN where it is not there."""
    split, _, name = metric.partition(".")
    found = record.get(split, {}).get(name)
    return math.nan if found is None else number(found)
