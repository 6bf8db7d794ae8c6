"""What is measured of train and val after an epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeVar

import numpy as np

from regard.data.loader import Loader
from regard.errors import NumericalError
from regard.evaluation.predict import Answers, answered, predictions
from regard.guidance.combination import Combination
from regard.runs.files import write_table
from regard.runs.folder import RunFolder
from regard.training.measure import gaze_by_image, measure
from regard.training.measure_masks import MaskTally, tally_masks
from regard.training.objective import Objective
from regard.training.prepare import Prepared
from regard.training.step import blown_up

T = TypeVar("T")
_NONE: Any = object()


@dataclass(frozen=True)
class Measuring:
    """Runs the net over val, and over the sample of train whose gaze is asked for.

    Attributes:
        prepared: net, loaders, terms and config.
        files: of the run, where the gaze of kept epochs goes.
        combination: makes the total loss.
        objective: what is learned.
    """

    prepared: Prepared
    files: RunFolder
    combination: Combination
    objective: Objective

    def keeps(self, epoch: int) -> bool:
        """Whether the epoch is kept to be compared."""
        kept = self.prepared.config.training.keep_epochs
        return kept == "all" or epoch in kept

    def gaze(self, epoch: int) -> dict[str, float]:
        """The gaze's scores on train after so many epochs."""
        if self.prepared.train_gaze is None:
            return {}
        values = self._measured(self.prepared.train_gaze, "train", epoch)
        return {name: values[name] for name in self.prepared.config.gaze.scores if name in values}

    def val(self, epoch: int) -> dict[str, dict[str, float]]:
        """`val` with its numbers after so many epochs; empty where there is none."""
        if self.prepared.val is None:
            return {}
        return {"val": self._measured(self.prepared.val, "val", epoch)}

    def chosen_by(self, record: dict[str, Any], epoch: int) -> float:
        """What chooses the best checkpoint, from an epoch's record; of `last` the epoch itself."""
        best = self.prepared.config.training.best
        if best == "last":
            return float(epoch)
        split, _, name = best.partition(".")
        return record[split][name]

    def _measured(self, loader: Loader, split: str, epoch: int) -> dict[str, float]:
        """The numbers of a split, of which each process answers its share of the batches."""
        if self.prepared.config.data.task == "segmentation":
            tallies = self.prepared.group.collect(self._tally(loader))
            return self.prepared.group.by_first(lambda: _pooled(tallies, loader))
        answers = in_turn(self.prepared.group.collect(self._answers(loader)))
        return self.prepared.group.by_first(lambda: self._told(answers, loader, split, epoch))

    def _answers(self, loader: Loader) -> list[Answers]:
        answers = answered(
            self.prepared.net,
            loader.batches(),
            self.prepared.transform,
            gaze=self.prepared.config.gaze,
            terms=self.prepared.terms,
            device=next(self.prepared.net.parameters()).device,
            bf16=self.prepared.config.training.bf16,
        )
        return list(answers)

    def _told(
        self, answers: Sequence[Answers], loader: Loader, split: str, epoch: int
    ) -> dict[str, float]:
        found = predictions(answers, self.prepared.config.gaze, self.prepared.terms)
        blown = found.index[~np.isfinite(found.logits).all(1)]
        if len(blown):
            raise NumericalError(blown_up("outputs", loader.data, blown.tolist()))
        if self.keeps(epoch):
            write_table(self.files.gaze_of_epoch(split, epoch), gaze_by_image(found))
        return measure(found, self.combination, self.prepared.terms)

    def _tally(self, loader: Loader) -> MaskTally:
        return tally_masks(
            self.prepared.net,
            loader.batches(),
            self.prepared.transform,
            self.objective,
            classes=len(self.prepared.config.classes or ()),
            cross_entropy=self.combination.k,
            bf16=self.prepared.config.training.bf16,
        )


def _pooled(tallies: Sequence[MaskTally], loader: Loader) -> dict[str, float]:
    whole, *others = tallies
    for other in others:
        whole.add(other)
    if whole.blown:
        raise NumericalError(blown_up("outputs", loader.data, whole.blown))
    return whole.metrics()


def in_turn(dealt: Sequence[Sequence[T]]) -> list[T]:
    """What was dealt out in turn, in its old order."""
    rounds = zip_longest(*dealt, fillvalue=_NONE)
    return [each for turn in rounds for each in turn if each is not _NONE]
