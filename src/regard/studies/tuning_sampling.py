"""What a trial tries, and whether it is broken off: from the seed and earlier trials alone.

Optuna keeps no sampler's state in a storage. Here every trial has a sampler of its own, seeded by
the trial's number, and every decision is made on a copy of the trials in memory. So a tuning that
was killed goes on as if it had not been.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from regard.data.keys import key, keyed_generator
from regard.studies.optuna_extra import quiet
from regard.studies.tuning_settings import Tuning
from regard.studies.tuning_space import Parameter, Scalar

Space = Sequence[Parameter]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna is told of each key."""
    return {parameter.key: _distribution(parameter) for parameter in space}


def _distribution(parameter: Parameter) -> BaseDistribution:
    own = parameter.range
    if own.choices is not None:
        return CategoricalDistribution(parameter.labels)
    assert own.low is not None
    assert own.high is not None
    if parameter.whole:
        step = 1 if own.step is None else int(own.step)
        return IntDistribution(int(own.low), int(own.high), log=own.log, step=step)
    return FloatDistribution(own.low, own.high, log=own.log, step=own.step)


def drawn(tuning: Tuning, space: Space, trials: Sequence[FrozenTrial]) -> dict[str, Scalar]:
    """What the next trial tries, by key.

    Args:
        tuning: the tuning.
        space: what is searched.
        trials: all earlier ones in their order; those that are running count for tpe, so that it
            does not try the same twice.
    """
    number = len(trials)
    if tuning.sampler == "grid":
        return _grid_point(tuning, space, number)
    seed = key(tuning.seed, "trial", number) % 2**32
    sampler: BaseSampler = RandomSampler(seed)
    if tuning.sampler == "tpe":
        sampler = TPESampler(n_startup_trials=tuning.startup, seed=seed)
    study = _in_memory(tuning, sampler, None)
    study.add_trials(trials)
    return study.ask(distributions(space)).params


def _grid_point(tuning: Tuning, space: Space, number: int) -> dict[str, Scalar]:
    """The number-th point of the grid, whose order the seed has shuffled."""
    axes = [parameter.points or () for parameter in space]
    size = 1
    for axis in axes:
        size *= len(axis)
    place = int(torch.randperm(size, generator=keyed_generator(tuning.seed, "grid"))[number])
    found = {}
    for parameter, axis in zip(space, axes, strict=True):
        place, index = divmod(place, len(axis))
        found[parameter.key] = axis[index]
    return found


def begun(space: Space, chosen: Mapping[str, Scalar]) -> FrozenTrial:
    """A running trial that tries this, to be added to a study in one step."""
    return create_trial(
        state=TrialState.RUNNING, params=dict(chosen), distributions=distributions(space)
    )


def judged(
    tuning: Tuning, trials: Sequence[FrozenTrial], number: int, values: Mapping[int, float],
    epochs: int,
) -> tuple[bool, dict[str, Any]]:  # fmt: skip
    """Whether a trial is broken off after what it has reached.

    Args:
        tuning: of one objective.
        trials: all of the study.
        number: of the trial.
        values: of the objective, by epoch.
        epochs: that a trial has at the most.

    Returns:
        Whether it is, and the attributes by which later trials of hyperband know how far it came.
    """
    pruner = _pruner(tuning, epochs)
    if pruner is None:
        return False, {}
    study = _in_memory(tuning, RandomSampler(0), pruner)
    study.add_trials(trials[:number])
    own = study.ask()
    study.add_trials(trials[number + 1 :])
    ended = False
    for epoch in sorted(values):
        own.report(values[epoch], epoch)
        ended = own.should_prune()
    return ended, study.get_trials()[number].system_attrs


def _pruner(tuning: Tuning, epochs: int) -> BasePruner | None:
    how = tuning.prunes
    if how.kind == "median":
        return MedianPruner(n_startup_trials=how.startup, n_warmup_steps=how.warmup + 1)
    if how.kind == "hyperband":
        least = min(max(how.warmup, 1), epochs)
        return HyperbandPruner(min_resource=least, max_resource=epochs, reduction_factor=3)
    return None


def _in_memory(tuning: Tuning, sampler: BaseSampler, pruner: BasePruner | None) -> optuna.Study:
    quiet()
    return optuna.create_study(
        study_name=tuning.name,
        directions=["minimize" if own.lower else "maximize" for own in tuning.objective],
        sampler=sampler,
        pruner=pruner or optuna.pruners.NopPruner(),
    )
