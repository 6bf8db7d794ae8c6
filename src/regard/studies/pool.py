"""The runs of a study in parallel processes, and how far they are."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

from regard.studies.arm import AGAIN, attempt
from regard.studies.settings import Study, run_folder
from regard.training.config import Config

# Seconds in which a training whose study is gone may finish its step and save.
SAVING = 20.0


class StudyWatcher(Protocol):
    """Who wants to see how a study goes."""

    def made(self, done: int, total: int) -> None:
        """While samples are made."""
        ...

    def epochs(self, done: dict[str, int], total: int) -> None:
        """Several times a second: epochs done by run, and a run's number of them."""
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

    def __call__(self, log: Path) -> int:
        """The epochs done; only what is new is read."""
        try:
            with log.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:  # cut back to a checkpoint
                    self._read, self._epochs = 0, 0
                file.seek(self._read)
                whole, _, _ = file.read().rpartition(b"\n")
        except OSError:
            return self._epochs
        self._epochs += whole.count(b'{"kind": "epoch"')
        self._read += len(whole)
        return self._epochs


def run_all(
    study: Study,
    out: Path,
    configs: dict[tuple[str, int], Config],
    workers: int,
    watcher: StudyWatcher,
) -> Iterator[dict[str, Any]]:
    """Train and evaluate what is not done yet, in processes; a row each, as they end."""
    context = multiprocessing.get_context("spawn")
    epochs = max(config.training.epochs for config in configs.values())
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, stop_with_parent) as pool:
        names: dict[Future, tuple[str, int]] = {}
        for (arm, seed), config in configs.items():
            place = out / run_folder(arm, seed)
            names[pool.submit(attempt, config, place, study.splits, out)] = (arm, seed)
        try:
            yield from _collect(names, out, epochs, watcher)
        except BaseException:
            # A training that is told to end saves first; the next call goes on from there.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def stop_with_parent() -> None:
    """Save and end when the study's process is gone, however it went."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(SAVING)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _collect(
    names: dict[Future, tuple[str, int]], out: Path, epochs: int, watcher: StudyWatcher
) -> Iterator[dict[str, Any]]:
    waiting, counts = set(names), {run_folder(*key): EpochCount() for key in names.values()}
    while waiting:
        done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            row = _row(future, *names[future])
            watcher.finished(row)
            yield row
        done_epochs = {run: count(out / run / "log.jsonl") for run, count in counts.items()}
        watcher.epochs(done_epochs, epochs)


def _row(future: Future, arm: str, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm, "seed": seed, "run": run_folder(arm, seed)}
    error = future.exception()
    if error is not None:
        what = "its process was killed, perhaps for want of memory"
        return row | {"status": "failed", "error": what, "remedy": AGAIN}
    return row | future.result()
