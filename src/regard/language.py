"""The language that a report is written in: its words, plural forms and numbers.

Sentences stand in the source in English, whole, as templates with named places. `phrase` and
`plural` look a template up in the catalogue of the language that is spoken and fill its places.
Command lines and files are in English, which is what is spoken unless a report says otherwise.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

# Of a name that is given templates to be said later: tests collect those from the source.
Phrases = Mapping[Any, Any]
PhraseTuple = tuple[Any, ...]

_DECIMALS, _EXACT = 6, 17  # the most that are written, and the most that a float64 has
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")


@dataclass(frozen=True)
class Language:
    """A language.

    Attributes:
        code: of `<html lang>`.
        point: between a number's whole part and its decimals.
        thousands: between groups of three digits.
        one: whether so many are told in the singular.
        catalogue: English templates to those of this language.
    """

    code: str
    point: str
    thousands: str
    one: Callable[[float], bool]
    catalogue: Mapping[str, str] = field(default_factory=dict, repr=False)


ENGLISH = Language("en", ".", ",", lambda number: number == 1)
_spoken: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def spoken() -> Language:
    """The language that is spoken now."""
    return _spoken.get()


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Speak a language inside of this."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def phrase(template: str, /, **values: object) -> str:
    """A template in the language that is spoken, with its places filled.

    Args:
        template: in English, `On {split}, {share} are right.`
        values: by name, as text.
    """
    text = spoken().catalogue.get(template, template)
    if not values:
        return text
    return text.format(**{name: isolated(str(value)) for name, value in values.items()})


def isolated(text: str) -> str:
    """What is written from right to left, set apart: numbers and names beside it keep their place.

    Args:
        text: a name of a file, or a part of a sentence with one; others are returned as they are.
    """
    if not _RIGHT_TO_LEFT.search(text):
        return text
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def plural(number: float, one: str, many: str, /, **values: object) -> str:
    """One of two templates, by a number that stands at `{n}` if it is in them."""
    template = one if spoken().one(number) else many
    return phrase(template, n=numeral(f"{number:,}"), **values)


_NOTHING = 1e-12  # what float64 makes of a zero


def form_of(value: float, digits: int = 3) -> str:
    """The format of a number with so many decimals, and more where it would be told as zero.

    Example:
        >>> [format(x, form_of(x)) for x in (0.25, 0.00002, 3e-9, 0.0)]
        ['0.250', '0.000020', '3.0e-09', '0.000']
    """
    if not _NOTHING < abs(value) < 0.5 * 10.0**-digits:
        return f".{digits}f"
    needed = 1 - math.floor(math.log10(abs(value)))
    return f".{needed}f" if needed <= _DECIMALS else ".1e"


def probability(value: float, digits: int = 3) -> str:
    """A probability with so many digits, and as many more as tell it from 1.

    Example:
        >>> [probability(x) for x in (0.25, 0.99999, 1.0, 2e-9)]
        ['0.25', '0.99999', '1', '2e-09']
    """
    while digits < _EXACT and value != 1 and float(f"{value:.{digits}g}") == 1:
        digits += 1
    return f"{value:.{digits}g}"


def numeral(text: str) -> str:
    """A number that Python has written, `1,234.5`, with the signs of the language."""
    language = spoken()
    signs = {ord(","): language.thousands, ord("."): language.point}
    return text.translate(signs)
