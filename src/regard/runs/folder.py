"""What is where in a run's folder, and the lock that keeps a second process out."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from pydantic import ValidationError

from regard.errors import RunError, command
from regard.files.atomic import open_lock
from regard.settings.yaml_text import read_yaml_file

# Seconds; a process that was killed keeps its lock until its memory is given back.
PATIENCE = 2.0


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, machine, and what the manifest was."""
        return self.path / "environment.json"

    @property
    def architecture(self) -> Path:
        """The config of a net of transformers, from which it is built again."""
        return self.path / "architecture" / "config.json"

    @property
    def kept(self) -> Path:
        """Of a pruned net, the channels that are kept of what its spec names."""
        return self.path / "pruned.json"

    @property
    def log(self) -> Path:
        """One line a step and an epoch."""
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The checkpoints' folder."""
        return self.path / "checkpoints"

    def predictions(self, split: str) -> Path:
        """One row an image."""
        return self.path / "predictions" / f"{split}.parquet"

    def backgrounds(self, split: str) -> Path:
        """Whether the net is right with exchanged backgrounds."""
        return self.path / "backgrounds" / f"{split}.parquet"

    def gaze_of_epoch(self, split: str, epoch: int) -> Path:
        """One row an image that was measured after an epoch."""
        return self.path / "scores" / "epochs" / f"{split}-{epoch}.parquet"

    def scores(self, split: str) -> Path:
        """One row an image and method."""
        return self.path / "scores" / f"{split}.parquet"

    def metrics(self, split: str) -> Path:
        """Metrics with intervals."""
        return self.path / "metrics" / f"{split}.json"

    @property
    def readings(self) -> Path:
        """A line for each time that a split was evaluated."""
        return self.path / "metrics" / "readings.jsonl"

    @property
    def threshold(self) -> Path:
        """The threshold that was chosen on val, and how."""
        return self.path / "threshold.json"

    @property
    def bench(self) -> Path:
        """Latency, memory and operations of the net."""
        return self.path / "bench.json"

    def refuse_links(self) -> None:
        """See that the folder holds files and folders alone, and no link that leads out of it.

        Runs come from strangers: through a link their files would be read and written elsewhere.

        Raises:
            RunError: there is such a link, or a pipe or a device.
        """
        root = os.path.realpath(self.path)
        waiting = [root]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        if not Path(os.path.realpath(entry.path)).is_relative_to(root):
                            raise _stranger(entry.path, f"a link to {os.readlink(entry.path)}")
                    elif entry.is_dir():
                        waiting.append(entry.path)
                    elif not entry.is_file():
                        raise _stranger(entry.path, "a pipe or a device")

    def read_config(self) -> dict[str, Any]:
        """The resolved config as a mapping.

        Raises:
            RunError: this is no run's folder.
        """
        try:
            values = read_yaml_file(self.config)
        except (OSError, yaml.YAMLError) as error:
            raise self._not_a_run("no config.yaml that can be read") from error
        if not isinstance(values, dict) or "model" not in values:
            raise self._not_a_run("a config.yaml without a model")
        classes = values.get("classes") or []
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise self._not_a_run("a config.yaml whose classes are no list of names")
        return values

    def foreign(self, error: Exception) -> RunError:
        """What to say of a config that is no run's, by what reading it raised."""
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else repr(error)
        return RunError(
            str(self.config),
            expected="the config that this version of regard train writes",
            found=first[:120],
            remedy="restore it, or train anew",
        )

    def _not_a_run(self, found: str) -> RunError:
        remedy = "give a folder that regard train wrote"
        if self.environment.is_file() and not self.config.exists():
            again = command("train", "CONFIG", "--out", self.path)
            remedy += f", or begin again, it was ended at once: {again}"
        return RunError(
            str(self.path),
            expected="a run's folder",
            found=found if self.path.is_dir() else "no such folder",
            remedy=remedy,
        )


def _stranger(path: str, found: str) -> RunError:
    return RunError(
        path,
        expected="a file or a folder within the run",
        found=found,
        remedy="put what is meant in its place, if the run is yours; else remove it",
    )


@contextmanager
def locked(folder: Path, patience: float | None = None) -> Iterator[None]:
    """Hold the folder for this process; a killed one lets go by itself.

    Args:
        folder: made where it is missing.
        patience: seconds in which another process may let go of it; None: two.

    Raises:
        RunError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open_lock(folder / ".lock") as handle:
        end = time.monotonic() + (PATIENCE if patience is None else patience)
        while not _taken(handle):
            if time.monotonic() > end:
                raise RunError(
                    str(folder),
                    expected="a folder that no other process writes into",
                    found="one that is locked",
                    remedy="wait for it, or choose another --out",
                )
            time.sleep(0.05)
        yield


def _taken(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a network's file system that is mounted without locks
        raise RunError(
            str(Path(handle.name).parent),
            expected="a file system with locks (flock)",
            found=error.strerror or type(error).__name__,
            remedy="mount it with them (Lustre: -o flock), or choose an --out elsewhere",
        ) from error
    return True
