"""Which regions of a train split are used, and how: few, loose, or as controls wrong ones."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.data.keys import keyed_generator
from regard.data.regions import misplace
from regard.data.sample import Sample, says_where

# The edges top, left, bottom and right of a part of a mask.
Frame = tuple[int, int, int, int]


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

    def region(self, own: Tensor, index: int, frame: Frame | None = None) -> Tensor:
        """What takes the place of the own region (H, W) of the sample in that row.

        Args:
            own: of the sample.
            index: its row.
            frame: the edges within which the picture lies; None: those of the region.
        """
        if self.kind == "mean":
            return self.means["attend"]
        return within(own, frame, lambda part: self._moved(dilated(part, self.dilate), index, ""))

    def avoided(self, own: Tensor, index: int, frame: Frame | None = None) -> Tensor:
        """What takes the place of the area to avoid, as for `region`."""
        if self.kind == "mean":
            return self.means["avoid"]
        return within(own, frame, lambda part: self._moved(part, index, " avoid"))

    @property
    def changes(self) -> bool:
        """Whether what is used is anything but the samples' own."""
        return self.kind != "own" or self.dilate > 0

    def _moved(self, own: Tensor, index: int, what: str) -> Tensor:
        if self.kind != "misplaced":
            return own
        return misplace(own, keyed_generator(self.seed, f"misplaced{what}", index))


def within(own: Tensor, frame: Frame | None, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A mask (H, W) with the part within a frame changed, and nothing around it."""
    if frame is None:
        return change(own)
    top, left, bottom, right = frame
    changed = torch.zeros_like(own)
    changed[top:bottom, left:right] = change(own[top:bottom, left:right])
    return changed


def dilated(region: Tensor, share: float) -> Tensor:
    """The region (H, W) widened on each side by a share of the shorter side, boxes as boxes."""
    reach = round(share * min(region.shape))
    if reach == 0:
        return region
    return F.max_pool2d(region[None, None], 2 * reach + 1, stride=1, padding=reach)[0, 0]


def annotated(samples: Sequence[Sample], share: float) -> list[Sample]:
    """The samples, of which only this share of those with a region is told where that is.

    Drawn by class, at least one of each that has any, and the same for every seed of a study. Of
    sets of labels a sample counts for each class that it has a region of, the rarest come first.
    """
    if share == 1:
        return list(samples)
    places: dict[int, list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        for label in _shown(sample) if says_where(sample) else ():
            places[label].append(place)
    kept: set[int] = set()
    for label, those in sorted(places.items(), key=lambda found: len(found[1])):
        order = torch.randperm(len(those), generator=keyed_generator("annotated", label))
        lacking = max(1, round(share * len(those))) - len(kept.intersection(those))
        further = [those[i] for i in order.tolist() if those[i] not in kept]
        kept.update(further[: max(0, lacking)])
    return [
        sample if place in kept else replace(sample, told=False)
        for place, sample in enumerate(samples)
    ]


def _shown(sample: Sample) -> Sequence[int]:
    """The classes that a sample has a region of."""
    if sample.labels is None:
        return (sample.label,)
    if sample.box_labels is None or sample.region is not None:
        return sample.labels
    return [label for label in sample.labels if label in sample.box_labels]
