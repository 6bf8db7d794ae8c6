"""Where things lie on a sheet: anywhere that is free, each place as likely as another."""

import numpy as np
from numpy.typing import NDArray

from regard.synthetic.growth import Array, Growth

SPREAD = (0.39, 0.49)
"""The side of a square as large as the plant's box, as a share of the sheet's."""
LONGEST = 0.56
"""The longest side of the plant's box, as a share of the sheet's."""
EDGE_LOVE = (0.22, 0.35)
"""The beta distribution's parameters across and down; below 1 prefers the edges. They make
the mean region as flat as plants that lie wholly on the sheet allow."""


def placed(rng: np.random.Generator, growth: Growth, size: tuple[int, int]) -> Growth:
    """Scale a plant to about a fifth of the sheet's area and lay it down anywhere.

    The place is drawn from a symmetric beta distribution with more weight near the sheet's
    edges: a uniform one would cover the middle far oftener than the corners, and the mean
    region of the set would tell where to look.
    """
    sheet = np.array(size[::-1], float)
    margin = 0.005 * sheet.min()
    low, high = growth.extent()
    span = high - low
    share = rng.uniform(*SPREAD)
    scale = share * np.sqrt(sheet.prod() / span.prod())
    scale = min(scale, float((LONGEST * sheet / span).min()))
    room = sheet - 2 * margin - span * scale
    corner = margin + room * rng.beta(EDGE_LOVE, EDGE_LOVE)
    return growth.placed(scale, corner - low * scale)


def frame(growth: Growth, size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """The part of the sheet around a plant, `margin` wider: left, top, right, bottom."""
    low, high = growth.extent()
    left, top = np.floor(low - margin).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(high + margin).astype(int), size[::-1])
    return int(left), int(top), int(right), int(bottom)


class Occupied:
    """A coarse map of what already lies on a sheet.

    Args:
        size: height and width of the sheet, in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.cell = max(2, min(size) // 72)
        self.taken = np.zeros([-(-k // self.cell) for k in size], bool)

    def add_mask(self, mask: NDArray[np.bool_], top: int, left: int) -> None:
        """Take every cell that holds a pixel of `mask`, shape (h, w)."""
        rows, columns = np.nonzero(mask)
        self.taken[(rows + top) // self.cell, (columns + left) // self.cell] = True

    def add_squares(self, squares: Array) -> None:
        """Take the squares given as x, y and half side, shape (S, 3), in pixels."""
        low = np.floor((squares[:, :2] - squares[:, 2:]) / self.cell).astype(int).clip(0)
        high = np.floor((squares[:, :2] + squares[:, 2:]) / self.cell).astype(int) + 1
        for (left, top), (right, bottom) in zip(low, high, strict=True):
            self.taken[top:bottom, left:right] = True

    def find(self, luck: float, width: int, height: int) -> tuple[int, int] | None:
        """Take a free place, and give its left and top; `luck` in [0, 1) chooses among all.

        Only whole cells within the sheet are used, with a cell of clearance around. None
        when nothing fits.
        """
        across, down = -(-width // self.cell) + 2, -(-height // self.cell) + 2
        rows, columns = (k // self.cell for k in self.size)
        if across > columns or down > rows:
            return None
        sums = np.pad(self.taken[:rows, :columns].cumsum(0, int).cumsum(1), ((1, 0), (1, 0)))
        held = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across]
        free = np.flatnonzero(held + sums[:-down, :-across] == 0)
        if not len(free):
            return None
        top, left = divmod(int(free[int(luck * len(free))]), held.shape[1])
        self.taken[top : top + down, left : left + across] = True
        return (left + 1) * self.cell, (top + 1) * self.cell
