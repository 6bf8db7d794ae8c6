"""Scores of how much of a map lies in the region."""

import math

import torch
from torch import Tensor

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.scores.base import (
    SCORES,
    Score,
    mean_or_nan,
    ones,
    peak_normalised,
    region_area,
    zeros,
)

# What is above this quantile of its values is where a map points for `iou`.
QUANTILE = 0.8


def energy(maps: Tensor, evidence: Evidence) -> Tensor:
    """Energy-based pointing game: the share of the map's sum that lies in the region.

    sum(L R) / sum(L). A uniform map gets the region's area: see `energy_gain`.

    Reference: Wang et al., Score-CAM, arXiv:1910.01279, section 4.3.
    """
    return mean_or_nan(evidence.inside, maps * evidence.counted)


def energy_gain(maps: Tensor, evidence: Evidence) -> Tensor:
    """Energy over the region's area: how many times better than a uniform map."""
    return energy(maps, evidence) / evidence.area


def iou(maps: Tensor, evidence: Evidence, *, quantile: float = QUANTILE) -> Tensor:
    """Intersection over union of the map above its own quantile with the region above 0.5.

    With a region of area a and the share s = 1 - quantile of the map chosen, a map whose values
    all differ gets at most min(a / s, s / a), to one pixel. Of a map with ties at the quantile,
    as one that is zero on most of the image, less is chosen; of a uniform one nothing, and it
    gets 0. `uniform` is what chance gets.

    Args:
        maps: (B, H, W).
        evidence: the regions.
        quantile: of the map's counted values, in [0, 1), linear between neighbours; chosen is
            what is strictly above.

    Raises:
        ConfigError: a quantile outside of [0, 1).
    """
    if not 0 <= quantile < 1:
        raise ConfigError(
            "score iou",
            expected="a quantile in [0, 1)",
            found=str(quantile),
            remedy=f"try {QUANTILE}",
        )
    kept = evidence.counted > 0.5
    cuts = maps.new_zeros(len(maps))
    for place, (row, some) in enumerate(zip(maps, kept, strict=True)):
        cuts[place] = _cut(row[some], quantile)
    chosen, true = (maps > cuts[:, None, None]) & kept, (evidence.inside > 0.5) & kept
    return (chosen & true).sum((1, 2)) / (chosen | true).sum((1, 2))


def _cut(values: Tensor, quantile: float) -> Tensor:
    """The value at or next below the quantile: what is above it is above the quantile."""
    if len(values) == 0:
        return values.new_zeros(())
    place = quantile * (len(values) - 1)
    return values.kthvalue(int(place + 1e-9) + 1).values


def hagtr(maps: Tensor, evidence: Evidence) -> Tensor:
    """Highest activation in the region, of the map over its maximum.

    max of n over R > 0.5, with n = L / max L; ignored pixels count in neither.
    """
    normal = peak_normalised(maps * evidence.counted)
    return (normal * (evidence.inside > 0.5)).flatten(1).amax(1)


def magtr(maps: Tensor, evidence: Evidence) -> Tensor:
    """Mean activation in the region, of the map over its maximum.

    sum(n R) / sum R, with n = L / max L; ignored pixels count in neither.
    """
    normal = peak_normalised(maps * evidence.counted)
    return mean_or_nan(normal, evidence.inside * evidence.counted)


def mangtr(maps: Tensor, evidence: Evidence) -> Tensor:
    """Mean activation outside of the region, of the map over its maximum; lower is better.

    sum(n (1 - R)) / sum(1 - R), with n = L / max L; ignored pixels count in neither.
    """
    normal = peak_normalised(maps * evidence.counted)
    return mean_or_nan(normal, (1 - evidence.inside) * evidence.counted)


def _iou_by_chance(evidence: Evidence, *, quantile: float = QUANTILE) -> Tensor:
    area, share = evidence.area, 1 - quantile
    return share * area / (share + area - share * area)


def _iou_at_best(evidence: Evidence, *, quantile: float = QUANTILE) -> Tensor:
    share = 1 - quantile
    return torch.minimum(evidence.area / share, share / evidence.area)


SCORES.register("energy")(Score(energy, "higher", uniform=region_area, best=ones))
SCORES.register("energy_gain")(
    Score(
        energy_gain,
        "higher",
        uniform=ones,
        best=lambda evidence: 1 / evidence.area,
        within=(0.0, math.inf),
    )
)
SCORES.register("iou")(
    Score(iou, "higher", uniform=_iou_by_chance, best=_iou_at_best, whole=True, binary=True)
)
SCORES.register("hagtr")(Score(hagtr, "higher", uniform=ones, best=ones, binary=True))
SCORES.register("magtr")(Score(magtr, "higher", uniform=ones, best=ones, whole=True))
SCORES.register("mangtr")(Score(mangtr, "lower", uniform=ones, best=zeros))
