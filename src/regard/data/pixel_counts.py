"""How many pixels each class has in the masks of samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.mask_classes import MaskClasses
from regard.data.sample import Sample
from regard.data.some import some_of
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
        """Of all samples; of many, of a thousand, and of the first that shows a class they lack."""
        paths, k = [str(sample.mask) for sample in samples], len(classes.names)
        rows, counts = counted_masks(paths, classes)
        counts = counts[:, :k]
        for row in sorted({*range(len(paths))} - {*rows}):
            absent = counts.sum(0) == 0
            if not absent.any():
                break
            own = _counted(paths[row], classes)[:k]
            if own[absent].any():
                rows, counts = [*rows, row], torch.cat([counts, own[None]])
        return cls(tuple(rows), counts)

    @property
    def total(self) -> Tensor:
        """Pixels (K,) of each class in all of them."""
        return self.by_sample.sum(0)


def counted_masks(
    paths: Sequence[str], classes: MaskClasses, *, skip: bool = False
) -> tuple[list[int], Tensor]:
    """Pixels of each class, and of void, in masks; of many, in a thousand of them.

    Args:
        paths: of the masks.
        classes: what their ids mean.
        skip: whether those that cannot be read are left out.

    Returns:
        Which masks were counted, and (N, 256) int64 of each of them: by class, and at `VOID`.

    Raises:
        DataError: a mask cannot be read, and is not to be left out.
    """
    chosen, rows = some_of(len(paths)), []
    counts = torch.zeros(len(chosen), 256, dtype=torch.int64)
    for row in chosen:
        try:
            counts[len(rows)] = _counted(paths[row], classes)
        except DataError:
            if not skip:
                raise
            continue
        rows.append(row)
    return rows, counts[: len(rows)]


def _counted(path: str, classes: MaskClasses) -> Tensor:
    return torch.bincount(classes.read(path).flatten().long(), minlength=256)
