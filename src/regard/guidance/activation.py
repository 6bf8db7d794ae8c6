"""Terms on how high the normalised map is in the region, and outside of it."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from regard.data.regions import Evidence
from regard.guidance.base import TERMS
from regard.guidance.maps import MapTerm, mean_or_zero, normal_maps


@TERMS.register("magtr")
@dataclass(frozen=True)
class MAGTR(MapTerm):
    """One less the mean activation in the region.

    1 - sum(n M) / sum(M),  n = L / max L

    Nothing in it speaks of the outside: the map may rise everywhere, and does, and a uniform map
    has no loss. Beside a loss on the outside it is of use.
    """

    kind: ClassVar[str] = "magtr"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        return 1 - mean_or_zero(normal_maps(maps, evidence), evidence.inside * evidence.counted)


@TERMS.register("hagtr")
@dataclass(frozen=True)
class HAGTR(MapTerm):
    """One less the highest activation in the region.

    1 - max over the region of n,  n = L / max L

    It is 0, without a gradient, as soon as the map's peak lies in the region.
    """

    kind: ClassVar[str] = "hagtr"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def valid(self, evidence: Evidence) -> Tensor:
        """Where some pixel is more inside than outside."""
        return evidence.partial & _within(evidence).flatten(1).any(1)

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        return 1 - (normal_maps(maps, evidence) * _within(evidence)).flatten(1).amax(1)


@TERMS.register("mangtr")
@dataclass(frozen=True)
class MANGTR(MapTerm):
    """The mean activation outside of the region.

    sum(n (1 - M)) / sum(1 - M),  n = L / max L
    """

    kind: ClassVar[str] = "mangtr"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        return mean_or_zero(normal_maps(maps, evidence), (1 - evidence.inside) * evidence.counted)


def _within(evidence: Evidence) -> Tensor:
    return (evidence.inside > 0.5) & (evidence.counted > 0.5)
