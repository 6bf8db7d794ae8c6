"""Pairs of image and class, for nets whose images have several labels."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.regions import Regions
from regard.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """Images, each with a class and where the evidence for it should be.

    Attributes:
        rows: of the images, ints (P,).
        targets: class indices (P,).
        regions: (P, H, W).
        images: B, how many there are.

    Raises:
        DataError: numbers of rows, targets and regions that differ; a row that is no image.
    """

    rows: Tensor
    targets: Tensor
    regions: Regions
    images: int

    def __post_init__(self) -> None:
        found = len(self.rows), len(self.targets), len(self.regions)
        if len(set(found)) > 1:
            raise DataError(
                "pairs of image and class",
                expected="as many rows as targets and regions",
                found="{}, {} and {}".format(*found),
                remedy="give one of each for a pair",
            )
        if self.rows.is_floating_point() or self.rows.dtype == torch.bool:
            raise DataError(
                "rows",
                expected="whole numbers, an image's place in the batch each",
                found=str(self.rows.dtype),
                remedy="pass rows.long()",
            )
        wrong = self.rows[(self.rows < 0) | (self.rows >= self.images)]
        if len(wrong):
            raise DataError(
                "rows",
                expected=f"images 0 to {self.images - 1}",
                found=str(int(wrong[0])),
                remedy="give the image's place in the batch",
            )

    def rounds(self) -> Iterator[tuple[Tensor, Tensor, Regions]]:
        """The pairs in groups in which no image occurs twice, and at least one group.

        Yields:
            The places (p,) of the group's pairs; targets (B,), 0 for images that are not in it;
            regions (B, H, W), missing for these.
        """
        rows, seen = self.rows.tolist(), Counter()
        turns = []
        for row in rows:
            turns.append(seen[row])
            seen[row] += 1
        turn = torch.tensor(turns, dtype=torch.long, device=self.rows.device)
        for number in range(max(turns, default=0) + 1):
            places = (turn == number).nonzero().flatten()
            targets = self._spread(self.targets, places)
            yield places, targets, self._regions(places)

    def _regions(self, places: Tensor) -> Regions:
        evidence = self.regions.of(self.targets)
        return Regions(
            self._spread(evidence.inside, places),
            ignore=self._spread(1 - evidence.counted, places),
            present=self._spread(evidence.present, places),
        )

    def _spread(self, values: Tensor, places: Tensor) -> Tensor:
        """Values (P, ...) of some pairs at their images, (B, ...); 0 elsewhere."""
        spread = values.new_zeros(self.images, *values.shape[1:])
        return spread.index_put((self.rows[places].to(values.device),), values[places])
