"""The energy term."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from regard.data.regions import Evidence
from regard.guidance.base import TERMS
from regard.guidance.forward_pass import ForwardPass
from regard.guidance.maps import MapTerm, has_room
from regard.scores.base import one_sign


@TERMS.register("energy")
@dataclass(frozen=True)
class Energy(MapTerm):
    """Energy loss: the share of the map's sum that lies outside of the region.

    1 - sum(L M) / sum(L)

    Says nothing about where inside the region the map should be, so it tolerates loose boxes
    and leaves the net free to look at a part. A zero map counts as a uniform one.

    Reference: Rao et al., Studying How to Efficiently and Effectively Guide Models with
    Explanations, ICCV 2023, arXiv:2303.11932, section 3.4, equation 6 (there -EPG, the same
    but for the constant).

    Example:
        >>> inside = torch.zeros(1, 2, 2); inside[:, 0] = 1
        >>> from regard.data.regions import Regions
        >>> Energy().loss(torch.ones(1, 2, 2), Regions(inside).of(None))
        tensor([0.5000])
    """

    kind: ClassVar[str] = "energy"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        counted = evidence.counted.to(maps.dtype)
        return _outside(maps, evidence.inside * counted, counted)

    def judged(self, seen: ForwardPass) -> Evidence:
        """The regions summed up for the places of the map, which need not be enlarged then."""
        return seen.gathered(self.raw(seen).shape[1:])

    def losses(self, seen: ForwardPass) -> Tensor:
        """Losses (B,) of the maps as they are."""
        maps = one_sign(self.raw(seen), self.sign)
        return self.loss(maps, self.judged(seen))


def _outside(maps: Tensor, inside: Tensor, counted: Tensor) -> Tensor:
    """The share (B,) of maps' sums over `counted` that is not over `inside`, its part."""
    total, found = (maps * counted).sum((1, 2)), (maps * inside).sum((1, 2))
    area, part = counted.sum((1, 2)), inside.sum((1, 2))
    # All pixels of an image may be ignored; the term is not valid for it then.
    uniform = part / torch.where(area > 0, area, 1)
    alive = has_room(total)
    return 1 - torch.where(alive, found / torch.where(alive, total, 1), uniform)
