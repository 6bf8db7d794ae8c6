"""Which regions of a train split are used, and how: few, loose, or as controls wrong ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.data.keys import keyed_generator
from regard.data.regions import misplace
from regard.data.sample import Sample, says_where

# Samples that a mean region is taken of, at most.
MEAN_OF = 1000


@dataclass(frozen=True)
class Annotation:
    """How regions are used.

    Attributes:
        kind: `own`; `misplaced`, moved away from the true place, the same for every epoch;
            `mean`, that of all samples; or `none`, which leaves them out.
        dilate: by how much they are widened on each side, as a share of the shorter side.
        seed: of the moves.
        means: by kind of mask (`attend`, `avoid`), (H, W), for `mean`.
    """

    kind: str = "own"
    dilate: float = 0.0
    seed: int = 0
    means: Mapping[str, Tensor] = field(default_factory=dict)

    def region(self, own: Tensor, index: int) -> Tensor:
        """What takes the place of the own region (H, W) of the sample in that row."""
        return self._placed(dilated(own, self.dilate), index, "attend")

    def avoided(self, own: Tensor, index: int) -> Tensor:
        """What takes the place of the area (H, W) that the sample in that row says to avoid."""
        return self._placed(own, index, "avoid")

    def _placed(self, own: Tensor, index: int, what: str) -> Tensor:
        if self.kind == "mean":
            return self.means[what]
        if self.kind != "misplaced":
            return own
        name = "misplaced" if what == "attend" else "misplaced avoid"
        return misplace(own, keyed_generator(self.seed, name, index))


def dilated(region: Tensor, share: float) -> Tensor:
    """The region (H, W) widened on each side by a share of the shorter side, boxes as boxes."""
    reach = round(share * min(region.shape))
    if reach == 0:
        return region
    return F.max_pool2d(region[None, None], 2 * reach + 1, stride=1, padding=reach)[0, 0]


def annotated(samples: Sequence[Sample], share: float) -> list[Sample]:
    """The samples, of which only this share of those with a region still have it.

    Drawn by class, at least one of each that has any, and the same for every seed of a study.
    """
    if share == 1:
        return list(samples)
    places: dict[int, list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        if says_where(sample):
            places[sample.label].append(place)
    kept = set()
    for label, those in places.items():
        order = torch.randperm(len(those), generator=keyed_generator("annotated", label))
        kept |= {those[i] for i in order[: max(1, round(share * len(those)))].tolist()}
    return [
        sample if place in kept else replace(sample, region=None, boxes=None, avoid=None)
        for place, sample in enumerate(samples)
    ]


def spread_evenly(count: int) -> list[int]:
    """`MEAN_OF` places from 0 to count - 1, or all of them where there are no more."""
    most = min(count, MEAN_OF)
    return [i * count // most for i in range(most)]
