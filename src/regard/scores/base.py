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
from regard.saliency.capture import undisturbed
from regard.saliency.explain import resize
from regard.saliency.outputs import logits_of

Formula = Callable[..., Tensor]
Asks = Literal["region", "map", "model"]


@dataclass(frozen=True)
class Score:
    """A formula from maps, and what it asks beside them, to numbers, and how to read them.

    Attributes:
        formula: (B,) of maps at least 0 and not all 0. For `region` of maps (B, H, W) at the
            region's size and evidence; for `map` of maps (B, h, w) alone; for `model` of maps
            (B, H, W) at the images' size and a `Model`.
        better: whether a higher or a lower number is better.
        asks: what the formula needs beside the map.
        uniform: what a map without any preference gets, (B,), from the region's area; or None.
        best: what the best of all maps gets, (B,), from the area of a region without soft edges;
            or None.
        whole: whether a region that covers the whole image leaves the score defined.
        binary: whether the region is only where its mask is above one half.
    """

    formula: Formula
    better: Literal["higher", "lower"]
    asks: Asks = "region"
    uniform: Callable[[Evidence], Tensor] | None = None
    best: Callable[[Evidence], Tensor] | None = None
    whole: bool = False
    binary: bool = False


@dataclass(frozen=True)
class Model:
    """What a score asks of the model.

    Attributes:
        net: classifier, in the mode that it is to be asked in.
        images: (B, 3, H, W) as the net takes them.
        targets: class indices (B,).
    """

    net: nn.Module
    images: Tensor
    targets: Tensor

    def probabilities(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """The target's softmax probability (n,) of other images (n, 3, H, W).

        Args:
            images: the net may change them.
            rows: (n,) which image of the batch each is of; None: in order.
        """
        targets = self.targets if rows is None else self.targets[rows]
        with torch.no_grad(), undisturbed(self.net):
            logits = logits_of(self.net(images))
        return logits.float().softmax(1).gather(1, targets[:, None])[:, 0]


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
    """Score each map: against its region, by itself, or by asking the model.

    Maps are resized to the regions', or to the images' size (bilinear, align_corners=False). NaN
    where the score is undefined: a map that is zero everywhere or not finite; for scores of
    regions no region, an empty one (for a binary score one that is nowhere above one half), and,
    where nothing could be wrong then, one that covers the whole image. The answer for an image
    does not depend on the others of its batch nor on the map's scale, and the maps are left as
    they are.

    Args:
        maps: (B, h, w).
        regions: (B, H, W) in [0, 1], by class (B, K, H, W), or `Regions`; None for scores that
            ask for none.
        name: of `regard.scores.scores()`.
        net: for scores that ask the model.
        images: (B, 3, H, W) as the net takes them, for scores that ask the model.
        targets: class indices (B,), to choose among regions by class, or to ask the model for
            (None: the predicted class).
        sign: what counts of a signed map: its positive part or its absolute value.
        options: of the score.

    Returns:
        (B,), float32.

    Raises:
        ConfigError: an unknown score or option.
        DataError: no regions, net or images where they are needed, or another number of them
            than maps.

    Example:
        >>> inside = torch.zeros(1, 4, 4); inside[:, :2] = 1
        >>> score(torch.ones(1, 4, 4), inside, "energy")
        tensor([0.5000])
    """
    kind = SCORES[name]
    precise = maps.to(torch.promote_types(maps.dtype, torch.float32))
    maps = peak_normalised(one_sign(precise, sign)).float()
    if kind.asks == "region":
        evidence = _evidence(maps, regions, name, targets)
        evidence = binarised(evidence) if kind.binary else evidence
        maps = resize(maps, (evidence.inside.shape[1], evidence.inside.shape[2]))
        defined, given = defined_rows(maps, evidence, whole=kind.whole), (maps, evidence)
    elif kind.asks == "model":
        model = _model(maps, net, images, targets, name)
        maps = resize(maps, (model.images.shape[2], model.images.shape[3]))
        defined, given = maps.flatten(1).amax(1) > 0, (maps, model)
    else:
        defined, given = maps.flatten(1).amax(1) > 0, (maps,)
    values = _bound(kind.formula, name, *given, **options)
    return torch.where(defined, values.float(), torch.nan)


def _bound(formula: Formula, name: str, *given: Any, **options: Any) -> Tensor:
    """The formula's answer; an option that it does not take is a mistake of the caller's."""
    try:
        inspect.signature(formula).bind(*given, **options)
    except TypeError as error:
        raise ConfigError(
            f"score {name}",
            expected="its own options",
            found=str(error),
            remedy=f"see help(regard.scores.SCORES[{name!r}].formula)",
        ) from error
    return formula(*given, **options)


def _evidence(
    maps: Tensor, regions: Regions | Tensor | None, name: str, targets: Tensor | None
) -> Evidence:
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
    return regions.to(maps.device).of(None if targets is None else targets.to(maps.device))


def _model(
    maps: Tensor, net: nn.Module | None, images: Tensor | None, targets: Tensor | None, name: str
) -> Model:
    if net is None or images is None or len(images) != len(maps):
        raise DataError(
            f"score {name}",
            expected=f"net= and {len(maps)} images=, one a map",
            found="no net" if net is None else "no images" if images is None else f"{len(images)}",
            remedy="pass the net and the images that the maps are of",
        )
    if targets is None:
        with torch.no_grad(), undisturbed(net):
            targets = logits_of(net(images.clone())).argmax(1)
    return Model(net, images, targets.to(images.device))


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
