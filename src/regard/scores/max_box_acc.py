"""Does a box around the map above a threshold fit the region?"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.scores.base import SCORES, Score, ones, spread_out, zeros
from regard.scores.boxes import boxes_of, largest_box, overlaps

GREYS = 255
Bools = NDArray[np.bool_]


def max_box_acc(
    maps: Tensor,
    evidence: Evidence,
    *,
    ious: Sequence[float] = (0.3, 0.5, 0.7),
    boxes: str = "all",
) -> Tensor:
    """MaxBoxAcc: the share of images where a box around the map above a threshold fits the region.

    The map is stretched to 0 to 1 over the pixels that count, and rounded down to grey levels 0
    to 255. Above each level it falls into connected areas, each with a box; a hit is a box whose
    intersection over union with a box of the region is at least d. MaxBoxAcc(d) = max over levels
    of the share of images with a hit, one level for all images, and the score its mean over d. An
    image by itself has the best of its own levels.

    Boxes are those of `regard.scores.boxes`, the region's as the map's: a region that was made of
    boxes has the boxes of its connected areas, so that boxes that touch are one.

    Reference: Choe et al., Evaluating Weakly Supervised Object Localization Methods Right,
    arXiv:2001.07437, section 4; the defaults are MaxBoxAccV2, in the latest arXiv version, and
    `boxes="largest"` with `ious=(0.5,)` the first version. The 1,000 thresholds of its authors'
    code fall on these 255 levels. There maps are resized by cubic interpolation, and a map that
    is zero everywhere has the upper left pixel as its box; here it is undefined.

    Args:
        maps: (B, H, W).
        evidence: the regions, 0 or 1.
        ious: the least overlaps d that make a hit, in (0, 1].
        boxes: of `all` connected areas, or of the `largest` one alone.

    Returns:
        (B, D, 255): whether there is a hit, 0 or 1, by overlap d and level.

    Raises:
        ConfigError: `ious` outside of (0, 1], or other `boxes`.
    """
    least = torch.tensor([float(d) for d in ious], dtype=torch.float64)
    if not len(least) or not bool(((least > 0) & (least <= 1)).all()):
        raise ConfigError(
            "score max_box_acc",
            expected="ious in (0, 1], one or more",
            found=str(ious),
            remedy="try (0.3, 0.5, 0.7)",
        )
    if boxes not in ("all", "largest"):
        raise ConfigError(
            "score max_box_acc",
            expected="boxes 'all' or 'largest'",
            found=repr(boxes),
            remedy="choose one",
        )
    counted = evidence.counted > 0.5
    greys = (spread_out(maps, counted) * GREYS).floor().to(torch.uint8).cpu().numpy()
    true = ((evidence.inside > 0.5) & counted).cpu().numpy()
    fits = [_fits(*pair, boxes == "all") for pair in zip(greys, true, strict=True)]
    best = torch.from_numpy(np.stack(fits)) if fits else torch.zeros(0, GREYS)
    return (best[:, None] >= least[:, None]).to(maps)


def _fits(greys: NDArray[np.uint8], true: Bools, every: bool) -> NDArray[np.float64]:
    """The best overlap (255,) of a box above each grey level with a box of the region, or 0."""
    wanted, found, last = boxes_of(true), np.zeros(GREYS), 0.0
    seen = np.bincount(greys.ravel(), minlength=GREYS + 1)
    for level in range(GREYS):
        if seen[level]:  # else the same pixels are above this level as above the one before
            above = greys > level
            boxes = boxes_of(above, holes=True) if every else largest_box(above)
            last = overlaps(boxes, wanted).max(initial=0.0)
        found[level] = last
    return found


def best_level(counts: Tensor) -> Tensor:
    """The share of hits (...,) at the best level, from shares (..., D, 255), mean over D."""
    return counts.amax(-1).mean(-1)


SCORES.register("max_box_acc")(
    Score(
        max_box_acc,
        "higher",
        uniform=zeros,
        best=ones,
        whole=True,
        binary=True,
        pooled=best_level,
    )
)
