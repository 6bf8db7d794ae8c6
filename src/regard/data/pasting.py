"""Pixels of rare classes, lent by one training image to another.

Reference: Ghiasi et al., Simple Copy-Paste is a strong data augmentation method for instance
segmentation, arXiv:2012.07177, section 3; there whole instances at other scales and places, here,
for masks of classes, all pixels of one class where they stand, as scenes such as streets have an
upright geometry. Edges are hard, which the paper found to do as well as blended ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.mask_classes import TARGET
from regard.data.pixel_counts import PixelCounts

RARE = 0.25
"""A class is rare whose pixels in train are less than this share of an even share."""


def rare_classes(pixels: Tensor) -> list[int]:
    """The classes with less than a quarter of an even share of the pixels, but with some.

    Of K classes those below 1 / (4 K): below 3.6% of seven, 1.3% of nineteen.

    Args:
        pixels: (K,) of each class.
    """
    return [k for k, n in enumerate(pixels.tolist()) if 0 < n < RARE * pixels.sum() / len(pixels)]


@dataclass(frozen=True)
class Loan:
    """What one sample lends to another of the same size.

    Attributes:
        image: uint8 (3, H, W).
        where: bool (H, W), the pixels that are lent.
        index: their class.
    """

    image: Tensor
    where: Tensor
    index: int

    def mirrored(self) -> "Loan":
        """The same, left to right."""
        return Loan(self.image.flip(-1), self.where.flip(-1), self.index)


@dataclass(frozen=True)
class Lenders:
    """Which samples show which rare class, as far as their masks were counted.

    Attributes:
        classes: that are rare.
        rows: by rare class, the samples that show it.
    """

    classes: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, counts: PixelCounts) -> "Lenders":
        """Of the samples that were counted."""
        rare = rare_classes(counts.total)
        rows = torch.tensor(counts.rows)
        shown = [tuple(rows[counts.by_sample[:, k] > 0].tolist()) for k in rare]
        return cls(tuple(rare), tuple(shown))

    def drawn(self, unit: list[float], *, besides: int) -> tuple[int, int] | None:
        """A rare class, each as likely as another, and a sample that shows it, likewise.

        Args:
            unit: two numbers in [0, 1), for the class and the sample.
            besides: the sample that borrows, and does not lend to itself.

        Returns:
            Class and row; None where no other sample shows the class.
        """
        number = int(unit[0] * len(self.classes))
        others = [row for row in self.rows[number] if row != besides]
        return (self.classes[number], others[int(unit[1] * len(others))]) if others else None


def pasted(
    images: dict[str, Tensor], masks: dict[str, Tensor], loan: Loan
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The view (uint8 (3, H, W)) and the target (H, W) of a sample with what it has borrowed."""
    ((view, image),) = images.items()
    target = masks[TARGET]
    index = torch.tensor(loan.index, dtype=target.dtype)
    return (
        {view: torch.where(loan.where, loan.image, image)},
        {**masks, TARGET: torch.where(loan.where, index, target)},
    )
