"""The runs of a study in parallel processes, and how far they are."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any, Protocol

from regard.models.device import take_gpu
from regard.studies.arm import AGAIN, SAVING, attempt
from regard.studies.settings import Job, Study
from regard.training.config import Config

# Held by a process of a study or a tuning while it trains.
AT_WORK = threading.Lock()


class StudyWatcher(Protocol):
    """Who wants to see how a study goes."""

    def made(self, done: int, total: int) -> None:
        """While samples are made."""
        ...

    def epochs(self, done: dict[Job, int | None], total: dict[Job, int]) -> None:
        """Every second: the epochs done of each run (None: not begun), and all of them."""
        ...

    def averaged(self, done: int, total: int) -> None:
        """While maps are averaged."""
        ...

    def benched(self, done: int, total: int) -> None:
        """After each run whose latency was measured."""
        ...

    def finished(self, row: dict[str, Any]) -> None:
        """After each run, with its row of the results."""
        ...


class EpochCount:
    """Counts the epochs in a log that grows, without parsing it: this runs all the time."""

    def __init__(self) -> None:
        self._read, self._epochs = 0, 0

    def __call__(self, log: Path) -> int | None:
        """The epochs done, None where there is no log yet; only what is new is read."""
        try:
            with log.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:  # cut back to a checkpoint
                    self._read, self._epochs = 0, 0
                file.seek(self._read)
                whole, _, _ = file.read().rpartition(b"\n")
        except OSError:
            return self._epochs or None
        self._epochs += whole.count(b'{"kind": "epoch"')
        self._read += len(whole)
        return self._epochs


def run_all(
    study: Study,
    out: Path,
    configs: dict[Job, Config],
    workers: int,
    watcher: StudyWatcher,
) -> Iterator[dict[str, Any]]:
    """Train and evaluate what is not done yet, in processes; a row each, as they end."""
    context = for_trainings(__name__)
    epochs = {job: config.training.epochs for job, config in configs.items()}
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, begin, (context.Value("i", 0),)) as pool:
        jobs: dict[Future, Job] = {}
        for job, config in configs.items():
            jobs[pool.submit(_attempt, config, out / job.run, study.splits, out)] = job
        try:
            yield from _collect(jobs, out, epochs, watcher)
        except BaseException:
            # A training that is told to end saves first; the next call goes on from there.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def for_trainings(module: str) -> ForkServerContext | SpawnContext:
    """How processes that train are begun: forked off one that has imported a module.

    It has done nothing else, so no thread and no GPU is lost in the fork. Where there is none
    (Windows), each process imports for itself, which takes seconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _attempt(*given: Any) -> dict[str, Any]:
    with AT_WORK:
        return attempt(*given)


def begin(begun: Any) -> None:
    """In a process of a study: take a GPU of several in turn, and end with the study's process.

    Args:
        begun: how many processes have begun, shared by all of them.
    """
    with begun.get_lock():
        number, begun.value = begun.value, begun.value + 1
    take_gpu(number)
    stop_with_parent()


def stop_with_parent() -> None:
    """Save and end when the study's process is gone, however it went."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            AT_WORK.acquire(timeout=SAVING)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _collect(
    jobs: dict[Future, Job], out: Path, epochs: dict[Job, int], watcher: StudyWatcher
) -> Iterator[dict[str, Any]]:
    waiting, counts = set(jobs), {job: EpochCount() for job in jobs.values()}
    while waiting:
        done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
        watcher.epochs({job: count(out / job.run / "log.jsonl") for job, count in counts.items()},
                       epochs)  # fmt: skip
        for future in done:
            row = _row(future, jobs[future])
            watcher.finished(row)
            yield row


def _row(future: Future, job: Job) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": job.arm, "seed": job.seed, "fold": job.fold, "run": job.run}
    if job.fold is None:
        del row["fold"]
    error = future.exception()
    if error is not None:
        what = "its process was killed, perhaps for want of memory"
        return row | {"status": "failed", "error": what, "remedy": AGAIN}
    return row | future.result()
