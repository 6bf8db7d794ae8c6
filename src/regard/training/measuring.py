"""What is measured of train and val after an epoch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from regard.data.loader import Loader
from regard.errors import NumericalError
from regard.evaluation.predict import predict
from regard.guidance.combination import Combination
from regard.runs.files import write_table
from regard.runs.folder import RunFolder
from regard.training.measure import gaze_by_image, measure
from regard.training.measure_masks import measure_masks
from regard.training.objective import Objective
from regard.training.prepare import Prepared
from regard.training.step import blown_up


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
        if self.prepared.config.data.task == "segmentation":
            return self._segmented(loader)
        found = predict(
            self.prepared.net,
            loader.batches(),
            self.prepared.transform,
            gaze=self.prepared.config.gaze,
            terms=self.prepared.terms,
            device=next(self.prepared.net.parameters()).device,
            bf16=self.prepared.config.training.bf16,
        )
        blown = found.index[~np.isfinite(found.logits).all(1)]
        if len(blown):
            raise NumericalError(blown_up("outputs", loader.data, blown.tolist()))
        if self.keeps(epoch):
            write_table(self.files.gaze_of_epoch(split, epoch), gaze_by_image(found))
        return measure(found, self.combination, self.prepared.terms)

    def _segmented(self, loader: Loader) -> dict[str, float]:
        found, blown = measure_masks(
            self.prepared.net,
            loader.batches(),
            self.prepared.transform,
            self.objective,
            classes=len(self.prepared.config.classes or ()),
            cross_entropy=self.combination.k,
            bf16=self.prepared.config.training.bf16,
        )
        if blown:
            raise NumericalError(blown_up("outputs", loader.data, blown))
        return found
