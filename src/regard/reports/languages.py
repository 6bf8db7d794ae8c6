"""The languages that reports are written in."""

from functools import cache
from pathlib import Path

import yaml

from regard.errors import ConfigError, near
from regard.language import ENGLISH, Language

LANGUAGES = ("en", "fr")


def language_of(code: str) -> Language:
    """A language by its code, `en` or `fr`.

    Raises:
        ConfigError: reports are not written in it.
    """
    if code not in LANGUAGES:
        raise ConfigError(
            "language of the report",
            expected=" or ".join(LANGUAGES),
            found=repr(code),
            remedy=near(code, LANGUAGES),
        )
    return ENGLISH if code == "en" else _french()


@cache
def _french() -> Language:
    """French: 1 234,5, and nothing and one are told in the singular."""
    text = (Path(__file__).parent / "french.yaml").read_text("utf-8")
    parts = yaml.safe_load(text).values()
    catalogue = {english: french for part in parts for english, french in part.items()}
    return Language(
        "fr", ",", "\N{NARROW NO-BREAK SPACE}", lambda number: abs(number) < 2, catalogue
    )
