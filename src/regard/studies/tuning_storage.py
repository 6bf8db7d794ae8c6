"""Optuna's storage of a tuning's trials: opened, and claimed together with the folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage

from regard.errors import RunError
from regard.studies.optuna_extra import quiet
from regard.studies.tuning_folder import Origin, TuningFolder, claim, differing, save_origin
from regard.studies.tuning_holds import DatabaseHolds, Holds, holds_at
from regard.studies.tuning_place import STORAGE_ERRORS, Place, place_of
from regard.studies.tuning_settings import Tuning

# The study's attribute that says which tuning it is of, and what was so when that began.
OWNER = "regard"


@dataclass(frozen=True)
class Opened:
    """A tuning that can be worked at.

    Attributes:
        study: in the storage.
        holds: who works at which trial.
        origin: what was so when it began, in this folder or in another one.
    """

    study: optuna.Study
    holds: Holds
    origin: Origin


@contextmanager
def opened(
    tuning: Tuning, folder: TuningFolder, url: str | None, samples: str, threads: int
) -> Iterator[Opened]:
    """The tuning's study in the storage, made where it is not there yet, and its folder.

    Nothing is written before the storage answers.

    Args:
        tuning: the tuning.
        folder: of its runs.
        url: of the storage, as SQLAlchemy takes it; None: SQLite in the folder.
        samples: a digest of the samples.
        threads: of torch, if it begins here.

    Raises:
        RunError: the folder is of another tuning; the storage is locked or does not answer, or has
            another study of that name.
        ConfigError: no URL, or of an unknown kind of database.
        MissingExtraError: the database's driver is not installed.
    """
    quiet()
    place, storage = place_of(url, folder.database), None
    try:
        with holds_at(place, tuning.name, folder.holds) as holds:
            with holds.deciding():
                storage = _storage(place, holds)
                origin = claim(tuning, folder, samples, threads)
                study, origin = _study(storage, tuning, folder, origin, holds, place.shown)
            yield Opened(study, holds, origin)
    except STORAGE_ERRORS as error:
        raise place.in_a_line(error) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _storage(place: Place, holds: Holds) -> RDBStorage:
    """Optuna's tables in the database, which it makes."""
    if place.url.get_backend_name() == "sqlite" and place.url.database:
        Path(place.url.database).parent.mkdir(parents=True, exist_ok=True)
    place.engine().dispose()  # tells in a line what it cannot be
    arguments = {"connect_args": place.arguments}
    if not isinstance(holds, DatabaseHolds):
        return RDBStorage(place.text, engine_kwargs=arguments)
    with holds.making():
        # A server may end a connection that is idle through an epoch.
        return RDBStorage(place.text, engine_kwargs=arguments | {"pool_pre_ping": True})


def _study(
    storage: RDBStorage,
    tuning: Tuning,
    folder: TuningFolder,
    origin: Origin,
    holds: Holds,
    shown: str,
) -> tuple[optuna.Study, Origin]:
    """The study of that name, which has to be of this tuning, and its origin."""
    study = optuna.create_study(
        storage=storage,
        study_name=tuning.name,
        directions=["minimize" if own.lower else "maximize" for own in tuning.objective],
        load_if_exists=True,
    )
    owner, begun = study.user_attrs.get(OWNER), bool(study.get_trials(deepcopy=False))
    if holds.reach and owner is not None and not _runs(folder):
        joined = _joined(owner, tuning, origin)
        if joined is not None:
            save_origin(folder, joined)
            return study, joined
    found = _foreign(owner, begun, tuning, folder, origin)
    if found is not None:
        raise RunError(
            f"{shown}, study {tuning.name}",
            expected=f"the trials of {folder.path}",
            found=found,
            remedy="give the --storage and --out that it began with, or another name",
        )
    if not begun:
        own = {"word": origin.word, "samples": origin.samples, "threads": origin.threads}
        study.set_user_attr(OWNER, {"tuning": tuning.told(), **own})
    return study, origin


def _joined(owner: dict[str, Any], tuning: Tuning, origin: Origin) -> Origin | None:
    """The origin of a folder without runs that joins a tuning begun in another one."""
    if differing(owner["tuning"], tuning, anywhere=True) or owner["samples"] != origin.samples:
        return None
    return replace(origin, word=owner["word"], threads=owner["threads"])


def _foreign(
    owner: dict[str, Any] | None, begun: bool, tuning: Tuning, folder: TuningFolder, origin: Origin
) -> str | None:
    """What the study in the storage is instead of this tuning's; None if it is this one's."""
    if not begun:
        return "none, though the folder has some" if _runs(folder) else None
    if owner is None:
        return "those of another program"
    other = differing(owner["tuning"], tuning, anywhere=True)
    if other:
        return f"a tuning that differs in {', '.join(other)}"
    if owner["word"] == origin.word:
        return None
    if owner.get("samples", origin.samples) != origin.samples:
        return "a tuning on other samples, labels, regions or splits"
    return "a tuning of another folder"


def _runs(folder: TuningFolder) -> bool:
    return folder.trials.is_dir() and any(folder.trials.iterdir())
