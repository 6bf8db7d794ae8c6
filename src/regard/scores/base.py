"""What a score is, and `regard.score`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.data.regions import Evidence, Regions, as_regions
from regard.errors import ConfigError, DataError
from regard.registry import Registry
from regard.saliency.explain import resize

Formula = Callable[..., Tensor]


@dataclass(frozen=True)
class Score:
    """A formula from maps and regions to numbers, and how to read them.

    Attributes:
        formula: maps (B, H, W), at least 0 and not all 0, and evidence to (B,).
        better: whether a higher or a lower number is better.
        uniform: what a map without any preference gets, (B,), from the region's area.
        best: what the best of all maps gets, (B,), from the area of a region without soft edges.
        whole: whether a region that covers the whole image leaves the score defined.
        binary: whether the region is only where its mask is above one half.
    """

    formula: Formula
    better: Literal["higher", "lower"]
    uniform: Callable[[Evidence], Tensor]
    best: Callable[[Evidence], Tensor]
    whole: bool = False
    binary: bool = False


SCORES: Registry[Score] = Registry("score")


def score(
    maps: Float[Tensor, "B h w"],
    regions: Regions | Tensor | None = None,
    name: str = "energy",
    *,
    net: nn.Module | None = None,
    images: Tensor | None = None,
    targets: Tensor | None = None,
    sign: Literal["positive", "absolute"] = "positive",
    **options: Any,
) -> Float[Tensor, " B"]:
    """Score each map against its region.

    Maps are resized to the regions' size (bilinear, align_corners=False). NaN where the score
    is undefined: no region, an empty one (for a binary score one that is nowhere above one
    half), a map that is zero everywhere or not finite, and, where nothing could be wrong then, a
    region that covers the whole image. The answer for an image does not depend on the others of
    its batch nor on the map's scale, and the maps are left as they are.

    Args:
        maps: (B, h, w).
        regions: (B, H, W) in [0, 1], by class (B, K, H, W), or `Regions`.
        name: of `regard.scores.scores()`.
        net: for scores that ask the model.
        images: for scores that ask the model.
        targets: class indices (B,), to choose among regions by class.
        sign: what counts of a signed map: its positive part or its absolute value.
        options: of the score.

    Returns:
        (B,), float32.

    Raises:
        ConfigError: an unknown score or option.
        DataError: no regions, or another number of regions than maps.

    Example:
        >>> inside = torch.zeros(1, 4, 4); inside[:, :2] = 1
        >>> score(torch.ones(1, 4, 4), inside, "energy")
        tensor([0.5000])
    """
    kind = SCORES[name]
    if regions is None:
        raise DataError(
            f"score {name}", expected="regions", found="None", remedy="pass regions (B, H, W)"
        )
    regions = as_regions(regions)
    if maps.ndim != 3 or len(maps) != len(regions):
        raise DataError(
            f"score {name}",
            expected=f"{len(regions)} maps (B, h, w), one a region",
            found=f"maps of shape {tuple(maps.shape)}",
            remedy="pass one map an image",
        )
    evidence = regions.to(maps.device).of(None if targets is None else targets.to(maps.device))
    evidence = binarised(evidence) if kind.binary else evidence
    precise = maps.to(torch.promote_types(maps.dtype, torch.float32))
    maps = resize(peak_normalised(one_sign(precise, sign)).float(), regions.size)
    defined = defined_rows(maps, evidence, whole=kind.whole)
    try:
        inspect.signature(kind.formula).bind(maps, evidence, **options)
    except TypeError as error:
        raise ConfigError(
            f"score {name}",
            expected="its own options",
            found=str(error),
            remedy=f"see help(regard.scores.SCORES[{name!r}].formula)",
        ) from error
    values = kind.formula(maps, evidence, **options)
    return torch.where(defined, values.float(), torch.nan)


def one_sign(maps: Tensor, sign: str) -> Tensor:
    """The positive part of signed maps, or their absolute value."""
    if sign not in ("positive", "absolute"):
        raise ConfigError(
            "sign", expected="positive or absolute", found=repr(sign), remedy="choose one"
        )
    return maps.abs() if sign == "absolute" else maps.clamp_min(0)


def defined_rows(maps: Tensor, evidence: Evidence, *, whole: bool) -> Tensor:
    """Which images have a region that says something and a map that is not all zero."""
    seen = (maps * evidence.counted).flatten(1).amax(1) > 0
    region = evidence.present & (evidence.area > 0) if whole else evidence.partial
    return region & seen


def binarised(evidence: Evidence) -> Evidence:
    """The region where it is above one half, counted where ignored by less than that."""
    inside, counted = (evidence.inside > 0.5).float(), (evidence.counted > 0.5).float()
    return Evidence(inside, counted, evidence.present)


def peak_normalised(maps: Tensor) -> Tensor:
    """Maps over their own maximum; a zero map stays zero."""
    peak = maps.flatten(1).amax(1)[:, None, None]
    return maps / torch.where(peak > 0, peak, 1)


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over positions, (B, H, W) to (B,); NaN where the weights sum to 0."""
    return (values * weights).sum((1, 2)) / weights.sum((1, 2))
