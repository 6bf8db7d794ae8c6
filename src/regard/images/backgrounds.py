"""What can be laid where the region is not. Torch only."""

import torch
from torch import Tensor
from torch.nn import functional as F

# The sigma of a blur, of an image's shorter side.
BLUR = 0.05


def mean_outside(images: Tensor, inside: Tensor) -> Tensor:
    """The mean colour (B, 3, 1, 1) of images (B, 3, H, W) outside of regions (B, 1, H, W)."""
    weight = (1 - inside).sum((2, 3), keepdim=True)
    total = (images * (1 - inside)).sum((2, 3), keepdim=True)
    return total / torch.where(weight > 0, weight, 1)


def emptied(images: Tensor, inside: Tensor) -> Tensor:
    """Images (B, 3, H, W) with their regions (B, 1, H, W) in the outside's mean colour."""
    return inside * mean_outside(images, inside) + (1 - inside) * images


def blurred(images: Tensor) -> Tensor:
    """Images (B, C, H, W) after a Gaussian with a twentieth of the shorter side as sigma.

    Mirrored at the edges, so that nothing darkens there.
    """
    sigma = max(1.0, BLUR * min(images.shape[2:]))
    reach = min(round(3 * sigma), min(images.shape[2:]) - 1)
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernel = (-(places**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, [reach] * 4, mode="reflect")
    across = F.conv2d(padded, kernel[:, :, None], groups=images.shape[1])
    return F.conv2d(across, kernel[..., None], groups=images.shape[1])
