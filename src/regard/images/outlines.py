"""Lines around regions, to be drawn on photos."""

import contourpy
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Line = NDArray[np.float64]
# Of a region in more pieces the largest are outlined.
MOST_LINES = 120


def outlines(region: Tensor) -> list[Line]:
    """The lines (points, 2) of x and y around a region (H, W) at one half, the longest first.

    In pixels: (0, 0) is the image's upper left corner, and lines close along its edges.
    """
    height, width = region.shape
    mask = np.pad(region.numpy().astype(np.float64), 1)
    # Pixel centres are at halves, and the frame of nothing closes outlines along the edge.
    y, x = (np.arange(side) - 0.5 for side in mask.shape)
    x, y = x.clip(0, width), y.clip(0, height)
    lines = [np.asarray(line) for line in contourpy.contour_generator(x, y, mask).lines(0.5)]
    return sorted(lines, key=len, reverse=True)[:MOST_LINES]
