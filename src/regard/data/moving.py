"""Flips, turns, scales and shifts of all views and masks of a sample together."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.data.colours import levels, mean_colour
from regard.data.mask_classes import TARGET, VOID
from regard.data.sample import Planes
from regard.data.settings import Augment
from regard.data.transforms import ON_BLACK


@dataclass(frozen=True)
class Move:
    """Where everything in an image goes.

    Attributes:
        flip, flip_vertical: left-right and upside-down, first of all.
        angle: degrees.
        scale: 1 leaves it as large as it is.
        shift: to the right and down, as shares of the sides.
    """

    flip: bool
    flip_vertical: bool
    angle: float
    scale: float
    shift: tuple[float, float]

    @classmethod
    def drawn(cls, how: Augment, unit: list[float]) -> "Move":
        """From six numbers in [0, 1), one for each of what may change, the shift's two last."""

        def around(value: float, spread: float) -> float:
            return (2 * value - 1) * spread

        return cls(
            flip=unit[0] < how.flip,
            flip_vertical=unit[1] < how.flip_vertical,
            angle=around(unit[2], how.rotate),
            scale=1 + around(unit[3], how.zoom),
            shift=(around(unit[4], how.translate), around(unit[5], how.translate)),
        )

    def __call__(self, images: Planes, masks: Planes) -> tuple[Planes, Planes]:
        """Views (uint8 (3, H, W)) and masks (H, W) after the move; those given stay as they are."""
        sides = [-1] * self.flip + [-2] * self.flip_vertical
        if sides:
            images = {name: image.flip(sides) for name, image in images.items()}
            masks = {name: mask.flip(sides) for name, mask in masks.items()}
        still = self.angle == 0 and self.scale == 1 and self.shift == (0, 0)
        return (images, masks) if still else self._resampled(images, masks)

    def _resampled(self, images: Planes, masks: Planes) -> tuple[Planes, Planes]:
        """All views and masks through one sampling grid; masks are soft, so bilinear too.

        The classes of a target are not: of each pixel it has the nearest one's.
        """
        masks = dict(masks)
        target = masks.pop(TARGET, None)
        fills = [
            torch.zeros(3) if name in ON_BLACK else mean_colour(image)
            for name, image in images.items()
        ] + [torch.zeros(len(masks))]
        fill = torch.cat(fills)[:, None, None]
        layers = [image.float() for image in images.values()] + [m[None] for m in masks.values()]
        stack = torch.cat(layers)
        height, width = stack.shape[1:]
        theta = self._inverse(height, width)[None]
        grid = F.affine_grid(theta, [1, 1, height, width], align_corners=False)
        # Sampled as the difference to the fill, so that zeros from outside of the frame mean it.
        sampled = F.grid_sample((stack - fill)[None], grid, align_corners=False)[0]
        stack = sampled + fill
        colours = levels(stack[: 3 * len(images)]).split(3)
        covers = stack[3 * len(images) :].clamp(0, 1)
        masks = dict(zip(masks, covers, strict=True))
        if target is not None:
            from_void = (target.float() - VOID)[None, None]
            near = F.grid_sample(from_void, grid, "nearest", align_corners=False)
            masks[TARGET] = (near[0, 0] + VOID).to(target.dtype)
        return dict(zip(images, colours, strict=True)), masks

    def _inverse(self, height: int, width: int) -> Tensor:
        """Where a pixel of the outcome comes from: (2, 3), sides from -1 to 1."""
        cos = math.cos(math.radians(self.angle)) / self.scale
        sin = math.sin(math.radians(self.angle)) / self.scale
        right, down = 2 * self.shift[0], 2 * self.shift[1]
        rows = [[cos, sin * height / width], [-sin * width / height, cos]]
        return torch.tensor([[x, y, -x * right - y * down] for x, y in rows])
