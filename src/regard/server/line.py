"""The queue of requests that run a net: bounded, one at a time, and only for who still waits."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

from regard.server.refusals import BusyError

# Seconds that a stop waits for the work in hand.
PATIENCE = 5.0


@dataclass
class _Job:
    key: Hashable
    work: Callable[[], Any]
    waiting: list[Future] = field(default_factory=list)


class Line:
    """One worker, and a bounded number of jobs that wait for it; who asks the same shares a job.

    Args:
        most: jobs that wait.

    Attributes:
        done: how many jobs were worked at.
    """

    def __init__(self, most: int) -> None:
        self.done = 0
        self._most, self._changed = most, Condition()
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._current: _Job | None = None
        self._worker: Thread | None = None
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def join(self, key: Hashable, work: Callable[[], Any]) -> Future:
        """Wait for what `work` gives; of equal keys that wait or are worked at it runs once.

        Raises:
            BusyError: too many wait.
        """
        future: Future = Future()
        with self._changed:
            current = self._current
            job = current if current is not None and current.key == key else self._jobs.get(key)
            if job is None:
                if len(self._jobs) >= self._most or self._stopped:
                    raise BusyError(
                        "the queue",
                        expected=f"at most {self._most} requests that wait for a net",
                        found="as many already",
                        remedy="ask again in a moment",
                    )
                job = self._jobs[key] = _Job(key, work)
                self._start()
            job.waiting.append(future)
            self._changed.notify()
        return future

    def leave(self, key: Hashable, future: Future) -> None:
        """Wait no longer; a job that nobody waits for is not worked at."""
        with self._changed:
            job = self._jobs.get(key)
            if job is not None and future in job.waiting:
                job.waiting.remove(future)
                if not job.waiting:
                    del self._jobs[key]

    def stop(self) -> None:
        """Let the work in hand end, and drop the rest."""
        with self._changed:
            self._stopped = True
            dropped = [future for job in self._jobs.values() for future in job.waiting]
            self._jobs.clear()
            self._changed.notify()
        for future in dropped:
            future.cancel()
        if self._worker is not None:
            self._worker.join(PATIENCE)

    def _start(self) -> None:
        if self._worker is None:
            self._worker = Thread(target=self._work, name="nets", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                _, job = self._jobs.popitem(last=False)
                self._current = job
            tell = _outcome(job.work)
            with self._changed:
                self._current, self.done = None, self.done + 1
                waiting = [*job.waiting]
            for future in waiting:
                if not future.cancelled():
                    tell(future)


def _outcome(work: Callable[[], Any]) -> Callable[[Future], None]:
    """How a future is told what came of the work."""
    try:
        value = work()
    except BaseException as error:  # it belongs to who asked, whatever it is
        failure = error
        return lambda future: future.set_exception(failure)
    return lambda future: future.set_result(value)
