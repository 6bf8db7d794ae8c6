"""What a run has reached: counters, running means, the best epoch; all of it as JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from regard.guidance.combination import Divisors
from regard.runs.files import number


@dataclass
class Progress:
    """Where training stands; a checkpoint keeps it whole.

    Attributes:
        step: optimiser steps done.
        epoch: epochs done.
        batch: effective batches done in the running epoch.
        judged: images of the running epoch whose answers are right or wrong.
        sums: of the running epoch, each loss times what it is the mean of: images, or weights.
        counts: of the running epoch, of these.
        correct: right answers of the running epoch; of a segmenter, shares of images.
        best, best_epoch, best_step: the best metric so far and where it was.
        stale: epochs since then.
        micro: images a forward pass; halved when memory runs out.
        seconds: training time over all interruptions.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    judged: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    correct: float = 0
    best: float | None = None
    best_epoch: int | None = None
    best_step: int | None = None
    stale: int = 0
    micro: int = 0
    seconds: float = 0.0

    def add(self, correct: float, parts: Mapping[str, float], by: Divisors) -> None:
        """Count a step's batch.

        Args:
            correct: right answers.
            parts: means of the losses, of the term T as `loss.T`.
            by: what they are the means of.
        """
        self.step += 1
        self.batch += 1
        self.judged += by.judged
        self.correct += correct
        for name, value in parts.items():
            count = by.of(name)
            # Of no image there is no mean; times 0 a NaN would stay one.
            self.sums[name] = self.sums.get(name, 0.0) + (value * count if count else 0.0)
            self.counts[name] = self.counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        """Means of the running epoch over the images that each is of; NaN where there is none."""
        means = {
            name: value / self.counts[name] if self.counts[name] else math.nan
            for name, value in self.sums.items()
        }
        accuracy = self.correct / self.judged if self.judged else math.nan
        return {**means, "accuracy": accuracy}

    def end_epoch(self, metric: float, *, lower: bool) -> bool:
        """Count an epoch; whether its metric is the best so far. NaN never is."""
        self.epoch += 1
        self.batch = self.judged = self.correct = 0
        self.sums, self.counts = {}, {}
        better = metric == metric and (
            self.best is None or (metric < self.best if lower else metric > self.best)
        )
        if better:
            self.best, self.best_epoch, self.best_step = metric, self.epoch, self.step
            self.stale = 0
        else:
            self.stale += 1
        return better

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Progress":
        """The inverse of `state`."""
        known = dict(state)
        known["sums"] = {name: number(value) for name, value in state["sums"].items()}
        known["best"] = None if state["best"] is None else number(state["best"])
        return cls(**known)
