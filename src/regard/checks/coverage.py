"""What share of an image its region covers, without making the region at full size."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from regard.data.regions import boxes_to_mask, from_grey
from regard.data.source import own_boxes
from regard.images.size import Size

GRID = 256


def grey_coverage(grey: Tensor, threshold: int | None) -> float:
    """The share of a grey image (H, W), 0 to 255, that is region."""
    return float(from_grey(grey, threshold).mean())


def box_coverage(cells: Mapping[str, Any], size: Size) -> float:
    """The share of an image of (H, W) that the boxes of a manifest's row cover.

    They are drawn on a grid of 256 x 256 on which edges count by their share, so that a
    photo of 30 megapixels costs as little as a small one.
    """
    boxes = torch.tensor(own_boxes(cells), dtype=torch.float64).view(-1, 4)
    height, width = size
    scale = torch.tensor([GRID / width, GRID / height] * 2, dtype=torch.float64)
    return float(boxes_to_mask(boxes * scale, (GRID, GRID)).mean())
