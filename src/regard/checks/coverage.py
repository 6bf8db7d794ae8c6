"""What share of an image its region covers, without making the region at full size."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.data.regions import boxes_to_mask, from_grey
from regard.images.size import Size

GRID = 256


def grey_coverage(grey: Tensor, threshold: int | None) -> float:
    """The share of a grey image (H, W), 0 to 255, that is region."""
    return float(from_grey(grey, threshold).mean())


def box_coverage(boxes: Sequence[Sequence[float]], size: Size) -> float:
    """The share of an image of (H, W) that boxes, in pixel edges, cover.

    They are drawn on a grid of 256 x 256 on which edges count by their share, so that a
    photo of 30 megapixels costs as little as a small one.
    """
    edges = torch.tensor(boxes, dtype=torch.float64).view(-1, 4)
    height, width = size
    scale = torch.tensor([GRID / width, GRID / height] * 2, dtype=torch.float64)
    return float(boxes_to_mask(edges * scale, (GRID, GRID)).mean())
