"""The `guidance` section of a run's config."""

from typing import Any, Literal

from pydantic import Field, model_validator

from regard.data.settings import Settings
from regard.errors import near
from regard.guidance.base import TERMS, Term


class TermSettings(Settings, extra="allow"):
    """One guidance term: its kind, and whatever options that kind takes.

    Attributes:
        term: a name of `regard.guidance.terms()`.
    """

    term: str

    @model_validator(mode="after")
    def _builds(self) -> "TermSettings":
        if self.term not in TERMS:
            raise ValueError(f"unknown term {self.term!r}; {near(self.term, TERMS)}")
        self.build()
        return self

    def build(self) -> Term:
        """The term with its options."""
        options: dict[str, Any] = dict(self.__pydantic_extra__ or {})
        try:
            return TERMS[self.term](**options)
        except TypeError as error:
            raise ValueError(f"options of term {self.term}: {error}") from error


class Guidance(Settings):
    """Losses on where the net looks.

    Attributes:
        terms: their weighted sum is added to the cross-entropy.
        regions: `own`; or as a control `misplaced`: moved elsewhere in the same image.
    """

    terms: tuple[TermSettings, ...] = Field(default=())
    regions: Literal["own", "misplaced"] = "own"
