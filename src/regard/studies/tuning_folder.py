"""What is where in a tuning's folder, and whose it is."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from regard.errors import RunError
from regard.runs.files import read_json, read_yaml, write_json, write_yaml
from regard.studies.tuning_settings import Tuning


@dataclass(frozen=True)
class TuningFolder:
    """Paths in a tuning's folder."""

    path: Path

    @property
    def tuning(self) -> Path:
        """The tuning file, its paths absolute."""
        return self.path / "tuning.yaml"

    @property
    def origin(self) -> Path:
        """What was so when it began: samples, threads, and a word that the storage has too."""
        return self.path / "origin.json"

    @property
    def database(self) -> Path:
        """The storage, unless another one is named."""
        return self.path / "tuning.db"

    @property
    def trials(self) -> Path:
        """The runs' folder."""
        return self.path / "trials"

    def run(self, number: int) -> Path:
        """The run of a trial."""
        return self.trials / str(number)

    @property
    def table(self) -> Path:
        """One row a trial."""
        return self.path / "trials.parquet"

    @property
    def summary(self) -> Path:
        """What came out."""
        return self.path / "tuning.json"

    @property
    def holds(self) -> Path:
        """Locked files, for a storage that is a file itself."""
        return self.path / ".holds"


@dataclass(frozen=True)
class Origin:
    """What was so when a tuning began.

    Attributes:
        word: drawn at random; the storage's study has it too, and so has every folder that joins.
        samples: a digest of the samples.
        threads: of torch in every trial that names no number, as sums of floats depend on it.
        home: drawn at random for the folder; trials tell in which one their runs are.
    """

    word: str
    samples: str
    threads: int
    home: str = field(default_factory=lambda: secrets.token_hex(8))


def claim(tuning: Tuning, folder: TuningFolder, samples: str, threads: int) -> Origin:
    """Make the folder that of the tuning, or check that it is.

    Raises:
        RunError: it is of another tuning, or the samples have changed.
    """
    if folder.tuning.is_file():
        other = differing(_before(folder.tuning), tuning)
        # A tuning that was refused before its first trial may be mended.
        if other and folder.trials.is_dir():
            raise RunError(
                str(folder.path),
                expected="a new folder, or one of this tuning",
                found=f"a tuning that differs in {', '.join(other)}",
                remedy="choose another --out",
            )
    origin = _origin(folder) or Origin(secrets.token_hex(8), samples, threads)
    if not folder.trials.is_dir():
        origin = replace(origin, samples=samples)
    if origin.samples != samples:
        raise RunError(
            str(folder.path),
            expected="the manifest that the tuning began with",
            found="other samples, labels, regions or splits",
            remedy="restore the manifest, or choose another --out",
        )
    save_origin(folder, origin)
    write_yaml(folder.tuning, tuning.model_dump(mode="json", exclude_defaults=True))
    return origin


def save_origin(folder: TuningFolder, origin: Origin) -> None:
    """Write `origin.json`."""
    write_json(folder.origin, asdict(origin))


def _origin(folder: TuningFolder) -> Origin | None:
    return Origin(**read_json(folder.origin)) if folder.origin.is_file() else None


def refuse_foreign(folder: TuningFolder) -> None:
    """Runs and studies have folders of their own, and trials belong to a tuning.

    Raises:
        RunError: the folder is of something else.
    """
    found = None
    if (folder.path / "config.yaml").exists():
        found = "a run"
    elif (folder.path / "study.yaml").exists():
        found = "a study"
    elif folder.trials.exists() and not (folder.tuning.is_file() and folder.origin.is_file()):
        found = "trials without their tuning.yaml and origin.json"
    if found is not None:
        raise RunError(
            str(folder.path),
            expected="a new folder, or one of this tuning",
            found=found,
            remedy="choose another --out",
        )


def differing(before: Mapping[str, Any], tuning: Tuning, *, anywhere: bool = False) -> list[str]:
    """The keys in which a tuning is another one than that which was saved.

    Args:
        before: as `Tuning.told` told it then.
        tuning: as it is now.
        anywhere: the manifest may lie elsewhere, as it does on another machine; whether it has the
            same samples, a digest of them tells.
    """
    then, now = dict(before), tuning.told()
    if anywhere:
        then, now = _without_place(then), _without_place(now)
    return [key for key in now if then.get(key) != now[key]]


def _without_place(told: dict[str, Any]) -> dict[str, Any]:
    base = told.get("base", {})
    data = {key: own for key, own in base.get("data", {}).items() if key != "manifest"}
    return told | {"base": base | {"data": data}}


def _before(path: Path) -> dict[str, Any]:
    """A tuning as it was saved; a key that did not exist then has its default."""
    values = read_yaml(path)
    try:
        return Tuning.model_validate(values).told()
    except ValidationError:
        return values
