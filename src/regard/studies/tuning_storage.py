"""Optuna's storage of a tuning's trials: opened, claimed, and its errors in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from regard.errors import ConfigError, MissingExtraError, RunError
from regard.studies.optuna_extra import quiet
from regard.studies.tuning_folder import Origin, TuningFolder, differing
from regard.studies.tuning_settings import Tuning

STORAGE_ERRORS = (StorageInternalError, SQLAlchemyError)
# Seconds for which another program may hold a database of SQLite.
PATIENCE = 30.0
# The study's attribute that says which tuning and which folder it is of.
OWNER = "regard"


@contextmanager
def opened(
    tuning: Tuning, folder: TuningFolder, origin: Origin, url: str | None = None
) -> Iterator[optuna.Study]:
    """The tuning's study in the storage, made where it is not there yet.

    Args:
        tuning: the tuning.
        folder: of its runs.
        origin: of the folder.
        url: of the storage, as Optuna and SQLAlchemy take them; None: SQLite in the folder.

    Raises:
        RunError: the storage is locked or does not answer, or has another study of that name.
        ConfigError: no URL, or of an unknown kind of database.
        MissingExtraError: the database's driver is not installed.
    """
    quiet()
    place = _place(url) if url else URL.create("sqlite", database=str(folder.database))
    shown = place.render_as_string(hide_password=True)
    storage = None
    try:
        storage = _storage(place)
        yield _study(storage, tuning, folder, origin, shown)
    except STORAGE_ERRORS as error:
        raise _in_a_line(error, shown) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _place(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "--storage",
            expected="a URL such as sqlite:///trials.db or postgresql+psycopg://USER@HOST/DATABASE",
            found=repr(url),
            remedy="correct it, or leave it out for a file in the tuning's folder",
        ) from error


def _storage(place: URL) -> RDBStorage:
    """The database; Optuna fills in what stands in braces, so these are doubled."""
    url = place.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    sqlite = place.get_backend_name() == "sqlite"
    if sqlite and place.database:
        Path(place.database).parent.mkdir(parents=True, exist_ok=True)
    waits = sqlite and "timeout" not in place.query
    arguments = {"connect_args": {"timeout": PATIENCE}} if waits else {}
    try:
        return RDBStorage(url, engine_kwargs=arguments)
    except NoSuchModuleError as error:
        raise ConfigError(
            "--storage",
            expected="a database that SQLAlchemy knows",
            found=place.drivername,
            remedy="take sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
        ) from error
    except ImportError as error:
        raise MissingExtraError(f"--storage {place.drivername}", "postgres") from error


def _study(
    storage: RDBStorage, tuning: Tuning, folder: TuningFolder, origin: Origin, shown: str
) -> optuna.Study:
    """The study of that name, which has to be of this tuning and of this folder."""
    with folder.deciding():
        study = optuna.create_study(
            storage=storage,
            study_name=tuning.name,
            directions=["minimize" if own.lower else "maximize" for own in tuning.objective],
            load_if_exists=True,
        )
        owner, begun = study.user_attrs.get(OWNER), bool(study.get_trials(deepcopy=False))
        found = _foreign(owner, begun, tuning, folder, origin)
        if found is not None:
            raise RunError(
                f"{shown}, study {tuning.name}",
                expected=f"the trials of {folder.path}",
                found=found,
                remedy="give the --storage and --out that it began with, or another name",
            )
        if not begun:
            study.set_user_attr(OWNER, {"tuning": tuning.told(), "word": origin.word})
    return study


def _foreign(
    owner: dict[str, Any] | None, begun: bool, tuning: Tuning, folder: TuningFolder, origin: Origin
) -> str | None:
    """What the study in the storage is instead of this tuning's; None if it is this one's."""
    runs = folder.trials.is_dir() and any(folder.trials.iterdir())
    if not begun:
        return "none, though the folder has some" if runs else None
    if owner is None:
        return "those of another program"
    other = differing(owner["tuning"], tuning)
    if other:
        return f"a tuning that differs in {', '.join(other)}"
    return None if owner["word"] == origin.word else "a tuning of another folder"


def _in_a_line(error: Exception, shown: str) -> RunError:
    """A database's error without its SQL."""
    cause: Any = error
    while cause.__cause__ is not None and not hasattr(cause, "orig"):
        cause = cause.__cause__
    text = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0][:160]
    if "locked" in text:
        return RunError(
            shown,
            expected="a storage that no other program holds",
            found=text,
            remedy="wait for that program; then the same command goes on from here",
        )
    return RunError(
        shown,
        expected="a storage that answers",
        found=text,
        remedy="check --storage and the database; then the same command goes on from here",
    )
