"""The `guidance` section of a run's config."""

from dataclasses import MISSING, fields
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from regard.data.mistakes import parse
from regard.data.settings import Settings
from regard.errors import near
from regard.guidance.base import TERMS, Term


class TermSettings(Settings, extra="allow"):
    """One guidance term: its kind, and whatever options that kind takes.

    Attributes:
        term: the kind, see `regard list terms`.
    """

    term: str

    @model_validator(mode="after")
    def _builds(self) -> "TermSettings":
        if self.term not in TERMS:
            raise ValueError(f"unknown term {self.term!r}; {near(self.term, TERMS)}")
        self.build()
        return self

    def build(self) -> Term:
        """The term with its options.

        Raises:
            ConfigError: an option that the term lacks, or a value that it cannot have.
        """
        kind = TERMS[self.term]
        options = parse(options_of(kind), self.__pydantic_extra__ or {}, "")
        return kind(**{name: getattr(options, name) for name in options.model_fields_set})


def options_of(kind: type[Term]) -> type[BaseModel]:
    """The options of a term as a model, from the fields of its dataclass."""
    hints = get_type_hints(kind)
    known: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is MISSING else field.default)
        for field in fields(kind)
    }
    how = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(kind.__name__, __config__=how, **known)


class Guidance(Settings):
    """Losses on where the net looks.

    Attributes:
        terms: their weighted sum is added to the cross-entropy.
        regions: `own`; or as a control `misplaced`: moved elsewhere in the same image.
    """

    terms: tuple[TermSettings, ...] = Field(default=())
    regions: Literal["own", "misplaced"] = "own"
