"""What a tuning is: a YAML file of a base config and the ranges that are searched."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from regard.evaluation.direction import lower_is_better
from regard.files.names import named_plainly
from regard.settings.base import Settings
from regard.training.config import Partial


class Range(Settings):
    """What is tried of one key: numbers from low to high, or choices; a list is one of choices.

    Attributes:
        low: the least number.
        high: the largest. Where low, high and step are whole and the key takes whole numbers,
            only those are tried.
        log: draw evenly over the logarithm, for what spans orders of magnitude.
        step: try low, low + step and so on; none: anything between.
        choices: any values that the key takes.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"choices": value}
        if not isinstance(value, Mapping):
            raise ValueError(
                f"{value!r}; write {{low: ..., high: ...}} or a list of choices, or put the one "
                "value into base"
            )
        return value

    @model_validator(mode="after")
    def _either(self) -> "Range":
        if self.choices is not None:
            self._check_choices(self.choices)
        elif self.low is None or self.high is None:
            raise ValueError("neither low and high nor choices; write {low: ..., high: ...}")
        else:
            self._check_span(self.low, self.high)
        return self

    def _check_choices(self, choices: tuple[Any, ...]) -> None:
        if (self.low, self.high, self.step, self.log) != (None, None, None, False):
            raise ValueError("choices beside low, high, step or log; leave one of them out")
        if len(choices) < 2:
            raise ValueError(f"{len(choices)} choices; give two or more, or put one into base")
        twice = [c for i, c in enumerate(choices) if c in choices[:i]]
        if twice:
            raise ValueError(f"the choice {twice[0]!r} twice; give each once")

    def _check_span(self, low: float, high: float) -> None:
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"from {low} to {high}; give finite numbers")
        if low >= high:
            raise ValueError(f"low {low} and high {high}; make high the larger one")
        if self.log and low <= 0:
            raise ValueError(f"log from {low}; begin above 0")
        if self.step is not None:
            self._check_step(self.step, low, high)

    def _check_step(self, step: float, low: float, high: float) -> None:
        if self.log:
            raise ValueError("both log and step; leave one of them out, or list choices")
        if step <= 0:
            raise ValueError(f"step {step}; make it more than 0")
        steps = (high - low) / step
        if abs(steps - round(steps)) > 1e-6:
            reached = low + math.floor(steps) * step
            raise ValueError(
                f"high {high}, which no number of steps of {step} from {low} reaches; "
                f"set high: {reached:g}"
            )


class Objective(Settings):
    """What a trial is judged by; its name alone will do.

    Attributes:
        metric: that is logged of val, such as `val.loss`, `val.accuracy`, `val.f1_macro`,
            `val.energy`.
        better: `lower` or `higher`; left out, what is known of the metric.
    """

    metric: str = "val.loss"
    better: Literal["lower", "higher"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"metric": value} if isinstance(value, str) else value

    @field_validator("metric")
    @classmethod
    def _of_val(cls, value: str) -> str:
        split, dot, name = value.partition(".")
        if split != "val" or not dot or not name:
            raise ValueError(
                f"{value!r}; a tuning is judged on val alone, write for example val.loss"
            )
        return value

    @property
    def lower(self) -> bool:
        """Whether less is better."""
        return lower_is_better(self.metric) if self.better is None else self.better == "lower"


class Pruning(Settings):
    """Which trials are broken off; the name of the kind alone will do.

    Attributes:
        kind: `none`; `median`: whose best value so far is worse than the median of earlier trials
            at the same epoch; `hyperband`: that are not among the best third of those that came as
            far, after 1, 3, 9 ... times `warmup` epochs (Li et al., arXiv:1603.06560).
        warmup: first epochs, in which none is broken off.
        startup: of the median, trials that end in full before any is broken off.
    """

    kind: Literal["none", "median", "hyperband"] = "median"
    warmup: int = Field(default=2, ge=0)
    startup: int = Field(default=5, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class Tuning(Settings):
    """A search for the settings that do best on val.

    Attributes:
        name: of the tuning's folder, tunings/NAME, and of the study in the storage.
        title: heading of the report.
        about: a paragraph for readers of the report.
        base: the config that all trials share; without `training.best` the one objective chooses
            the best checkpoint.
        search: key of the config, with dots as for `--set`, to what is tried of it.
        objective: one metric, or a list of two for the front between them; a trial's values are
            those of its best checkpoint.
        sampler: `tpe` learns from earlier trials where to look (Bergstra et al., 2011); `random`;
            `grid` tries every combination once, in an order drawn by the seed.
        startup: of tpe, trials that are drawn at random first.
        pruning: which trials are broken off; null: by the median of one objective, none of two.
        seed: of the sampler. The trainings' is `base.training.seed`, the same for all trials.
        trials: how many, unless `--trials` says; null: of a grid all.
    """

    name: str = Field(min_length=1)
    title: str = ""
    about: str = ""
    base: Partial
    search: dict[str, Range]
    objective: tuple[Objective, ...] = (Objective(),)
    sampler: Literal["tpe", "grid", "random"] = "tpe"
    startup: int = Field(default=10, ge=1)
    pruning: Pruning | None = None
    seed: int = Field(default=0, ge=0)
    trials: int | None = Field(default=None, ge=1)

    @field_validator("objective", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @model_validator(mode="after")
    def _fits(self) -> "Tuning":
        named_plainly(self.name)
        if not self.search:
            raise ValueError("nothing to search; name keys such as training.optimiser.lr")
        metrics = [objective.metric for objective in self.objective]
        if len(set(metrics)) != len(metrics) or len(metrics) not in (1, 2):
            raise ValueError(f"objective {metrics}; name one metric of val, or two different ones")
        if len(metrics) == 2 and self.pruning is not None and self.pruning.kind != "none":
            raise ValueError(
                f"pruning {self.pruning.kind} with two objectives; leave it out, as no epoch of "
                "theirs is worse than another's as a whole"
            )
        if any(not part for key in self.search for part in key.split(".")):
            raise ValueError("an empty key in search; write for example training.optimiser.lr")
        return self

    @property
    def prunes(self) -> Pruning:
        """How trials are broken off."""
        if self.pruning is not None:
            return self.pruning
        return Pruning(kind="median" if len(self.objective) == 1 else "none")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the objectives."""
        return tuple(objective.metric for objective in self.objective)

    def told(self) -> dict[str, Any]:
        """What makes it this tuning: all but its words and the number of trials."""
        return self.model_dump(mode="json", exclude={"title", "about", "trials"})
