"""Tune: trials of a tuning in one process or several, resumable, and what came of them."""

from pathlib import Path
from typing import Any

from regard.errors import ConfigError
from regard.machine import threads_of
from regard.studies.optuna_extra import quiet
from regard.studies.tuning_crew import Crew, Job
from regard.studies.tuning_folder import TuningFolder, refuse_foreign
from regard.studies.tuning_preflight import refuse_trials, samples_digest
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import Parameter, config_of, grid_size, space_of
from regard.studies.tuning_storage import opened
from regard.studies.tuning_summary import conclude
from regard.studies.tuning_work import TuningWatcher, Unseen, Worker, most_epochs


def tune(
    tuning: Tuning,
    out: Path,
    watcher: TuningWatcher | None = None,
    *,
    trials: int | None = None,
    storage: str | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Run the trials that are not done yet, and write the table, the best configs, the summary.

    Each trial is an ordinary run in `out/trials/N`, trained on train and measured on val; test is
    not read. In one process, a tuning that was killed and goes on ends with the same table as one
    that was not. With PostgreSQL, calls on other machines, each with a folder of its own, work at
    the same trials, and each ends with the table of all.

    Args:
        tuning: what to search.
        out: the tuning's folder; one of this very tuning goes on where it was.
        watcher: told of progress.
        trials: how many there are to be, those counted that are done; None: the tuning's own.
        storage: URL of Optuna's storage; None: SQLite in the folder.
        workers: processes, each at a trial of its own.

    Returns:
        The summary.

    Raises:
        RunError: the folder or the storage is of another tuning, the storage is locked, or every
            trial failed.
        RegardError: what can be known without training is wrong; nothing is trained then.
        Interrupted: the process was asked to stop; the same call goes on.
    """
    quiet()
    space = space_of(tuning)
    total = number_of_trials(tuning, space, trials)
    if workers < 1:
        raise _less_than_one("--workers", workers)
    first = config_of(tuning, {parameter.key: parameter.probes[0] for parameter in space})
    folder, samples = TuningFolder(out.resolve()), samples_digest(first)
    refuse_foreign(folder)
    if not folder.trials.is_dir():
        refuse_trials(tuning, space)
    epochs = most_epochs(space, first.training.epochs)
    with opened(tuning, folder, storage, samples, threads_of(workers)) as place:
        worker = Worker(tuning, space, folder, place, total, epochs, watcher or Unseen())
        worker.watcher.begun(worker.rows(), total)
        if workers == 1:
            worker.work()
        else:
            job = Job(tuning, space, folder, place.origin, storage, total, epochs)
            Crew(job, worker).work(workers)
        with place.holds.deciding():
            return conclude(worker)


def number_of_trials(tuning: Tuning, space: tuple[Parameter, ...], asked: int | None) -> int:
    """How many trials there are to be; of a grid at most all of its points.

    Raises:
        ConfigError: less than one, or nobody says how many.
    """
    if asked is not None and asked < 1:
        raise _less_than_one("--trials", asked)
    wanted = tuning.trials if asked is None else asked
    if tuning.sampler == "grid":
        size = grid_size(tuning.name, space)
        return size if wanted is None else min(wanted, size)
    if wanted is None:
        raise ConfigError(
            f"tuning {tuning.name}",
            expected="a number of trials",
            found="none",
            remedy="add --trials 30, say",
        )
    return wanted


def _less_than_one(option: str, found: int) -> ConfigError:
    return ConfigError(option, expected="1 or more", found=str(found), remedy="correct it")
