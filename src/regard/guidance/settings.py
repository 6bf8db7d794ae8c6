"""The `guidance` section of a run's config."""

from dataclasses import MISSING, Field, fields
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model, model_validator
from pydantic import Field as Default

from regard.errors import near
from regard.guidance.base import TERMS, Term
from regard.guidance.combination import Combination, Combining
from regard.settings.base import Settings
from regard.settings.mistakes import parse


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


class _Options(Settings):
    model_config = ConfigDict(arbitrary_types_allowed=True)


def options_of(kind: type[Term]) -> type[BaseModel]:
    """The options of a term as a model, from the fields of its dataclass."""
    hints = get_type_hints(kind)
    known: dict[str, Any] = {
        field.name: (hints[field.name], _default(field)) for field in fields(kind)
    }
    return create_model(kind.__name__, __base__=_Options, **known)


def _default(option: Field) -> Any:
    if option.default_factory is not MISSING:
        return Default(default_factory=option.default_factory)
    return ... if option.default is MISSING else option.default


class Guidance(Settings):
    """Losses on where the net looks.

    Attributes:
        terms: the guidance losses, one entry a term.
        combine: with the cross-entropy: `sum`, weighted; `product`, `quotient`: of each image's
            cross-entropy and losses; `uncertainty`: a sum with learned weights.
        cross_entropy: weight of the cross-entropy.
        regions: `own`; or as a control `misplaced`: moved elsewhere in the same image; or `mean`:
            for every image that has a region the mean one of the train split.
        share: of the train images with a region, those whose region is used; the rest trains
            plainly. Drawn once, the same for every seed.
        dilate: by how much boxes and masks are widened on each side, as a share of the image's
            shorter side: how far from loose annotations can be.
    """

    terms: tuple[TermSettings, ...] = ()
    combine: Combining = "sum"
    cross_entropy: float = Default(default=1.0, ge=0)
    regions: Literal["own", "misplaced", "mean"] = "own"
    share: float = Default(default=1.0, gt=0, le=1)
    dilate: float = Default(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _combines(self) -> "Guidance":
        Combination(self.combine, [term.build() for term in self.terms])
        return self
