"""Several processes at one tuning, each taking trials of its own."""

import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, cast

from optuna.trial import TrialState

from regard.errors import RegardError, RunError
from regard.models.device import take_gpu
from regard.studies.pool import AT_WORK, EpochCount, for_trainings, stop_with_parent
from regard.studies.tuning_folder import Origin, TuningFolder
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import Parameter
from regard.studies.tuning_storage import opened
from regard.studies.tuning_trial import Outcome
from regard.studies.tuning_work import STATES, Worker
from regard.training.stopping import Interrupted

# How often a trial may take its process with it, and processes may end outside of a trial.
DEATHS = 2
WAITING = 0.5
# Seconds in which a process that is told to end may finish its step and save.
SAVING = 20.0


@dataclass(frozen=True)
class Job:
    """What a process needs to work at a tuning; see `Worker`."""

    tuning: Tuning
    space: tuple[Parameter, ...]
    folder: TuningFolder
    origin: Origin
    url: str | None
    total: int
    epochs: int


def _work(job: Job, answer: Connection, number: int) -> None:
    """A process of the crew: says which trials it takes, and at last what it raised.

    Args:
        job: what it works at.
        answer: where it says so.
        number: of the process; of several GPUs it takes one by it.
    """
    take_gpu(number)
    stop_with_parent()
    raised: RegardError | OSError | None = None
    try:
        origin = job.origin
        with (
            AT_WORK,
            opened(job.tuning, job.folder, job.url, origin.samples, origin.threads) as place,
        ):
            worker = Worker(job.tuning, job.space, job.folder, place, job.total, job.epochs)
            worker.took = lambda number: answer.send(Taken(number))
            worker.work()
    except (RegardError, OSError) as error:
        raised = error
    except (Interrupted, KeyboardInterrupt):
        raise SystemExit(130) from None
    answer.send(raised)


@dataclass(frozen=True)
class Taken:
    """What a process says when it takes a trial."""

    number: int


@dataclass
class Crew:
    """Processes that work at a tuning until it is done.

    Args:
        job: what they work at.
        worker: of this process, which looks on and tells of what went wrong.
    """

    job: Job
    worker: Worker
    _answers: dict[BaseProcess, Connection] = field(default_factory=dict)
    _deaths: Counter[int | None] = field(default_factory=Counter)
    _counts: dict[int, EpochCount] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _taken: dict[BaseProcess, int] = field(default_factory=dict)
    _raised: dict[BaseProcess, Exception] = field(default_factory=dict)
    _numbers: dict[BaseProcess, int] = field(default_factory=dict)

    def work(self, count: int) -> None:
        """Let so many processes work.

        Raises:
            RegardError: what one of them raised.
        """
        self._seen = {row["number"] for row in self.worker.rows()}
        for number in range(count):
            self._start(number)
        try:
            while self._answers:
                time.sleep(WAITING)
                self._look_on()
                for process, answer in self._answers.items():
                    self._listen(process, answer)
                for process in [p for p in self._answers if not p.is_alive()]:
                    self._ended(process, self._answers.pop(process))
            self._look_on()
        finally:
            self._stop()
        self.worker.work()  # what they left, as they were killed

    def _start(self, number: int) -> None:
        context = for_trainings(__name__)
        mine, other = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(self.job, other, number))
        process.start()
        other.close()
        self._numbers[process] = number
        self._answers[process] = cast(Connection, mine)

    def _stop(self) -> None:
        """Let them save and end; their trials go on with the next call."""
        for process in self._answers:
            process.terminate()
        for process in self._answers:
            process.join(SAVING)
            process.kill()
            process.join()
        self._answers.clear()

    def _look_on(self) -> None:
        """Tell of trials that were finished, and how far the others are."""
        trials, share = self.worker.trials(), 0.0
        for trial in trials:
            if trial.state in STATES and trial.number not in self._seen:
                self._seen.add(trial.number)
                self.worker.watcher.finished(self.worker.row(trial))
            elif trial.state == TrialState.RUNNING:
                count = self._counts.setdefault(trial.number, EpochCount())
                log = self.job.folder.run(trial.number) / "log.jsonl"
                share += (count(log) or 0) / self.job.epochs
        self.worker.watcher.moved(sum(trial.state in STATES for trial in trials) + share)

    def _listen(self, process: BaseProcess, answer: Connection) -> None:
        """Note which trial it has taken, and what it raised."""
        try:
            while answer.poll():
                said: Any = answer.recv()
                if isinstance(said, Taken):
                    self._taken[process] = said.number
                elif said is not None:
                    self._raised[process] = said
        except (EOFError, OSError):
            pass  # it has ended

    def _ended(self, process: BaseProcess, answer: Connection) -> None:
        """Raise what it raised; replace it if it was killed, and give up a trial that kills."""
        self._listen(process, answer)
        answer.close()
        if process in self._raised:
            raise self._raised[process]
        if process.exitcode == 0:
            return
        number = self._running(self._taken.pop(process, None))
        self._deaths[number] += 1
        if self._deaths[number] >= DEATHS:
            self._give_up(number, process.exitcode)
        self._start(self._numbers.pop(process))

    def _running(self, number: int | None) -> int | None:
        """The trial that a process took last, if it ended in the middle of it."""
        running = [t.number for t in self.worker.trials() if t.state == TrialState.RUNNING]
        return number if number in running else None

    def _give_up(self, number: int | None, code: int | None) -> None:
        """A trial fails that took its processes with it."""
        if number is None:
            raise RunError(
                str(self.job.folder.path),
                expected="processes that work at trials",
                found=f"{DEATHS} that ended by themselves, the last with exit code {code}",
                remedy="look at what they printed; fewer --workers need less memory",
            )
        hold = self.worker.place.holds.take(number)
        if hold is not None:
            with hold:
                error = f"its process was killed {DEATHS} times, perhaps for want of memory"
                row = self.worker.tell(number, Outcome("failed", error=error))
            self._seen.add(number)
            self.worker.watcher.finished(row)
