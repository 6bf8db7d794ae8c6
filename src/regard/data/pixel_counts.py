"""How many pixels each class has in the masks of samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.annotation import spread_evenly
from regard.data.mask_classes import MaskClasses
from regard.data.sample import Sample
from regard.errors import DataError


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
        rows, counts = counted_masks([str(sample.mask) for sample in samples], classes)
        return cls(tuple(rows), counts[:, : len(classes.names)])

    @property
    def total(self) -> Tensor:
        """Pixels (K,) of each class in all of them."""
        return self.by_sample.sum(0)


def counted_masks(
    paths: Sequence[str], classes: MaskClasses, *, skip: bool = False
) -> tuple[list[int], Tensor]:
    """Pixels of each class, and of void, in masks; of many, in a thousand spread evenly.

    Args:
        paths: of the masks.
        classes: what their ids mean.
        skip: whether those that cannot be read are left out.

    Returns:
        Which masks were counted, and (N, 256) int64 of each of them: by class, and at `VOID`.

    Raises:
        DataError: a mask cannot be read, and is not to be left out.
    """
    chosen, rows = spread_evenly(len(paths)), []
    counts = torch.zeros(len(chosen), 256, dtype=torch.int64)
    for row in chosen:
        try:
            found = classes.read(paths[row])
        except DataError:
            if not skip:
                raise
            continue
        counts[len(rows)] = torch.bincount(found.flatten().long(), minlength=256)
        rows.append(row)
    return rows, counts[: len(rows)]
