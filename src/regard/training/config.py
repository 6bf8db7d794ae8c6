"""A run's config: composed of what each room declares, read from YAML, changed by `--set`."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator

from regard.data.settings import Data
from regard.errors import ConfigError
from regard.evaluation.settings import Evaluate, Gaze
from regard.guidance.settings import Guidance
from regard.models.settings import Model
from regard.settings.base import Settings
from regard.settings.mistakes import SettingError, parse, written
from regard.settings.yaml_text import RepeatedKeyError, read_yaml, read_yaml_file
from regard.training.distil import Distil
from regard.training.settings import Training


class Config(Settings):
    """Everything that decides a run.

    Attributes:
        data: which samples, how they are split, and how an image becomes a tensor.
        model: which net, from which weights, and what of it is trained.
        training: the loop.
        guidance: losses on where the net looks; left out, the model is a plain one.
        distil: what is learned from another run's net; None: nothing.
        gaze: how it is measured where the net looks.
        evaluate: how the answers of a classifier of two classes are read.
        classes: names in the order of the logits; filled in from the train split.
    """

    data: Data
    model: Model
    training: Training = Training()
    guidance: Guidance = Guidance()
    distil: Distil | None = None
    gaze: Gaze = Gaze()
    evaluate: Evaluate = Evaluate()
    classes: tuple[str, ...] | None = None


def _in_sections(values: dict[str, Any]) -> dict[str, Any]:
    """Whoever looks for a key of a section finds a section there."""
    for name in Config.model_fields:
        own = values.get(name)
        if name == "classes" or isinstance(own, Mapping):
            continue
        if name in values and not (own is None and name == "distil"):
            raise ValueError(f"{name}: {written(own)}; write a section of keys and values")
    return values


# What a study or a tuning says of a config.
Partial = Annotated[dict[str, Any], AfterValidator(_in_sections)]


def read_config(path: Path, changes: Sequence[str] = ()) -> Config:
    """The config in a YAML file, with changes such as `training.epochs=5`.

    Raises:
        ConfigError: no such file, not YAML, a key that stands twice, a study or a tuning, an
            unknown key or a value of the wrong kind.
    """
    values = read_mapping(path)
    for key, what, command in (("arms", "a study", "study"), ("search", "a tuning", "tune")):
        if key in values:
            raise ConfigError(
                str(path),
                expected="the config of one run",
                found=f"{what} (it has {key})",
                remedy=f"use: regard {command} {path}",
            )
    try:
        return parse_config(changed(values, changes), str(path))
    except SettingError as error:
        _blame_changes(error, values, changes)
        raise


def _blame_changes(error: SettingError, values: Mapping[str, Any], changes: Sequence[str]) -> None:
    """Raise the mistake as one of `--set`, if the file alone does not make it."""
    try:
        parse_config(values, "")
    except SettingError as own:
        if (own.keys, own.found) == (error.keys, error.found):
            return
    keys = [str(key) for key in error.keys]
    related = [c for c in changes if _along(c.partition("=")[0].split("."), keys)]
    change = [*changes, *related][-1]
    path = ".".join(keys)
    where = f"--set {_short(change)}"
    if change.partition("=")[0] != path:
        where += f", {path}"
    raise ConfigError(
        where, expected=error.expected, found=error.found, remedy=error.remedy
    ) from error


def _along(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one place is inside of the other, or the same."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _short(change: str) -> str:
    """A change as it was written, cut short."""
    return change if len(change) <= 80 else change[:77] + "..."


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        ConfigError: no YAML file, no mapping, or a key that stands twice.
    """
    try:
        value = read_yaml_file(Path(path))
    except RepeatedKeyError as error:
        raise ConfigError(
            f"{path}, line {error.line}",
            expected="each key once",
            found=f"{error.key!r} again, first in line {error.first}",
            remedy="rename or delete one of them",
        ) from error
    except (OSError, yaml.YAMLError) as error:
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


def changed(values: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The mapping with `a.b=c` applied; c is read as YAML, and numbers are indices into lists.

    Raises:
        ConfigError: no `=`, not YAML, or an index that the list does not have.
    """
    result: dict[str, Any] = deepcopy(dict(values))
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path.strip("."):
            raise ConfigError(
                f"--set {_short(change)}",
                expected="key=value",
                found=_short(change),
                remedy="write a.b=c",
            )
        result = placed(result, path, _value(text, change), f"--set {_short(change)}")
    return result


def placed(values: Mapping[str, Any], path: str, value: Any, where: str) -> dict[str, Any]:
    """A deep copy of the mapping with a value at a dotted path; numbers are indices into lists.

    Raises:
        ConfigError: an index that the list does not have, or into what is no list.
    """
    result = deepcopy(dict(values))
    keys = path.split(".")
    place: Any = result
    for number, part in enumerate(keys[:-1]):
        place = _inside(place, part, where, keys[:number])
        _refuse_no_list(place, keys[: number + 1], keys[number + 1], where)
    if isinstance(place, list):
        place[_index(place, keys[-1], where, keys[:-1])] = value
    else:
        place[keys[-1]] = value
    return result


def _inside(place: Any, part: str, where: str, above: Sequence[str]) -> Any:
    """What lies at a key of a mapping, which is made, or at an index of a list."""
    if isinstance(place, list):
        key: Any = _index(place, part, where, above)
    else:
        key = part
        place.setdefault(key, {})
    if not isinstance(place[key], dict | list):
        place[key] = {}
    return place[key]


def _index(items: list, part: str, where: str, above: Sequence[str]) -> int:
    """The index of an item that is there."""
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    path = ".".join(above)
    known = f"an index from 0 to {len(items) - 1}" if items else "an item, but the list is empty"
    raise ConfigError(
        where,
        expected=f"{known} in {path}",
        found=part,
        remedy=f"correct it, or set the whole list: {path}=[...]",
    )


def _refuse_no_list(place: Any, above: Sequence[str], part: str, where: str) -> None:
    """An index needs a list; a mapping is not made into one."""
    if isinstance(place, dict) and part.isdecimal() and part not in place:
        path = ".".join(above)
        raise ConfigError(
            where,
            expected=f"a list at {path}",
            found="keys and values" if place else "none in the file",
            remedy=f"set the whole list: {path}=[...]",
        )


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
        value = read_yaml(text)
    except RepeatedKeyError as error:
        raise ConfigError(
            f"--set {_short(change)}",
            expected="each key once",
            found=f"{error.key!r} again",
            remedy="rename or delete one of them",
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {_short(change)}",
            expected="a YAML value",
            found=_short(text),
            remedy="quote it",
        ) from error
    if isinstance(value, str) and value == text.strip():
        # YAML 1.1 reads 1e-3 as a word, and what stands in quotes is one.
        try:
            return float(value)
        except ValueError:
            return value
    return value
