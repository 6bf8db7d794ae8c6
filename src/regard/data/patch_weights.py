"""What each patch of a transformer weighs, by how much of it is evidence."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from regard.settings.base import Settings

Kind = Literal["linear", "power", "normalised", "log", "sigmoid"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class PatchWeights(Settings):
    """How patches are weighted by r, the share of their pixels that is evidence.

    The functions are those of a study of herbarium sheets, which does not give alpha, slope and
    middle: with ours the log and the sigmoid are 1 at r = 1, to within a hundredth.

    Attributes:
        kind: `linear`: eps + r; `power`: (eps + r)^exponent; `normalised`: eps + r, divided by
            its mean over the image's patches, so that the loss stays as it is; `log`:
            ln(1 + alpha r), so that tokens of patches without evidence vanish; `sigmoid`:
            1 / (1 + exp(-slope (r - middle))).
        eps: added to r by `linear`, `power` and `normalised`.
        exponent: of the power.
        alpha: of the log.
        slope: of the sigmoid.
        middle: of the sigmoid, where it is one half.
        view: one that shows the subject cut out on black: what is brighter than the threshold is
            evidence. Or `region`, named in `data.views` too: evidence is what lies in the region,
            and of an image without one all of it.
        threshold: grey level, 0 to 255; of no meaning for the region.
        tokens: multiply the patches' tokens, in both branches, after the position embedding.
        loss: multiply an image's cross-entropy by the mean weight of its patches. A batch's loss
            is the mean of these products.
    """

    kind: Kind = "linear"
    eps: float = Field(default=0.1, ge=0)
    exponent: float = Field(default=0.5, gt=0)
    alpha: float = Field(default=math.e - 1, gt=0)
    slope: float = Field(default=10.0, gt=0)
    middle: float = Field(default=0.5, ge=0, le=1)
    view: str = "segmented"
    threshold: float = Field(default=10.0, ge=0, lt=255)
    tokens: bool = True
    loss: bool = True

    def of(self, shares: Tensor) -> Tensor:
        """The weights (B, h, w) of shares (B, h, w) in 0..1."""
        return _WEIGHTS[self.kind](self, shares)


def patch_shares(inside: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which share of each patch lies inside, (B, h, w).

    Args:
        inside: (B, H, W) in 0..1.
        grid: (h, w) of the patches; where it does not divide (H, W) the image is first resized.
    """
    height, width = inside.shape[1:]
    if height % grid[0] or width % grid[1]:
        size = [math.ceil(side / n) * n for side, n in zip((height, width), grid, strict=True)]
        larger = F.interpolate(inside[:, None], size, mode="bilinear", align_corners=False)
        inside, (height, width) = larger[:, 0], size
    patch = (height // grid[0], width // grid[1])
    return F.avg_pool2d(inside[:, None], patch)[:, 0]


def _linear(how: PatchWeights, r: Tensor) -> Tensor:
    return how.eps + r


def _power(how: PatchWeights, r: Tensor) -> Tensor:
    return (how.eps + r) ** how.exponent


def _normalised(how: PatchWeights, r: Tensor) -> Tensor:
    weights = how.eps + r
    mean = weights.mean((1, 2), keepdim=True)
    # Without evidence and without eps there is nothing to tell patches apart by.
    return torch.where(mean > 0, weights / mean.clamp_min(1e-12), 1.0)


def _log(how: PatchWeights, r: Tensor) -> Tensor:
    return torch.log1p(how.alpha * r)


def _sigmoid(how: PatchWeights, r: Tensor) -> Tensor:
    return torch.sigmoid(how.slope * (r - how.middle))


_WEIGHTS: dict[str, Callable[[PatchWeights, Tensor], Tensor]] = {
    "linear": _linear,
    "power": _power,
    "normalised": _normalised,
    "log": _log,
    "sigmoid": _sigmoid,
}
