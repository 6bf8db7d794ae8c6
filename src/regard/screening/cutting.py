"""Which parts of an image are screened: all of it, the tiles of a grid, or what boxes mark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from regard.errors import wrong
from regard.images.size import Size
from regard.importers.crops import frame
from regard.screening.sources import Box

Crop = tuple[int, int, int, int]


@dataclass(frozen=True)
class Cutting:
    """How images are cut.

    Attributes:
        how: `whole`, `grid` or `boxes`.
        side: of a tile, pixels of the image.
        stride: from one tile to the next.
        times: a crop's side over the longer side of its box.
    """

    how: Literal["whole", "grid", "boxes"] = "whole"
    side: int = 0
    stride: int = 0
    times: float = 2.0

    @property
    def words(self) -> str:
        """As one says it: `images as a whole`, `tiles of 512 every 256 pixels`."""
        if self.how == "whole":
            return "images as a whole"
        if self.how == "grid":
            return f"tiles of {self.side} every {self.stride} pixels"
        return f"crops of boxes, {self.times:g} times as large"

    def crops(self, size: Size, boxes: Sequence[Box]) -> list[Crop | None]:
        """Left, top, right, bottom of each, whole pixels; None for the whole image.

        Tiles cover all of it: the last ones of a row or column are moved inward. Crops of boxes
        are square and moved inward at the edge; boxes without an area in the image have none.

        Args:
            size: (height, width) of the image.
            boxes: of the image.
        """
        if self.how == "whole":
            return [None]
        if self.how == "grid":
            tops, lefts = (_starts(length, self.side, self.stride) for length in size)
            return [
                (left, top, min(left + self.side, size[1]), min(top + self.side, size[0]))
                for top in tops
                for left in lefts
            ]
        kept = [box for box in boxes if _reaches(box, size)]
        return [frame(box, self.times, (0.0, 0.0), size) for box in kept]


def cutting_of(
    grid: int | None, stride: int | None, boxes: bool, times: float, *, has_boxes: bool
) -> Cutting:
    """The cutting that options ask for.

    Raises:
        ConfigError: options that do not go together, sides below 1, or tiles with gaps.
    """
    if grid is not None and boxes:
        raise wrong("--grid and --boxes", "one of them", "both", "leave one out")
    if boxes and not has_boxes:
        remedy = "screen a manifest that has them, or use --grid"
        raise wrong("--boxes", "a manifest with a column boxes", "none", remedy)
    if stride is not None and grid is None:
        raise wrong("--stride", "--grid beside it", "none", "add --grid")
    for name, value in (("--grid", grid), ("--stride", stride)):
        if value is not None and value < 1:
            raise wrong(name, "1 or more pixels", str(value), "correct it")
    if grid is not None and stride is not None and stride > grid:
        remedy = "lower it: what lies between tiles would not be seen"
        raise wrong("--stride", f"at most --grid, {grid} pixels", str(stride), remedy)
    if not 0 < times < float("inf"):
        raise wrong("--times", "a number above 0", f"{times:g}", "correct it")
    if grid is not None:
        return Cutting("grid", grid, stride or grid)
    return Cutting("boxes", times=times) if boxes else Cutting()


def _reaches(box: Box, size: Size) -> bool:
    """Whether a part of a box lies in an image (height, width)."""
    left, top, right, bottom = box
    return min(right, size[1]) > max(left, 0) and min(bottom, size[0]) > max(top, 0)


def _starts(length: int, side: int, stride: int) -> list[int]:
    last = max(0, length - side)
    return [*range(0, last, stride), last]
