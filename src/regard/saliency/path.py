"""A straight way from a baseline to an image, and where on it the gradient must be known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.saliency.outputs import precise_type
from regard.saliency.seen import Seen
from regard.saliency.variants import TOGETHER

# A step narrower than this is a jump of the net: halving it further finds nothing.
NARROWEST = 1e-6
# Halved in one round: the steps with this share of the worst one's error, or more.
SHARE = 1 / 3


@dataclass
class Path:
    """What is known of one image's way, sorted from the baseline (0) to the image (1).

    Attributes:
        seen: the pass whose explained number is followed.
        row: which image of the batch.
        start, way: the baseline and the rest to the image, (3, H, W).
        places: (n,), float64.
        heights: the explained number there, (n,), float64.
        slopes: its derivative along the way at each pixel, (n, H, W): the gradient times the way,
            summed over colours.
    """

    seen: Seen
    row: int
    start: Tensor
    way: Tensor
    places: Tensor
    heights: Tensor
    slopes: Tensor

    @classmethod
    def over(cls, seen: Seen, row: int, start: Tensor, way: Tensor, places: Tensor) -> "Path":
        """The way, looked at in these places (n,)."""
        return cls(seen, row, start, way, places, *look_along(seen, row, start, way, places))

    def add(self, places: Tensor) -> None:
        """Look at the net in these places (k,) too."""
        heights, slopes = look_along(self.seen, self.row, self.start, self.way, places)
        order = torch.cat((self.places, places)).argsort()
        self.places = torch.cat((self.places, places))[order]
        self.heights = torch.cat((self.heights, heights))[order]
        self.slopes = torch.cat((self.slopes, slopes))[order]

    def misses(self) -> Tensor:
        """By how much the trapezoid rule misses the rise of each step, (n - 1,)."""
        steep = self.slopes.sum((1, 2), dtype=torch.float64)
        return self.places.diff() * (steep[1:] + steep[:-1]) / 2 - self.heights.diff()

    def weights(self) -> Tensor:
        """Of the places in the trapezoid rule, (n,)."""
        steps = self.places.diff() / 2
        return torch.nn.functional.pad(steps, (0, 1)) + torch.nn.functional.pad(steps, (1, 0))


def look_along(
    seen: Seen, row: int, start: Tensor, way: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Heights (k,) and slopes (k, H, W) of one image's way in places (k,); see `Path`."""
    heights, slopes = [], []
    for part in places.split(TOGETHER):
        pixels = start + part.to(way)[:, None, None, None] * way
        found, gradients = seen.slopes_at(pixels, torch.full((len(part),), row, device=way.device))
        heights.append(found)
        slopes.append((gradients * way).sum(1, dtype=precise_type(way)))
    with torch.no_grad():
        known = torch.cat(heights).double()
    return known, torch.cat(slopes)


def refine(path: Path, allowed: float, most: int) -> bool:
    """Halve the steps with the largest misses until the sum of the way is right.

    Both the sum of the misses and the root of their sum of squares have to be within bounds: the
    first alone could be small by chance.

    Args:
        path: with places 0 and 1; grows.
        allowed: error of the sum.
        most: places at most.

    Returns:
        Whether the bound was met. It never is where the net jumps or answers NaN, and then that
        is seen before `most`.
    """
    while True:
        misses = path.misses()
        if bool(misses.sum().abs() <= allowed) and bool(misses.norm() <= allowed):
            return True
        wide = path.places.diff() > NARROWEST
        left = most - len(path.places)
        jumps = not bool(misses[~wide].sum().abs() <= allowed)
        if left <= 0 or jumps or not bool(misses.isfinite().all()):
            return False
        misses = torch.where(wide, misses.abs(), 0)
        worst = misses.argsort(descending=True)[:left]
        worst = worst[misses[worst] >= SHARE * misses.max()]
        path.add((path.places[worst] + path.places[worst + 1]) / 2)
