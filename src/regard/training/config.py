"""A run's config: composed of what each room declares, read from YAML, changed by `--set`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from regard.data.settings import Data, Settings
from regard.errors import ConfigError, RegardError, near
from regard.evaluation.settings import Gaze
from regard.guidance.settings import Guidance
from regard.models.settings import Model
from regard.training.settings import Training

T = TypeVar("T", bound=BaseModel)


class Config(Settings):
    """Everything that decides a run.

    Attributes:
        data, model, training, guidance, gaze: see there.
        classes: filled in from the train split.
    """

    data: Data
    model: Model
    training: Training = Training()
    guidance: Guidance = Guidance()
    gaze: Gaze = Gaze()
    classes: tuple[str, ...] | None = None


def read_config(path: Path, changes: Sequence[str] = ()) -> Config:
    """The config in a YAML file, with changes such as `training.epochs=5`.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or a value of the wrong kind.
    """
    return parse_config(changed(read_mapping(path), changes), str(path))


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path),
            expected="a YAML file",
            found="no such file" if isinstance(error, FileNotFoundError) else str(error)[:160],
            remedy="check the path and the file",
        ) from error
    if not isinstance(value, dict):
        raise ConfigError(
            str(path),
            expected="a YAML mapping",
            found=type(value).__name__,
            remedy="write sections such as data: and model:",
        )
    return value


def parse_config(values: Mapping[str, Any], where: str) -> Config:
    """Check a mapping as a config."""
    return parse(Config, values, where)


def parse(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Check a mapping as settings of a kind; the first mistake makes one line."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"]) or "top level"
        expected, found, remedy = _said(kind, first)
        raise ConfigError(
            f"{where}, {path}", expected=expected, found=found, remedy=remedy
        ) from error


def _said(kind: type[BaseModel], mistake: ErrorDetails) -> tuple[str, str, str]:
    """What was expected, what was found, and the remedy."""
    given = repr(mistake["input"])[:80]
    if mistake["type"] == "extra_forbidden":
        name = str(mistake["loc"][-1])
        return "a known key", repr(name), near(name, _fields(kind, mistake["loc"][:-1]))
    if mistake["type"] == "missing":
        return "a value", "nothing", "write it"
    if mistake["type"] != "value_error":
        return mistake["msg"], given, "correct it"
    own = mistake.get("ctx", {})["error"]  # of a check of ours
    if isinstance(own, RegardError):
        return own.expected, own.found, own.remedy
    text, _, remedy = str(own).partition("; ")
    return ("a valid value", text, remedy) if remedy else (text, given, "correct it")


def changed(values: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The mapping with `a.b=c` applied; c is read as YAML."""
    result = merged(values, {})
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path.strip("."):
            raise ConfigError(
                f"--set {change}", expected="key=value", found=change, remedy="write a.b=c"
            )
        place = result
        *parents, last = path.split(".")
        for part in parents:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = _value(text, change)
    return result


def merged(values: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of a mapping with another's values laid over it, section by section."""
    result = {k: merged(v, {}) if isinstance(v, Mapping) else v for k, v in values.items()}
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), dict)
        if both:
            result[key] = merged(result[key], value)
        else:
            result[key] = merged(value, {}) if isinstance(value, Mapping) else value
    return result


def _value(text: str, change: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {change}", expected="a YAML value", found=text, remedy="quote it"
        ) from error
    if isinstance(value, str):
        # YAML 1.1 reads 1e-3 as a word.
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _fields(kind: type[BaseModel], path: Sequence[Any]) -> list[str]:
    for part in path:
        field = kind.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        kind = annotation
    return list(kind.model_fields)
