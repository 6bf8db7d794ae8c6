"""Who decides, and who works at which trial: locks that a process that dies lets go of."""

import fcntl
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, NullPool, text

from regard.data.keys import key
from regard.files.atomic import open_lock
from regard.studies.tuning_place import Place

# PostgreSQL gives up a client that is gone without a word after about a minute, and lets one be
# idle that trains; seconds. Older servers do not know all of it.
SESSION = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
    "statement_timeout": "0",
    "lock_timeout": "0",
}
SETTING = "SELECT set_config(:name, :value, false) FROM pg_settings WHERE name = :name"


class Hold(AbstractContextManager["Hold"], ABC):
    """A trial that is this process's until it is closed, or the process ends."""

    @abstractmethod
    def sure(self) -> None:
        """Fail if it has been lost."""

    @abstractmethod
    def close(self) -> None:
        """Let go."""

    def __exit__(self, *_: object) -> None:
        self.close()


class Holds(ABC):
    """The locks of a tuning.

    Attributes:
        reach: whether they hold for processes with other folders, on other machines.
    """

    reach: bool

    @abstractmethod
    def deciding(self) -> AbstractContextManager[None]:
        """Wait until no other process decides, and keep the others waiting within the block."""

    @abstractmethod
    def take(self, number: int) -> Hold | None:
        """A hold on a trial; None if it is held."""


@dataclass(frozen=True)
class FileHold(Hold):
    """A locked file."""

    handle: IO[str]

    def sure(self) -> None:
        """The kernel takes no lock from a process that lives."""

    def close(self) -> None:
        """Let go."""
        self.handle.close()


@dataclass(frozen=True)
class FileHolds(Holds):
    """Locks of files, for processes that share a folder.

    Args:
        folder: of the files.
    """

    folder: Path
    reach = False

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Wait until no other process decides, and keep the others waiting within the block."""
        with self._open("decisions") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def take(self, number: int) -> FileHold | None:
        """A hold on a trial; None if it is held."""
        handle = self._open(str(number))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return None
        return FileHold(handle)

    def _open(self, name: str) -> IO[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return open_lock(self.folder / name)


@dataclass(frozen=True)
class DatabaseHold(Hold):
    """An advisory lock."""

    holds: "DatabaseHolds"
    number: int

    def sure(self) -> None:
        """Ask over the connection whose end is the lock's end."""
        self.holds.asked("SELECT 1")

    def close(self) -> None:
        """Let go; of a connection that is lost the server has done so."""
        self.holds.held.discard(self.number)
        if not self.holds.connection.invalidated:
            self.holds.asked("SELECT pg_advisory_unlock(:key)", self.holds.key(self.number))


@dataclass(frozen=True)
class DatabaseHolds(Holds):
    """Advisory locks of PostgreSQL, all of one connection: they end when it ends.

    So a process that is killed lets go at once, and one whose machine or network is gone when the
    server finds out. It is never connected anew: what was held would be lost without a word.

    Args:
        connection: to the database, in autocommit.
        name: of the study.
    """

    connection: Connection
    name: str
    held: set[int] = field(default_factory=set)
    reach = True

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Wait until no other process decides, and keep the others waiting within the block."""
        with self._locked(self.key("decisions")):
            yield

    @contextmanager
    def making(self) -> Iterator[None]:
        """The same for the tables of all studies, which the first process makes."""
        with self._locked(key("regard tuning", "tables")):
            yield

    def take(self, number: int) -> DatabaseHold | None:
        """A hold on a trial; None if it is held, by this process too."""
        if number in self.held:
            return None
        if not self.asked("SELECT pg_try_advisory_lock(:key)", self.key(number)):
            return None
        self.held.add(number)
        return DatabaseHold(self, number)

    @contextmanager
    def _locked(self, number: int) -> Iterator[None]:
        self.asked("SELECT pg_advisory_lock(:key)", number)
        try:
            yield
        finally:
            if not self.connection.invalidated:
                self.asked("SELECT pg_advisory_unlock(:key)", number)

    def key(self, what: int | str) -> int:
        """The lock's number; all programs at a database share these."""
        return key("regard tuning", self.name, what)

    def asked(self, statement: str, number: int | None = None) -> object:
        """The one answer."""
        values = {} if number is None else {"key": number}
        return self.connection.execute(text(statement), values).scalar()


@contextmanager
def holds_at(place: Place, name: str, folder: Path) -> Iterator[Holds]:
    """The locks that fit a storage.

    Args:
        place: of the storage.
        name: of the study.
        folder: for locks of files.

    Raises:
        SQLAlchemyError: the server does not answer.
        RegardError: of `Place.engine`.
    """
    if not place.postgres:
        yield FileHolds(folder)
        return
    engine = place.engine(poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for own, value in SESSION.items():
                connection.execute(text(SETTING), {"name": own, "value": value})
            yield DatabaseHolds(connection, name)
    finally:
        engine.dispose()
