"""A tuning from its YAML file."""

from collections.abc import Sequence
from pathlib import Path

from regard.errors import ConfigError
from regard.settings.mistakes import parse
from regard.studies.read import from_here
from regard.studies.tuning_settings import Range, Tuning
from regard.training.config import changed, read_mapping


def read_tuning(path: Path, changes: Sequence[str] = ()) -> Tuning:
    """The tuning in a YAML file, with changes such as `base.training.epochs=5`.

    Paths in its base, and among the choices of its search, start from the file's folder.

    Raises:
        ConfigError: no such file, not YAML, a config or a study, an unknown key or a value of the
            wrong kind.
    """
    values = read_mapping(path)
    if "search" not in values:
        _refuse_other(path, set(values))
    tuning = parse(Tuning, changed(values, changes), str(path))
    here = path.parent
    search = {key: _from_here(key, own, here) for key, own in tuning.search.items()}
    return tuning.model_copy(update={"base": from_here(tuning.base, here), "search": search})


def _from_here(key: str, tried: Range, folder: Path) -> Range:
    """What is tried of a key, with paths made absolute as those of the base are."""
    if tried.choices is None:
        return tried
    choices = []
    for choice in tried.choices:
        for part in reversed(key.split(".")):
            choice = {part: choice}
        choice = from_here(choice, folder)
        for part in key.split("."):
            choice = choice[part]
        choices.append(choice)
    return tried.model_copy(update={"choices": tuple(choices)})


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
