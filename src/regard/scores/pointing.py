"""The pointing game."""

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.scores.base import SCORES, Score, ones, region_area


def pointing(maps: Tensor, evidence: Evidence, *, tolerance: int = 0) -> Tensor:
    """Pointing game: does the map's highest point lie in the region.

    Where several pixels share the maximum, the share of them that lie in the region: a map
    without preference gets the region's area, in whatever order pixels are searched.

    Reference: Zhang et al., Top-down Neural Attention by Excitation Backprop,
    arXiv:1608.00507, section 4.1; published evaluations allow 15 pixels.

    Args:
        maps: (B, H, W).
        evidence: the regions.
        tolerance: hits this many pixels outside still count (in each direction).

    Raises:
        ConfigError: a tolerance below 0.
    """
    if tolerance < 0:
        raise ConfigError(
            "score pointing",
            expected="a tolerance of 0 pixels or more",
            found=str(tolerance),
            remedy="published work takes 15",
        )
    counted = evidence.counted > 0.5
    seen = torch.where(counted, maps, -torch.inf)
    highest = seen == seen.flatten(1).amax(1)[:, None, None]
    inside = (evidence.inside > 0.5).float()
    if tolerance:
        inside = max_pool2d(inside[:, None], 2 * tolerance + 1, 1, tolerance)[:, 0]
    return (highest * inside).sum((1, 2)) / highest.sum((1, 2))


SCORES.register("pointing")(Score(pointing, "higher", uniform=region_area, best=ones, binary=True))
