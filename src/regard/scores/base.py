"""What a score is, and `regard.score`."""

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
        uniform: what a map without any preference gets, (B,), from the evidence.
        best: what the best of all maps gets, (B,), from the evidence.
        whole: whether a region that covers the whole image leaves the score defined.
    """

    formula: Formula
    better: Literal["higher", "lower"]
    uniform: Callable[[Evidence], Tensor]
    best: Callable[[Evidence], Tensor]
    whole: bool = False


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
    is undefined: no region, an empty one, a map that is zero everywhere, and, where nothing
    could be wrong then, a region that covers the whole image. The answer for an image does not
    depend on the others of its batch, and the maps are left as they are.

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
    evidence = regions.to(maps.device).of(targets)
    maps = resize(one_sign(maps.float(), sign), regions.size)
    defined = defined_rows(maps, evidence, whole=kind.whole)
    try:
        values = kind.formula(maps, evidence, **options)
    except TypeError as error:
        raise ConfigError(
            f"score {name}",
            expected="its own options",
            found=str(error),
            remedy=f"see help(regard.scores.SCORES[{name!r}].formula)",
        ) from error
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
    area = evidence.area
    seen = (maps * evidence.counted).flatten(1).amax(1) > 0
    return evidence.present & (area > 0) & seen & (whole | (area < 1))


def peak_normalised(maps: Tensor) -> Tensor:
    """Maps over their own maximum; a zero map stays zero."""
    peak = maps.flatten(1).amax(1)[:, None, None]
    return maps / torch.where(peak > 0, peak, 1)


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over positions, (B, H, W) to (B,); NaN where the weights sum to 0."""
    return (values * weights).sum((1, 2)) / weights.sum((1, 2))
