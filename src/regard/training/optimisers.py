"""Optimisers and learning rate schedules."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from regard.models.heads import classifier_of
from regard.training.settings import Optimiser, Schedule


def build_optimiser(
    net: nn.Module, how: Optimiser, others: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The optimiser over all parameters; frozen ones have no gradient and stay.

    Args:
        net: whose parameters are moved.
        how: they are.
        others: parameters beside them, which do not decay.
    """
    groups: list[dict[str, Any]] = [{"params": list(net.parameters()), "lr": how.lr}]
    if how.backbone_lr is not None:
        head = set(classifier_of(net).parameters())
        rest = [p for p in net.parameters() if p not in head]
        own = [p for p in net.parameters() if p in head]
        groups = [{"params": rest, "lr": how.backbone_lr}, {"params": own, "lr": how.lr}]
    if others:
        groups.append({"params": list(others), "lr": how.lr, "weight_decay": 0.0})
    if how.name == "sgd":
        return torch.optim.SGD(groups, momentum=how.momentum, weight_decay=how.weight_decay)
    kind = torch.optim.Adam if how.name == "adam" else torch.optim.AdamW
    return kind(groups, weight_decay=how.weight_decay)


def restore_formats(optimiser: torch.optim.Optimizer) -> None:
    """Lay the state out in memory as its parameters are: files hold everything contiguous.

    The layout decides the order of operations, and so the last bit.
    """
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


class LearningRate:
    """Sets the optimiser's learning rates: by the step, or by a metric after each epoch.

    Args:
        optimiser: whose groups hold the full learning rates.
        how: the schedule.
        steps_per_epoch: optimiser steps.
        epochs: of the whole run.
        lower_is_better: of the metric that a plateau watches.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        how: Schedule,
        *,
        steps_per_epoch: int,
        epochs: int,
        lower_is_better: bool,
    ) -> None:
        self.optimiser, self.how = optimiser, how
        self.full = [group["lr"] for group in optimiser.param_groups]
        self.warmup = how.warmup_epochs * steps_per_epoch
        self.total = epochs * steps_per_epoch
        self.plateau = None
        if how.name == "plateau":
            mode = "min" if lower_is_better else "max"
            self.plateau = ReduceLROnPlateau(
                optimiser,
                mode,
                factor=how.factor,
                patience=how.patience,
                # As the best checkpoint is told: by any gain, of negative numbers, too.
                threshold=0.0,
                threshold_mode="abs",
            )

    def share(self, step: int) -> float:
        """The share of the full learning rate at a step; 1 on a plateau schedule."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.how.name != "cosine":
            return 1.0
        done = (step - self.warmup) / max(1, self.total - self.warmup)
        return self.how.floor + (1 - self.how.floor) * (1 + math.cos(math.pi * done)) / 2

    def before_step(self, step: int) -> None:
        """Set the rates of this step."""
        if self.plateau is None:
            for group, full in zip(self.optimiser.param_groups, self.full, strict=True):
                group["lr"] = full * self.share(step)

    def after_epoch(self, metric: float) -> None:
        """Tell a plateau the epoch's metric."""
        if self.plateau is not None:
            self.plateau.step(metric)

    @property
    def now(self) -> float:
        """The classifier's learning rate."""
        return self.optimiser.param_groups[-1]["lr"]

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep, as JSON."""
        if self.plateau is None:
            return {}
        kept = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        return {name: getattr(self.plateau, name) for name in kept}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`; the rates themselves come back with the optimiser."""
        if self.plateau is not None:
            for name, value in state.items():
                setattr(self.plateau, name, float(value) if name == "best" else value)
