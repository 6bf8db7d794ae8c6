"""Average precision of pixels, over all thresholds of the map."""

import torch
from torch import Tensor

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.scores.base import SCORES, Score, ones, region_area, spread_out


def pxap(maps: Tensor, evidence: Evidence, *, step: float = 0.001) -> Tensor:
    """Pixel average precision: how well the map ranks pixels of the region above the others.

    The map is stretched to 0 to 1 over the pixels that count; at every threshold t the pixels
    of at least t are taken for the region. PxAP = sum_t Prec(t) (Rec(t) - Rec(next t)), with t
    from high to low, and precision and recall of the pixels of all images together: large
    regions weigh more than small ones, and maps of different images must agree on what a value
    means. An image by itself has its own curve.

    Reference: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right,
    arXiv:2001.07437, section 4, with the thresholds of its authors' code: 0 to 1 by `step`, and
    1. There maps are resized by cubic interpolation, stretched before ignored pixels are left out,
    and a map that is zero everywhere counts as uniform; here it is undefined.

    Args:
        maps: (B, H, W).
        evidence: the regions, 0 or 1.
        step: between thresholds, in (0, 1).

    Returns:
        (B, 2, T): the pixels inside and outside of the region by threshold, of each those from
        it to below the next.

    Raises:
        ConfigError: a step outside of (0, 1).
    """
    if not 0 < step < 1:
        raise ConfigError(
            "score pxap", expected="a step in (0, 1)", found=str(step), remedy="try 0.001"
        )
    steps = torch.arange(0, 1, step, dtype=torch.float64, device=maps.device)
    thresholds = torch.cat([steps, steps.new_ones(1)])
    values = spread_out(maps, evidence.counted > 0.5).flatten(1)
    place = torch.bucketize(values, thresholds, right=True) - 1
    counts = maps.new_zeros(len(maps), 2, len(thresholds))
    for side, weight in enumerate((evidence.inside, 1 - evidence.inside)):
        counts[:, side].scatter_add_(1, place, (weight * evidence.counted).flatten(1))
    return counts


def average_precision(counts: Tensor) -> Tensor:
    """Area (...,) under precision over recall of counts (..., 2, T), NaN without a region."""
    true, false = counts.flip(-1).cumsum(-1).unbind(-2)
    precision = true / (true + false).clamp_min(torch.finfo(counts.dtype).tiny)
    recall = true / true[..., -1:]
    gained = recall.diff(dim=-1, prepend=torch.zeros_like(recall[..., :1]))
    return (precision * gained).sum(-1)


SCORES.register("pxap")(
    Score(
        pxap,
        "higher",
        uniform=region_area,
        best=ones,
        binary=True,
        pooled=average_precision,
    )
)
