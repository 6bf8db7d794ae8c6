"""A mistake in how a command was written, in one line: what typer says, in our own words."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer

from regard.errors import ConfigError, near

_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def told(error: Any, words: Sequence[str] | None = None) -> ConfigError | None:
    """The line; None where it was no mistake but a question for help, which is shown.

    Args:
        error: a `UsageError`.
        words: of the command line; None: this process's own.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return None
    words = [*(sys.argv[1:] if words is None else words)]
    command = error.ctx.command_path if error.ctx else _command(words)
    expected, found, remedy = _said(error, words)
    see = f"see {command} --help"
    return ConfigError(
        command, expected=expected, found=found, remedy=f"{remedy}; {see}" if remedy else see
    )


def _said(error: Any, words: Sequence[str]) -> tuple[str, str, str]:
    """What was expected, what was found, and a remedy beside the help, if there is one."""
    text = str(getattr(error, "message", error)).rstrip(".")
    params = error.ctx.command.params if error.ctx else []
    option, param = getattr(error, "option_name", None), getattr(error, "param", None)
    if hasattr(error, "possibilities"):
        return "its own options", str(option), _of_option(error, params, words)
    if type(error).__name__ == "MissingParameter" and param is not None:
        return _named(param), "none", ""
    if param is not None:
        return f"{_kind(text)} for {_named(param)}", repr(_given(param.opts, words) or text), ""
    if option is not None:
        needs = "a value" if "requires" in text else "no value"
        return f"{needs} after {option}", "none" if needs == "a value" else "one", ""
    commands = getattr(error.ctx.command, "commands", None) if error.ctx else None
    if commands is not None:
        name = _quoted(text)
        return "one of its commands", repr(name), near(name, commands)
    extra = re.search(r"extra argument.*\((.*)\)", text)
    if extra:
        return "no more words", repr(extra[1]), _of_extra(params, words)
    return "a command as its help has it", text, ""


def _named(param: Any) -> str:
    """`--out`, or of an argument its name in capitals."""
    return param.opts[0] if param.opts[0].startswith("-") else str(param.name).upper()


def _kind(text: str) -> str:
    choices = re.search(r"is not one of (.*)", text)
    if choices:
        return "one of " + choices[1].replace("'", "")
    return next((said for name, said in _KINDS.items() if f"valid {name}" in text), "another value")


def _quoted(text: str) -> str:
    found = re.search(r"'(.*?)'", text)
    return found[1] if found else text


def _given(names: Iterable[str], words: Sequence[str]) -> str | None:
    """What stands behind an option on the command line."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else following
    return None


def _of_option(error: Any, params: Sequence[Any], words: Sequence[str]) -> str:
    """An option that there is not: a setting of the config, or one that is spelt otherwise."""
    own = [name for param in params for name in param.opts]
    if "--set" in own:
        name = str(error.option_name).lstrip("-").replace("-", "_")
        base = "" if "train" in words[:1] else "base."
        value = _given([error.option_name], words)
        for place in _settings(name):
            told = value if value and not value.startswith("-") else "VALUE"
            return f"add --set {base}{place}={told}"
    return f"did you mean {' or '.join(error.possibilities)}?" if error.possibilities else ""


def _settings(name: str) -> Iterator[str]:
    """Keys of the config that end in this name, the least deep one first."""
    from regard.training.config import Config

    for kind, place in ((Config, ""), *((f.annotation, f"{n}.") for n, f in _sections(Config))):
        yield from (place + key for key in getattr(kind, "model_fields", {}) if key == name)
    for section, field in _sections(Config):
        for inner, own in _sections(field.annotation):
            keys = getattr(own.annotation, "model_fields", {})
            yield from (f"{section}.{inner}.{key}" for key in keys if key == name)


def _sections(kind: Any) -> Iterable[tuple[str, Any]]:
    return getattr(kind, "model_fields", {}).items()


def _of_extra(params: Sequence[Any], words: Sequence[str]) -> str:
    """One option with several values, perhaps, which is to be repeated."""
    several = (name for param in params if getattr(param, "multiple", False) for name in param.opts)
    return next((f"repeat {name} before each value" for name in several if name in words), "")


def _command(words: Sequence[str]) -> str:
    """The command that the words begin with."""
    from regard.cli.main import app

    own, command = ["regard"], typer.main.get_command(app)
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        own.append(word)
    return " ".join(own)
