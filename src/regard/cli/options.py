"""Options of an importer, from what follows on the command line."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args

from regard.docstrings import about, entries
from regard.errors import ConfigError, near

# What the command itself hands to an importer that asks for it.
HANDED = ("root", "files", "progress", "say")
_NUMBERS: dict[type, str] = {int: "a whole number", float: "a number"}


def importer_options(importer: Callable, name: str, words: Sequence[str]) -> dict[str, Any]:
    """`--label species --inclusive` as keyword options of the importer.

    Raises:
        ConfigError: an option that the importer lacks, or one without its value.
    """
    known = {p.name: p for p in own_parameters(importer)}
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.removeprefix("--").partition("=")
        option, yes = option.replace("-", "_"), True
        if option not in known and option.startswith("no_"):
            option, yes = option.removeprefix("no_"), False
        if not word.startswith("--") or option not in known:
            raise ConfigError(
                f"regard data import {name}",
                expected="its own options: " + (", ".join(map(_flag, known)) or "it has none"),
                found=repr(word),
                remedy=near(_flag(option), map(_flag, known)) if known else "leave it out",
            )
        if isinstance(known[option].default, bool):
            options[option] = yes == _truth(value, word, name) if equals else yes
            continue
        if not equals:
            value = _following(rest, option, name)
        options[option] = _typed(known[option], value, name)
    return options


def _truth(text: str, word: str, name: str) -> bool:
    told = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in told:
        raise ConfigError(
            f"regard data import {name}, {word.partition('=')[0]}",
            expected="nothing behind it, or true or false",
            found=repr(text),
            remedy="leave it out",
        )
    return told[text.lower()]


def own_parameters(importer: Callable) -> list[inspect.Parameter]:
    """The parameters of an importer that become options of the command."""
    parameters = inspect.signature(importer).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in HANDED]


def handed(importer: Callable, **things: Any) -> dict[str, Any]:
    """Those of the things in `HANDED` that an importer asks for."""
    parameters = inspect.signature(importer).parameters
    return {name: thing for name, thing in things.items() if name in parameters}


def help_of(importer: Callable) -> tuple[str, list[tuple[str, str]]]:
    """What an importer does, and a line for each of its options: the option and its meaning."""
    told = entries(importer, "Args")
    text = re.sub(r"`([^`]*)`", r"\1", about(importer))
    lines = [(_usage(p), _meaning(p, told.get(p.name, ""))) for p in own_parameters(importer)]
    return text, lines


def _usage(parameter: inspect.Parameter) -> str:
    if isinstance(parameter.default, bool):
        # What is so anyway is of use as an option only to be switched off.
        return _flag(f"no_{parameter.name}" if parameter.default else parameter.name)
    return f"{_flag(parameter.name)} <{_kind(parameter).__name__}>"


def _meaning(parameter: inspect.Parameter, told: str) -> str:
    text = re.sub(r"`([^`]*)`", r"\1", told).rstrip(".")
    if parameter.default is True:
        return f"Without it: {text}."
    default = parameter.default
    known = "" if default is None or default is False else f" [default: {default}]"
    return f"{text[:1].upper()}{text[1:]}.{known}"


def _following(rest: list[str], option: str, name: str) -> str:
    if rest and not rest[0].startswith("--"):
        return rest.pop(0)
    raise ConfigError(
        f"regard data import {name}, {_flag(option)}",
        expected="a value after it",
        found=repr(rest[0]) if rest else "nothing",
        remedy=f"write {_flag(option)} VALUE, or {_flag(option)}=VALUE",
    )


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _kind(parameter: inspect.Parameter) -> type[int] | type[float] | type[str]:
    """What a value is read as, of annotations such as `int` and `int | None`."""
    annotation = parameter.annotation
    known = {annotation, *get_args(annotation)}
    return next((kind for kind in _NUMBERS if kind in known), str)


def _typed(parameter: inspect.Parameter, value: str, name: str) -> str | int | float:
    kind = _kind(parameter)
    try:
        return kind(value)
    except ValueError as error:
        raise ConfigError(
            f"regard data import {name}, {_flag(parameter.name)}",
            expected=_NUMBERS[kind],
            found=repr(value),
            remedy="correct it",
        ) from error
