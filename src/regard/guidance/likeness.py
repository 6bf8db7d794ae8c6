"""Terms that want the map to be like the region."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from regard.data.regions import Evidence
from regard.guidance.base import TERMS
from regard.guidance.maps import MapTerm, counted_maps, has_room, mean_or_zero, normal_maps

# Share of a uniform distribution that is mixed into both of KL's, so that it stays finite.
UNIFORM = 1e-3


@TERMS.register("l1")
@dataclass(frozen=True)
class L1(MapTerm):
    """Mean absolute difference of map and region.

    mean |M - n|,  n = L / max L

    Wants all of the region to be looked at, and evenly: give it tight masks.

    Reference: Rao et al., arXiv:2303.11932, section 3.4.
    """

    kind: ClassVar[str] = "l1"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        apart = (evidence.inside - normal_maps(maps, evidence)).abs()
        return mean_or_zero(apart, evidence.counted)


@TERMS.register("mse")
@dataclass(frozen=True)
class MSE(MapTerm):
    """Mean squared difference of map and region.

    mean (n - M)^2,  n = L / max L
    """

    kind: ClassVar[str] = "mse"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        apart = (normal_maps(maps, evidence) - evidence.inside).square()
        return mean_or_zero(apart, evidence.counted)


@TERMS.register("kl")
@dataclass(frozen=True)
class KL(MapTerm):
    """Kullback-Leibler divergence of the map from the region, both as distributions.

    KL(p, q) = sum p log(p / q),  p = M / sum M,  q = L / sum L

    with one part in a thousand of a uniform distribution mixed into both, so that a map without
    a value somewhere in the region costs something finite.

    Reference: Bylinskii et al., What do different evaluation metrics tell us about saliency
    models?, arXiv:1604.03605, section on KL.
    """

    kind: ClassVar[str] = "kl"
    separate: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,), at least 0."""
        even = _shares(evidence.counted)
        wanted = _shares(evidence.inside * evidence.counted)
        found = _shares(counted_maps(maps, evidence))
        wanted, found = (part + UNIFORM * (even - part) for part in (wanted, found))
        ratio = wanted / torch.where(found > 0, found, 1)
        return torch.special.xlogy(wanted, torch.where(found > 0, ratio, 1)).sum((1, 2))


@TERMS.register("iou")
@dataclass(frozen=True)
class IoU(MapTerm):
    """Soft intersection over union of map and region.

    1 - sum(n M) / sum(n + M - n M),  n = L / max L

    Wants all of the region to be looked at, and nothing else.
    """

    kind: ClassVar[str] = "iou"
    separate: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def loss(self, maps: Tensor, evidence: Evidence) -> Tensor:
        """Losses (B,) in [0, 1]."""
        normal, inside = normal_maps(maps, evidence), evidence.inside * evidence.counted
        common = normal * inside
        union = (normal + inside - common).sum((1, 2))
        return 1 - common.sum((1, 2)) / torch.where(union > 0, union, 1)


def _shares(values: Tensor) -> Tensor:
    """Values (B, H, W) over their sum."""
    total = values.sum((1, 2), keepdim=True)
    return values / torch.where(has_room(total), total, 1)
