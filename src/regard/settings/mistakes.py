"""A wrong setting in one line: where it stands, what was expected, what was found, what to do."""

from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from regard.errors import ConfigError, RegardError, near
from regard.settings.expected import Wanted

T = TypeVar("T", bound=BaseModel)
# A value is shown in 80 characters; what is larger than that need not be written out first.
_BOUNDED = Repr()
_BOUNDED.maxlevel, _BOUNDED.maxlist, _BOUNDED.maxtuple, _BOUNDED.maxdict = 4, 12, 12, 12
_BOUNDED.maxset, _BOUNDED.maxstring, _BOUNDED.maxlong, _BOUNDED.maxother = 12, 400, 400, 400
Keys = tuple[str | int, ...]
OUT_OF_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


class SettingError(ConfigError):
    """A setting that is not as it should be.

    Attributes:
        keys: its place in the config.
    """

    def __init__(self, where: str, keys: Keys, **said: str) -> None:
        self.keys = keys
        path = ".".join(map(str, keys)) or "top level"
        super().__init__(f"{where}, {path}" if where else path, **said)


def parse(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Check a mapping as settings of a kind.

    Raises:
        SettingError: the first mistake.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        refuse(kind, error, where)


def refuse(kind: type[BaseModel], error: ValidationError, where: str) -> NoReturn:
    """Raise the first mistake of a validation as a `SettingError`.

    Raises:
        SettingError: always.
    """
    first = error.errors()[0]
    keys, wanted, default = _place(kind, first)
    own = first.get("ctx", {}).get("error")
    if isinstance(own, SettingError):
        keys += own.keys
    expected, found, remedy = _said(kind, first, keys, wanted, default)
    raise SettingError(where, keys, expected=expected, found=found, remedy=remedy) from error


def _place(kind: type[BaseModel], mistake: ErrorDetails) -> tuple[Keys, Wanted, Any]:
    """The keys of a mistake, what is wanted there, and the default.

    What pydantic adds to the place for the members of a union, and for an item that a list of
    fixed length lacks, is left out: the value as a whole is wrong then.
    """
    wanted, default, keys = Wanted(kind), PydanticUndefined, []
    for number, part in enumerate(mistake["loc"], start=1):
        below = _below(wanted, part)
        last = number == len(mistake["loc"])
        lacks = last and mistake["type"] == "missing" and isinstance(part, int)
        if (below is None and mistake["type"] != "extra_forbidden") or lacks:
            break
        keys.append(part)
        wanted, default = below or (Wanted(Any), PydanticUndefined)
    return tuple(keys), wanted, default


def _below(wanted: Wanted, part: str | int) -> tuple[Wanted, Any] | None:
    """What is wanted one key further down, with its default; None where nothing is known."""
    if len(wanted.kinds) > 1:
        return None
    kind = wanted.kinds[0].type
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return None if field is None else (Wanted.of_field(field), field.default)
    inner = [item for item in get_args(kind) if item is not Ellipsis]
    if get_origin(kind) is tuple and isinstance(part, int):
        return Wanted.of(inner[min(part, len(inner) - 1)]), PydanticUndefined
    return (Wanted.of(inner[1]), PydanticUndefined) if get_origin(kind) is dict else None


def _said(
    kind: type[BaseModel], mistake: ErrorDetails, keys: Keys, wanted: Wanted, default: Any
) -> tuple[str, str, str]:
    """What was expected, what was found, and the remedy."""
    value, found = mistake["input"], written(mistake["input"])
    if mistake["type"] == "extra_forbidden":
        return "a known key", repr(str(keys[-1])), near(str(keys[-1]), _names(kind, keys[:-1]))
    if mistake["type"] == "invalid_key":
        return "keys that are text", found, "put it in quotes"
    if mistake["type"] == "missing" and not isinstance(mistake["loc"][-1], int):
        return wanted.words, "nothing", "write it"
    if mistake["type"] == "value_error":
        return _own_words(mistake)
    plain = len(wanted.kinds) == 1
    expected = wanted.noun if plain else wanted.words
    if plain and mistake["type"] in OUT_OF_BOUNDS:
        expected = wanted.range
    return expected, found, _remedy(value, wanted, default)


def _own_words(mistake: ErrorDetails) -> tuple[str, str, str]:
    """Of a check of ours, which says `found; remedy` or raises an error of ours."""
    own = mistake.get("ctx", {})["error"]
    if isinstance(own, RegardError):
        return own.expected, own.found, own.remedy
    text, _, remedy = str(own).partition("; ")
    return "a valid value", text, remedy or "correct it"


def _remedy(value: Any, wanted: Wanted, default: Any) -> str:
    kind = wanted.kinds[0].type
    if isinstance(value, str) and wanted.choices:
        guess = near(value, wanted.choices)
        if guess.startswith("did you mean"):
            return guess
    if kind is str and isinstance(value, bool):
        return "put it in quotes as it was written: 'yes', 'no', 'on', 'off', 'true' or 'false'"
    if kind is str and isinstance(value, int | float):
        return f"put it in quotes: '{written(value)}'"
    if get_origin(kind) is tuple and len(wanted.kinds) == 1 and isinstance(value, str):
        return f"write [{value}]"
    if default is PydanticUndefined:
        return "correct it"
    plain = isinstance(default, bool | int | float | str)
    return "correct it, or leave it out" + (f" for {written(default)}" if plain else "")


def written(value: Any) -> str:
    """A value as a config file has it, cut short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = " ".join(_BOUNDED.repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _names(kind: type[BaseModel], keys: Sequence[str | int]) -> list[str]:
    """The keys that a section knows."""
    wanted = Wanted(kind)
    for part in keys:
        below = _below(wanted, part)
        if below is None:
            return []
        wanted = below[0]
    section = wanted.kinds[0].type
    known = isinstance(section, type) and issubclass(section, BaseModel)
    return list(section.model_fields) if known else []
