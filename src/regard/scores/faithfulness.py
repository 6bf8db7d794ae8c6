"""Scores that ask the model: does its answer hang on what the map shows?"""

from collections.abc import Iterator

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.images.backgrounds import blurred
from regard.scores.base import SCORES, Model, Score, peak_normalised

CHUNK = 32


def deletion(maps: Tensor, model: Model, *, steps: int = 20, baseline: str = "mean") -> Tensor:
    """Area under the class's probability as the most salient pixels are deleted; lower is better.

    After step k of n the round(k N / n) pixels of highest saliency, of N, are replaced by the
    baseline; ties go in row order. The area is the trapezoid rule over k / n.

    Reference: Petsiuk et al., RISE, arXiv:1806.07421, section 4.

    Args:
        maps: (B, H, W).
        model: that is asked.
        steps: of the path, 1 or more.
        baseline: `mean`, the image's mean colour; `blur`; or `zero`, which after the usual
            normalisation is the mean colour of the data set.
    """
    return _area(maps, model, steps, model.images, _replacement(model.images, baseline))


def insertion(maps: Tensor, model: Model, *, steps: int = 20, baseline: str = "blur") -> Tensor:
    """Area under the class's probability as the most salient pixels are put in; higher is better.

    As `deletion`, from the baseline (here a blurred image) to the image.
    """
    return _area(maps, model, steps, _replacement(model.images, baseline), model.images)


def average_drop(maps: Tensor, model: Model) -> Tensor:
    """Share of the class's probability that is lost when only what the map shows is left.

    max(0, Y - O) / Y with Y the probability of the image and O that of the image times the map
    over its maximum; lower is better, and NaN where Y is 0. Times the map means towards zero,
    which after the usual normalisation is the mean colour of the data set.

    Reference: Chattopadhyay et al., Grad-CAM++, arXiv:1710.11063, section 4.1.
    """
    whole, shown = _whole_and_shown(maps, model)
    return (whole - shown).clamp_min(0) / whole


def increase(maps: Tensor, model: Model) -> Tensor:
    """1 where the class's probability rises when only what the map shows is left, else 0.

    1[O > Y], with Y and O as in `average_drop`; its mean is the rate of increase in confidence.

    Reference: as `average_drop`.
    """
    whole, shown = _whole_and_shown(maps, model)
    return torch.where((shown + whole).isfinite(), (shown > whole).float(), torch.nan)


def _whole_and_shown(maps: Tensor, model: Model) -> tuple[Tensor, Tensor]:
    shown = model.images * peak_normalised(maps)[:, None].to(model.images)
    return model.probabilities(model.images.clone()), model.probabilities(shown)


def _area(maps: Tensor, model: Model, steps: int, before: Tensor, after: Tensor) -> Tensor:
    if steps < 1:
        raise ConfigError("steps", expected="1 or more", found=str(steps), remedy="try 20")
    curve = maps.new_empty(len(maps), steps + 1)
    ranks, pixels = rank_of(maps), maps.shape[1] * maps.shape[2]
    for rows, step in _chunks(len(maps), steps, maps.device):
        count = (step * pixels / steps).round()
        changed = ranks[rows] < count[:, None, None]
        images = torch.where(changed[:, None], after[rows], before[rows])
        curve[rows, step] = model.probabilities(images, rows)
    return torch.trapezoid(curve, dx=1 / steps, dim=1)


def rank_of(maps: Tensor) -> Tensor:
    """Each pixel's place (B, H, W) in descending order of saliency, ties in row order, from 0."""
    order = torch.sort(maps.flatten(1), dim=1, descending=True, stable=True).indices
    places = torch.arange(order.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(maps.shape)


def _chunks(images: int, steps: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """All pairs of image and step, some at a time."""
    rows = torch.arange(images, device=device).repeat_interleave(steps + 1)
    step = torch.arange(steps + 1, device=device).repeat(images)
    return zip(rows.split(CHUNK), step.split(CHUNK), strict=True)


def _replacement(images: Tensor, baseline: str) -> Tensor:
    if baseline == "zero":
        return torch.zeros_like(images)
    if baseline == "mean":
        return images.mean((2, 3), keepdim=True).expand_as(images)
    if baseline == "blur":
        return blurred(images)
    raise ConfigError(
        "baseline", expected="mean, blur or zero", found=repr(baseline), remedy="choose one"
    )


SCORES.register("deletion")(Score(deletion, "lower", asks="model"))
SCORES.register("insertion")(Score(insertion, "higher", asks="model"))
SCORES.register("average_drop")(Score(average_drop, "lower", asks="model"))
SCORES.register("increase")(Score(increase, "higher", asks="model"))
