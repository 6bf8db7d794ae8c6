"""What a tuning searches: each key's values, checked by the config before the first trial."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from regard.errors import ConfigError
from regard.evaluation.direction import lower_is_better
from regard.guidance.settings import TermSettings
from regard.runs.files import dump_json
from regard.studies.tuning_settings import Range, Tuning
from regard.training.config import Config, merged, parse_config, placed

# More points than anyone trains on.
LARGEST_GRID = 100_000
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Parameter:
    """One key that is searched.

    Attributes:
        key: dotted path in the config.
        range: what is tried of it.
        whole: whether its numbers are whole.
    """

    key: str
    range: Range
    whole: bool = False

    @property
    def labels(self) -> tuple[Scalar, ...]:
        """The choices as a storage can hold them: lists and sections as JSON."""
        return tuple(_label(choice) for choice in self.range.choices or ())

    def value(self, label: Any) -> Any:
        """What the config gets for a value in the storage."""
        if self.range.choices is None:
            return label
        return self.range.choices[self.labels.index(label)]

    @property
    def probes(self) -> tuple[Any, ...]:
        """The values that a config has to take: both ends and a step, or every choice."""
        own = self.range
        if own.choices is not None:
            return own.choices
        assert own.low is not None
        steps = () if own.step is None else (own.low + own.step,)
        return (own.low, own.high, *steps)

    @property
    def points(self) -> tuple[Any, ...] | None:
        """All values in their order, as labels; None where they are without number."""
        own = self.range
        if own.choices is not None:
            return self.labels
        assert own.low is not None
        assert own.high is not None
        if own.step is None and not self.whole:
            return None
        step = 1 if own.step is None else own.step
        count = round((own.high - own.low) / step) + 1
        # Decimals: 0.1 + 2 * 0.1 is 0.3.
        start, by = Decimal(str(own.low)), Decimal(str(step))
        kind = int if self.whole else float
        return tuple(kind(start + number * by) for number in range(count))


def _label(choice: Any) -> Scalar:
    return choice if choice is None or isinstance(choice, Scalar) else dump_json(choice)


def space_of(tuning: Tuning) -> tuple[Parameter, ...]:
    """The keys that are searched, in their order in the file.

    Raises:
        ConfigError: an unknown key, a value that the config refuses, a grid of values without
            number.
    """
    first = {key: Parameter(key, own).probes[0] for key, own in tuning.search.items()}
    found = []
    for key, own in tuning.search.items():
        where = f"tuning {tuning.name}, search {key}"
        taken = []
        for value in Parameter(key, own).probes:
            config = config_of(tuning, first | {key: value})
            taken.append(_held(config, key, value))
        found.append(Parameter(key, own, whole=_whole(own, taken, where)))
    if tuning.sampler == "grid":
        grid_size(tuning.name, tuple(found))
    return tuple(found)


def _whole(own: Range, taken: list[Any], where: str) -> bool:
    """Whether only whole numbers are tried, by what the config made of both ends."""
    if own.choices is not None:
        return False
    if not all(type(value) in (int, float) for value in taken):
        raise ConfigError(
            where,
            expected="choices, as this is no number",
            found=f"from {own.low} to {own.high}",
            remedy="write a list: [..., ...]",
        )
    return all(type(value) is int for value in taken)


def _held(config: BaseModel, key: str, given: Any) -> Any:
    """What a config holds at a key, after its checks have made 1 of 1.0 and the like."""
    place: Any = config
    for part in key.split("."):
        if isinstance(place, TermSettings) and part != "term":
            place = place.build()
        if isinstance(place, list | tuple):
            place = place[int(part)]
        elif isinstance(place, Mapping):
            place = place.get(part, given)
        else:
            place = getattr(place, part, given)
    return place


def grid_size(name: str, space: tuple[Parameter, ...]) -> int:
    """How many combinations there are.

    Raises:
        ConfigError: numbers without steps between them, or far too many.
    """
    for parameter in space:
        if parameter.points is None:
            raise ConfigError(
                f"tuning {name}, search {parameter.key}",
                expected="choices or a step, for a grid",
                found="any number between low and high",
                remedy="add a step, list choices, or set sampler: random",
            )
    size = math.prod(len(parameter.points or ()) for parameter in space)
    if size > LARGEST_GRID:
        raise ConfigError(
            f"tuning {name}",
            expected=f"a grid of at most {LARGEST_GRID:,} points",
            found=f"{size:,}",
            remedy="take larger steps, or set sampler: random",
        )
    return size


def values_of(tuning: Tuning, chosen: Mapping[str, Any], threads: int | None = None) -> dict:
    """A config as a file has it: the base with chosen values at their keys.

    Args:
        tuning: the tuning.
        chosen: key to value.
        threads: of torch, where the base names no number of its own; None: torch's own.
    """
    own = {} if threads is None else {"threads": threads}
    values = merged({"training": own}, tuning.base)
    sole = tuning.objective[0]
    # What chooses the best checkpoint goes by what is known of a metric.
    if len(tuning.objective) == 1 and sole.lower == lower_is_better(sole.metric):
        values = merged({"training": {"best": sole.metric}}, values)
    for key, value in chosen.items():
        values = placed(values, key, value, f"tuning {tuning.name}, search {key}")
    return values


def config_of(tuning: Tuning, chosen: Mapping[str, Any], threads: int | None = None) -> Config:
    """The config of a trial; see `values_of`."""
    return parse_config(values_of(tuning, chosen, threads), f"tuning {tuning.name}")
