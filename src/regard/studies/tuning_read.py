"""A tuning from its YAML file."""

from collections.abc import Sequence
from pathlib import Path

from regard.errors import ConfigError
from regard.settings.mistakes import parse
from regard.studies.read import from_here
from regard.studies.tuning_settings import Tuning
from regard.training.config import changed, read_mapping


def read_tuning(path: Path, changes: Sequence[str] = ()) -> Tuning:
    """The tuning in a YAML file, with changes such as `base.training.epochs=5`.

    Paths in its base start from the file's folder.

    Raises:
        ConfigError: no such file, not YAML, a config or a study, an unknown key or a value of the
            wrong kind.
    """
    values = read_mapping(path)
    if "search" not in values:
        _refuse_other(path, set(values))
    tuning = parse(Tuning, changed(values, changes), str(path))
    return tuning.model_copy(update={"base": from_here(tuning.base, path.parent)})


def _refuse_other(path: Path, keys: set[str]) -> None:
    """A config or a study is for another command."""
    found, command = None, ""
    if "arms" in keys:
        found, command = "a study (it has arms)", "study"
    elif keys & {"data", "model", "training"}:
        found, command = "the config of one run (it has no search)", "train"
    if found is not None:
        raise ConfigError(
            str(path),
            expected="a tuning, with name, base and search",
            found=found,
            remedy=f"use: regard {command} {path}",
        )
