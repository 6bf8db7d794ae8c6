"""How many pixels each class has in the masks of samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.annotation import spread_evenly
from regard.data.mask_classes import MaskClasses
from regard.data.sample import Sample


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of each class; void is not counted.

    Attributes:
        rows: the samples that were counted.
        by_sample: (N, K) int64, of each of them.
    """

    rows: tuple[int, ...]
    by_sample: Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample], classes: MaskClasses) -> "PixelCounts":
        """Of all samples; of many, of a thousand spread evenly."""
        rows = spread_evenly(len(samples))
        counts = torch.zeros(len(rows), 256, dtype=torch.int64)
        for own, row in zip(counts, rows, strict=True):
            found = classes.read(str(samples[row].mask))
            own += torch.bincount(found.flatten().long(), minlength=256)
        return cls(tuple(rows), counts[:, : len(classes.names)])

    @property
    def total(self) -> Tensor:
        """Pixels (K,) of each class in all of them."""
        return self.by_sample.sum(0)
