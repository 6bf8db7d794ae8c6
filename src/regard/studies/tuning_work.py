"""The work at a tuning: take a trial that is nobody's, train it, tell what came of it, go on."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from regard.runs.folder import RunFolder
from regard.runs.log import read_log
from regard.studies.tuning_folder import TuningFolder
from regard.studies.tuning_holds import Hold
from regard.studies.tuning_place import STORAGE_ERRORS
from regard.studies.tuning_sampling import begun, drawn, judged
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import Parameter, config_of
from regard.studies.tuning_storage import Opened
from regard.studies.tuning_trial import Outcome, TrialWatcher, attempt, best_record

# Seconds between looks at trials that other processes work at.
WAITING = 0.5
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
# A trial's attribute with what its run's log has, which may lie on another machine.
LOGGED = "logged"
Row = dict[str, Any]


class TuningWatcher(Protocol):
    """Who wants to see how a tuning goes."""

    def begun(self, rows: Sequence[Row], total: int) -> None:
        """At the start, with the trials that are done and how many there are to be."""
        ...

    def moved(self, done: float) -> None:
        """Often: trials done, and of the running ones their shares."""
        ...

    def finished(self, row: Row) -> None:
        """After each trial."""
        ...


class Unseen:
    """A watcher that shows nothing."""

    def begun(self, rows: Sequence[Row], total: int) -> None:
        """Show nothing."""

    def moved(self, done: float) -> None:
        """Show nothing."""

    def finished(self, row: Row) -> None:
        """Show nothing."""


@dataclass
class Worker:
    """Works at trials of a study, one after the other.

    Args:
        tuning: the tuning.
        space: what is searched.
        folder: of the runs.
        place: the study in the storage, and who works at which trial.
        total: of trials that there are to be.
        epochs: that a trial has at the most.
        watcher: told of progress.
        took: told of each trial that is begun here.
    """

    tuning: Tuning
    space: tuple[Parameter, ...]
    folder: TuningFolder
    place: Opened
    total: int
    epochs: int
    watcher: TuningWatcher = field(default_factory=Unseen)
    took: Callable[[int], object] = lambda number: None

    def work(self) -> None:
        """Until all trials are done, also those of other processes, which may end before theirs.

        Raises:
            Interrupted: the process was asked to stop.
        """
        while True:
            taken = self._take()
            if taken is not None:
                trial, hold = taken
                with hold:
                    self.took(trial.number)
                    self._run(trial, hold)
            elif self._running():
                time.sleep(WAITING)
            else:
                return

    def trials(self) -> list[FrozenTrial]:
        """All trials by number."""
        return sorted(self.place.study.get_trials(deepcopy=False), key=lambda trial: trial.number)

    def rows(self) -> list[Row]:
        """What is known of every trial that is done."""
        return [self.row(trial) for trial in self.trials() if trial.state in STATES]

    def row(self, trial: FrozenTrial) -> Row:
        """What is known of a trial that is done, from the storage."""
        logged = trial.user_attrs.get(LOGGED) or self._logged(trial.number)
        here = logged["home"] == self.place.origin.home
        values = dict(zip(self.tuning.metrics, trial.values or (), strict=False))
        labels = trial.params
        failed = trial.state == TrialState.FAIL
        return {
            "number": trial.number,
            "state": STATES[trial.state],
            **{metric: values.get(metric) for metric in self.tuning.metrics},
            "params": {own.key: own.value(labels[own.key]) for own in self.space},
            **{name: logged[name] for name in ("seconds", "epochs", "best_epoch")},
            "run": f"trials/{trial.number}" if here else logged["run"],
            "error": trial.user_attrs.get("error") if failed else None,
        }

    def _logged(self, number: int) -> dict[str, Any]:
        """What a trial's run in this folder has come to, and where it is seen from elsewhere."""
        run = self.folder.run(number)
        records = list(read_log(RunFolder(run).log, "epoch"))
        best, last = best_record(run), records[-1] if records else {}
        return {
            "home": self.place.origin.home,
            "run": f"{platform.node()}:{run}",
            "seconds": last.get("seconds"),
            "epochs": last.get("epoch", 0),
            "best_epoch": best["epoch"] if best else None,
        }

    def tell(self, trial: int, outcome: Outcome) -> Row:
        """Write down how a trial ended."""
        self._storage.set_trial_user_attr(self._key(trial), LOGGED, self._logged(trial))
        if outcome.error is not None:
            self._storage.set_trial_user_attr(self._key(trial), "error", outcome.error)
        state = {name: state for state, name in STATES.items()}[outcome.state]
        told = self.place.study.tell(trial, outcome.values, state=state)
        return self.row(told)

    def _take(self) -> tuple[FrozenTrial, Hold] | None:
        """A trial whose process is gone, or else a new one; None if there is nothing to take."""
        with self.place.holds.deciding():
            trials = self.trials()
            for trial in trials:
                hold = None
                if trial.state == TrialState.RUNNING:
                    hold = self.place.holds.take(trial.number)
                if hold is not None:
                    return trial, hold
            if len(trials) >= self.total:
                return None
            # The hold comes first: what runs in the storage without one is another's to take.
            hold = self.place.holds.take(len(trials))
            assert hold is not None
            try:
                self.place.study.add_trial(
                    begun(self.space, drawn(self.tuning, self.space, trials))
                )
                return self.trials()[len(trials)], hold
            except BaseException:
                hold.close()
                raise

    def _running(self) -> int:
        return sum(trial.state == TrialState.RUNNING for trial in self.trials())

    def _run(self, trial: FrozenTrial, hold: Hold) -> None:
        values = {own.key: own.value(trial.params[own.key]) for own in self.space}
        config = config_of(self.tuning, values, self.place.origin.threads)
        run = self.folder.run(trial.number)
        before = sum(other.state in STATES for other in self.trials())
        sole = self.tuning.metrics[0] if len(self.tuning.metrics) == 1 else None
        watcher = TrialWatcher(
            run,
            sole,
            config.training.epochs,
            lambda epoch, value: self._judge(trial.number, epoch, value, hold),
            lambda share: self.watcher.moved(before + share),
        )
        mark = {"tuning": self.tuning.name, "number": trial.number, "params": values}
        outcome = attempt(config, run, mark, self.tuning.metrics, watcher, STORAGE_ERRORS)
        # Whoever lost the trial cannot decide any longer, and so does not tell of it.
        with self.place.holds.deciding():
            row = self.tell(trial.number, outcome)
        self.watcher.finished(row)

    def _judge(self, number: int, epoch: int, value: float, hold: Hold) -> bool:
        """Report an epoch's value, once however often it is told; whether the trial is to end."""
        hold.sure()
        self._storage.set_trial_intermediate_value(self._key(number), epoch, value)
        trials = self.trials()
        reached = {e: v for e, v in trials[number].intermediate_values.items() if e <= epoch}
        ended, marks = judged(self.tuning, trials, number, reached, self.epochs)
        for name, mark in marks.items():
            self._storage.set_trial_system_attr(self._key(number), name, mark)
        return ended

    @property
    def _storage(self) -> optuna.storages.BaseStorage:
        return self.place.study._storage

    def _key(self, number: int) -> int:
        return self.trials()[number]._trial_id


def most_epochs(space: Sequence[Parameter], epochs: int) -> int:
    """The most epochs that a trial may have, where these are searched; else the base's."""
    own = next((p for p in space if p.key == "training.epochs"), None)
    return epochs if own is None else max(own.probes)
