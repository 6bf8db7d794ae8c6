"""The colours of maps over photos, and maps at a picture's size: one scale in every picture."""

from functools import cache

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray
from torch import Tensor

LEVELS = 64
OPACITY = 0.75
# From cool to warm: whatever a photo's colour (skin, paper, leaves), one end stands out from it,
# and the cool rim shows how far a map reaches.
_STOPS = ("#0d3fa8", "#1a7fd0", "#26b8c8", "#f2d43a", "#ff8c1a", "#f0421a")


@cache
def heat_colours() -> NDArray[np.uint8]:
    """The palette with alpha, (LEVELS, 4): clear at 0, and soon as dense as it gets."""
    place = np.linspace(0, 1, LEVELS)
    colours = LinearSegmentedColormap.from_list("heat", _STOPS)(place)
    colours[:, 3] = np.clip(1.6 * place, 0, 0.96)
    return (colours * 255).round().astype(np.uint8)


def heat_levels(map_: Tensor) -> NDArray[np.uint8]:
    """A map (H, W) over its own maximum as places in the palette; below 0 counts as 0."""
    peak = float(map_.max())
    shares = (map_ / peak if peak > 0 else torch.zeros_like(map_)).clamp(0, 1)
    return (shares * (LEVELS - 1)).round().byte().numpy()


def smooth(map_: Tensor, size: tuple[int, int]) -> Tensor:
    """A map (h, w) at a picture's size (H, W), at least 0, without edges between its cells.

    For the eye alone: bicubic, where scores resize bilinearly, which draws a few cells as
    crosses and pyramids.
    """
    found = torch.nn.functional.interpolate(
        map_.clamp_min(0)[None, None].float(), size, mode="bicubic", antialias=True
    )
    return found[0, 0].clamp_min(0)


def tinted(pixels: Tensor, map_: Tensor) -> NDArray[np.uint8]:
    """A photo, uint8 (3, H, W), under its map (H, W), as (H, W, 3)."""
    colours = heat_colours()[heat_levels(map_)].astype(np.float64)
    alpha = OPACITY * colours[..., 3:] / 255
    mixed = pixels.permute(1, 2, 0).numpy() * (1 - alpha) + colours[..., :3] * alpha
    return mixed.round().astype(np.uint8)
