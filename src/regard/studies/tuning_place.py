"""Where a tuning's storage is: its URL, which shows no password, and its errors in one line."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from regard.errors import ConfigError, MissingExtraError, RunError

STORAGE_ERRORS = (StorageInternalError, SQLAlchemyError)
# Seconds for which another program may hold a database of SQLite.
PATIENCE = 30.0
# A server that is gone without a word is given up after about a minute; seconds and milliseconds.
POSTGRES = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# What to do about it, by a piece of what PostgreSQL says.
REMEDIES = {
    "password": "set PGPASSWORD, or write the password into ~/.pgpass",
    "does not exist": "make it (createdb, createuser), or correct --storage",
    "permission denied": "let that user make tables there, as the owner of the database may",
    "refused": "see that the server runs and listens at that host and port",
    "resolve": "correct the host in --storage",
    "translate host": "correct the host in --storage",
    "timeout": "see that the server can be reached from this machine",
}


@dataclass(frozen=True)
class Place:
    """A storage's address.

    Attributes:
        url: with its driver, and with the password if one was given.
    """

    url: URL

    @property
    def postgres(self) -> bool:
        """Whether it is a PostgreSQL, whose locks reach over machines."""
        return self.url.get_backend_name() == "postgresql"

    @property
    def shown(self) -> str:
        """Without the password, which options may have as well."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What no message may have."""
        found = [self.url.password, *map(self.url.query.get, ("password", "sslpassword"))]
        return tuple(text for text in found if isinstance(text, str) and text)

    @property
    def arguments(self) -> dict[str, Any]:
        """How to connect, but for what the URL says."""
        own: dict[str, Any] = {}
        if self.postgres:
            own = POSTGRES
        elif self.url.get_backend_name() == "sqlite":
            own = {"timeout": PATIENCE}
        return {name: value for name, value in own.items() if name not in self.url.query}

    @property
    def text(self) -> str:
        """For Optuna, which fills in what stands in braces, so these are doubled."""
        return self.url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")

    def engine(self, **how: Any) -> Engine:
        """A way to connect to it.

        Raises:
            ConfigError: a kind of database that is not known here.
            MissingExtraError: psycopg is not installed.
        """
        try:
            return create_engine(self.url, connect_args=self.arguments, **how)
        except NoSuchModuleError as error:
            raise _unknown("a database that SQLAlchemy knows", self.url.drivername) from error
        except ImportError as error:
            if self.url.drivername == "postgresql+psycopg":
                raise MissingExtraError(f"--storage {self.url.drivername}", "postgres") from error
            found = f"{self.url.drivername}, whose driver is not installed"
            raise _unknown("a database whose driver is installed", found) from error

    def in_a_line(self, error: Exception) -> RunError:
        """A database's error without its SQL."""
        cause: Any = error
        while cause.__cause__ is not None and not hasattr(cause, "orig"):
            cause = cause.__cause__
        lines = str(getattr(cause, "orig", None) or cause).strip().splitlines() or [""]
        text = lines[0][:200]
        for secret in self.secrets:
            text = text.replace(secret, "***")
        if "locked" in text:
            expected = "a storage that no other program holds"
            remedy = "wait for that program"
        else:
            expected = "a storage that answers"
            known = (own for piece, own in REMEDIES.items() if self.postgres and piece in text)
            remedy = next(known, "check --storage and the database")
        remedy += "; then the same command goes on from here"
        return RunError(self.shown, expected=expected, found=text, remedy=remedy)


def place_of(url: str | None, database: Path) -> Place:
    """The storage's address; `postgresql://` is for psycopg 3.

    Args:
        url: as SQLAlchemy takes it; None: SQLite.
        database: the file of SQLite.

    Raises:
        ConfigError: no URL.
    """
    if url is None:
        return Place(URL.create("sqlite", database=str(database)))
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _no_url(repr(_hidden(url))) from error
    if "@" in (found.host or ""):
        raise ConfigError(
            "--storage",
            expected="one @ in the URL, before the host",
            found="several",
            remedy="write one of the password as %40, or leave the password to PGPASSWORD",
        )
    if found.drivername in ("postgresql", "postgres"):
        found = found.set(drivername="postgresql+psycopg")
    return Place(found)


def _hidden(url: str) -> str:
    """What is no URL, without what may be a password."""
    return re.sub(r":[^:/][^@]*@", ":***@", url)


def _no_url(found: str) -> ConfigError:
    return ConfigError(
        "--storage",
        expected="a URL such as sqlite:///trials.db or postgresql://USER@HOST/DATABASE",
        found=found,
        remedy="correct it, or leave it out for a file in the tuning's folder",
    )


def _unknown(expected: str, found: str) -> ConfigError:
    remedy = "take sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    return ConfigError("--storage", expected=expected, found=found, remedy=remedy)
