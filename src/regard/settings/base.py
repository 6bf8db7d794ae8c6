"""A section of a config."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Settings(BaseModel):
    """A section of a config: unknown keys are refused, values are checked, finite and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`yes` is no 1: pydantic takes it for one."""
        if isinstance(value, bool):
            kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
            if kinds & {int, float} and bool not in kinds:
                raise PydanticCustomError("no_number", "a number")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation names."""
    parts = () if isinstance(annotation, type) else get_args(annotation)
    inner = set[Any]().union(
        *(_kinds(part) for part in parts if isinstance(part, type) or get_args(part))
    )
    return inner or {annotation}
