"""Options of an importer, from what follows on the command line."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from regard.errors import ConfigError, near


def importer_options(importer: Callable, name: str, words: Sequence[str]) -> dict[str, Any]:
    """`--label species --inclusive` as keyword options of the importer.

    Raises:
        ConfigError: an option that the importer lacks, or one without its value.
    """
    known = {
        p.name: p
        for p in inspect.signature(importer).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name != "root"
    }
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
                remedy=near(option, known) if known else "leave it out",
            )
        if isinstance(known[option].default, bool):
            options[option] = yes
            continue
        if not equals:
            value = rest.pop(0) if rest else ""
        options[option] = _typed(known[option], value, name)
    return options


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _typed(parameter: inspect.Parameter, value: str, name: str) -> str | int:
    if "int" not in str(parameter.annotation):
        return value
    try:
        return int(value)
    except ValueError as error:
        raise ConfigError(
            f"regard data import {name}, {_flag(parameter.name)}",
            expected="a whole number",
            found=repr(value),
            remedy="correct it",
        ) from error
