"""What a score is, and what formulas share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import torch
from torch import Tensor, nn

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.registry import Registry
from regard.saliency.capture import undisturbed
from regard.saliency.options import refuse_one_logit
from regard.saliency.outputs import logits_of
from regard.saliency.targets import PixelTarget, of_rows, pixel_count, refuse_classes, value

Formula = Callable[..., Tensor]
Asks = Literal["region", "map", "model"]


@dataclass(frozen=True)
class Score:
    """A formula from maps, and what it asks beside them, to numbers, and how to read them.

    Attributes:
        formula: (B,), or the counts that are to be `pooled`, of maps at least 0 and not all 0.
            For `region` of maps (B, H, W) at the region's size and evidence; for `map` of maps
            (B, h, w) alone; for `model` of maps (B, H, W) at the images' size and a `Model`.
        better: whether a higher or a lower number is better.
        asks: what the formula needs beside the map.
        uniform: what a map without preference gets, by chance where ties would make it 0 (`iou`);
            (B,), from the region's area, and from what of the formula's options it depends on; or
            None.
        best: what the best of all maps gets, (B,), likewise, of a region without soft edges; or
            None.
        within: the least and the greatest number that the formula can give.
        whole: whether a region that covers the whole image leaves the score defined.
        binary: whether the region is only where its mask is above one half.
        explains: whether the formula recomputes maps, so it needs the method and options of the
            given ones: `method`, and what `regard.explain` takes.
        pooled: for a score that is a number of a set of images, as the best threshold for all of
            them is: from what its formula then counts of each image, (B, R, T), averaged over
            images to (..., R, T), to the number (...,). None: the formula gives the number of each
            image, and a set has their mean.
    """

    formula: Formula
    better: Literal["higher", "lower"]
    asks: Asks = "region"
    uniform: Callable[..., Tensor] | None = None
    best: Callable[..., Tensor] | None = None
    within: tuple[float, float] = (0.0, 1.0)
    whole: bool = False
    binary: bool = False
    explains: bool = False
    pooled: Callable[[Tensor], Tensor] | None = None

    def alone(self, rows: Tensor) -> Tensor:
        """The number (B,) of each image by itself; NaN where it is undefined.

        Args:
            rows: what the formula gave, (B,), or for a pooled score (B, R, T).
        """
        return rows if self.pooled is None else self.pooled(rows.double()).to(rows.dtype)

    def together(self, rows: Tensor) -> float:
        """The number of all images for which the score is defined; NaN when it is for none.

        Args:
            rows: as of `alone`, NaN where the score is undefined.
        """
        kept = rows[~rows.flatten(1).isnan().any(1)] if rows.ndim > 1 else rows[~rows.isnan()]
        if not len(kept):
            return math.nan
        mean = kept.double().mean(0)
        return float(mean if self.pooled is None else self.pooled(mean))


@dataclass(frozen=True)
class Model:
    """What a score asks of the model.

    Attributes:
        net: in the mode that it is to be asked in.
        images: (B, 3, H, W) as the net takes them.
        targets: class indices (B,), or for a segmenter classes over pixels.
        independent: whether the net tells of each class by itself, not of one against the others.
    """

    net: nn.Module
    images: Tensor
    targets: Tensor | PixelTarget
    independent: bool = False

    @cached_property
    def _highest(self) -> int:
        """The highest class index; -1 for pixel targets, which are checked before."""
        given = self.targets
        return int(given.max()) if isinstance(given, Tensor) and given.numel() else -1

    def probabilities(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """The target's softmax probability (n,) of other images (n, 3, H, W).

        Where classes are independent the sigmoid; for a segmenter the mean of its class's over its
        pixels.

        Args:
            images: the net may change them.
            rows: (n,) which image of the batch each is of; None: in order.
        """
        targets = of_rows(self.targets, rows)
        with torch.no_grad(), undisturbed(self.net):
            logits = logits_of(self.net(images))
        if logits.shape[1] <= self._highest:
            refuse_classes(cast(Tensor, self.targets), logits.shape[1])
        if not self.independent:
            refuse_one_logit(logits, "the probability of one class")
        shares = logits.float().sigmoid() if self.independent else logits.float().softmax(1)
        return value(shares, targets) / pixel_count(targets)


SCORES: Registry[Score] = Registry("score")


def region_area(evidence: Evidence) -> Tensor:
    """The region's area (B,), as a score's `uniform` or `best`."""
    return evidence.area


def ones(evidence: Evidence) -> Tensor:
    """1 for each image, (B,), likewise."""
    return torch.ones_like(evidence.area)


def zeros(evidence: Evidence) -> Tensor:
    """0 for each image, (B,), likewise."""
    return torch.zeros_like(evidence.area)


def one_sign(maps: Tensor, sign: str) -> Tensor:
    """The positive part of signed maps, or their absolute value.

    Raises:
        ConfigError: a sign other than `positive` and `absolute`.
    """
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


def mean_or_nan(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over positions, (B, H, W) to (B,); NaN where the weights sum to 0."""
    return (values * weights).sum((1, 2)) / weights.sum((1, 2))


def spread_out(maps: Tensor, counted: Tensor) -> Tensor:
    """Maps (B, H, W) stretched to 0 to 1 over the pixels that count, float64; 0 elsewhere.

    A map that is uniform but for rounding, to a hundred thousandth of its peak, becomes 0.
    """
    values = maps.double()
    low = values.masked_fill(~counted, torch.inf).flatten(1).amin(1)[:, None, None]
    high = values.masked_fill(~counted, -torch.inf).flatten(1).amax(1)[:, None, None]
    told = high - low > 1e-5 * high
    stretched = (values - low) / torch.where(told, high - low, 1)
    return torch.where(told & counted, stretched, 0)
