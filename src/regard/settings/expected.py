"""What a setting may hold, in plain words, read off the type that the models declare."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

NOUNS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
PLURALS: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts", Any: "values"}


@dataclass(frozen=True)
class Wanted:
    """A type with its bounds.

    Attributes:
        type: without `Annotated`.
        bounds: `gt`, `ge`, `lt`, `le`, `min_length`, as far as they are set.
    """

    type: Any
    bounds: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, annotation: Any, metadata: Sequence[Any] = ()) -> "Wanted":
        """From an annotation and what a field adds to it."""
        if get_origin(annotation) is Annotated:
            inner, *more = get_args(annotation)
            return cls.of(inner, [*more, *metadata])
        names = ("gt", "ge", "lt", "le", "min_length")
        each = [own for m in metadata for own in (m.metadata if isinstance(m, FieldInfo) else [m])]
        found = {n: getattr(m, n) for m in each for n in names if hasattr(m, n)}
        return cls(annotation, tuple(found.items()))

    @classmethod
    def of_field(cls, field: FieldInfo) -> "Wanted":
        """From a field of a model."""
        return cls.of(field.annotation, field.metadata)

    @property
    def kinds(self) -> list["Wanted"]:
        """The types of a union but for None, each with the bounds of the whole; else itself."""
        if get_origin(self.type) not in (Union, UnionType):
            return [self]
        kinds = [Wanted.of(a) for a in get_args(self.type) if a is not NoneType and _sayable(a)]
        return [Wanted(k.type, k.bounds or self.bounds) for k in kinds]

    @property
    def optional(self) -> bool:
        """Whether null will do."""
        return NoneType in get_args(self.type)

    @property
    def choices(self) -> list[str]:
        """The words that may be chosen from, if there are any."""
        literals = [k.type for k in self.kinds if get_origin(k.type) is Literal]
        return [str(choice) for literal in literals for choice in get_args(literal)]

    @property
    def noun(self) -> str:
        """The kind of value without its bounds."""
        return self._either([_noun(kind) for kind in self.kinds])

    @property
    def words(self) -> str:
        """The kind of value with its bounds: `a whole number of 1 or more`."""
        return self._either([_words(kind) for kind in self.kinds])

    def _either(self, words: list[str]) -> str:
        words = [*words, *(["null"] if self.optional else [])]
        comma = "," if len(words) > 2 or any("," in word for word in words) else ""
        return (", ".join(words[:-1]) + f"{comma} or " if words[1:] else "") + words[-1]

    @property
    def range(self) -> str:
        """The bounds of a number: `1 or more`, `from 0 to 180`, `above 0 and below 1`."""
        bounds = dict(self.bounds)
        if self.kinds[0].type is int and "gt" in bounds:
            bounds["ge"] = bounds.pop("gt") + 1
        if "ge" in bounds and "le" in bounds:
            return f"from {bounds['ge']:g} to {bounds['le']:g}"
        texts = {"ge": "{:g} or more", "gt": "above {:g}", "le": "at most {:g}", "lt": "below {:g}"}
        return " and ".join(text.format(bounds[n]) for n, text in texts.items() if n in bounds)


def _sayable(kind: Any) -> bool:
    """Modules and other objects cannot be written in a file."""
    return not isinstance(kind, type) or kind in NOUNS or issubclass(kind, BaseModel)


def _noun(wanted: Wanted) -> str:
    if wanted.type in NOUNS:
        return NOUNS[wanted.type]
    return _words(wanted)


def _words(wanted: Wanted) -> str:
    kind, inner = get_origin(wanted.type), get_args(wanted.type)
    if kind is Literal:
        return "one of " + ", ".join(map(str, inner))
    if kind is tuple:
        return _list(wanted, inner)
    if wanted.type in (int, float):
        return NOUNS[wanted.type] + _bounded(wanted)
    if kind is dict:
        value = Wanted.of(inner[1])
        return "names and values" + (f", each {value.words}" if value.type in NOUNS else "")
    if isinstance(wanted.type, type) and issubclass(wanted.type, BaseModel):
        return "a section of keys and values"
    return NOUNS.get(wanted.type, "a value")


def _bounded(wanted: Wanted) -> str:
    own = wanted.range
    return (" of " if own[:1].isdigit() else " " if own else "") + own


def _list(wanted: Wanted, inner: tuple[Any, ...]) -> str:
    item, least = Wanted.of(inner[0]), dict(wanted.bounds).get("min_length")
    size = f"{least} or more " if least else ""
    if Ellipsis not in inner:
        size = f"{len(inner)} "
    if get_origin(item.type) is tuple:
        return f"a list of {size}lists of {len(get_args(item.type))}"
    return f"a list of {size}{PLURALS.get(item.type, 'sections')}{_bounded(item)}"
