"""From a decoded image to the model's input; image, views and region always move together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from regard.data.decoding import MAX_PIXELS, Size, decode, image_size
from regard.data.mask_classes import TARGET, VOID
from regard.data.sample import REGION_VIEW
from regard.data.settings import Augment

# Views that show the subject on black, which lies around them too where they are padded or moved.
ON_BLACK = ("segmented", REGION_VIEW)

Source = str | Path | bytes | Image.Image | Tensor

# The shares of red, green and blue in a grey, as torchvision has them.
GREY = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class Transform:
    """Fits images to the input size and normalises them; the deterministic part.

    Attributes:
        size: (H, W) of the input.
        mean, std: of the channels, for pixels in 0..1.
        fit: `stretch`, `pad` (mean colour around) or `crop` (the centre).
        interpolation: `bilinear` or `bicubic`, always with antialiasing.
        max_pixels: larger images are refused from their header.
    """

    size: Size
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: str = "stretch"
    interpolation: str = "bilinear"
    max_pixels: int = MAX_PIXELS

    def __call__(self, images: Sequence[Source] | Source, *, black: bool = False) -> Tensor:
        """Decode, fit and normalise: what a net takes, (B, 3, H, W), also for one image.

        Args:
            images: see `load`.
            black: pad with black rather than the mean colour.
        """
        many = images if isinstance(images, list | tuple) else [images]
        loaded = [self.load(cast(Source, image), black=black) for image in many]
        return self.normalise(torch.stack(loaded))

    def load(self, image: Source, *, black: bool = False) -> Tensor:
        """Decode as small as will do and fit: uint8 (3, H, W).

        Args:
            image: a path, the bytes of a file, a PIL image, or a uint8 tensor (3, h, w).
            black: pad with black rather than the mean colour.
        """
        if isinstance(image, Tensor):
            return self.fit_image(image, black=black)
        original = None
        if self.fit == "crop" and isinstance(image, str | Path):
            original = image_size(image)
        need = self.need(original) if self.fit != "crop" or original else None
        return self.fit_image(decode(image, need=need, max_pixels=self.max_pixels), black=black)

    def need(self, original: Size | None = None) -> Size:
        """The least size to decode at; a crop needs the longer side of the image larger."""
        height, width = self.size
        if self.fit != "crop" or original is None:
            return height, width
        scale = max(height / original[0], width / original[1])
        return round(original[0] * scale), round(original[1] * scale)

    def fit_image(self, image: Tensor, *, black: bool = False) -> Tensor:
        """uint8 (3, h, w) to uint8 (3, H, W)."""
        colour = (0.0, 0.0, 0.0) if black else self.mean
        fill = torch.tensor([round(255 * value) for value in colour], dtype=torch.uint8)
        return self._fit(image, self.interpolation, fill)

    def fit_mask(self, mask: Tensor) -> Tensor:
        """Float (h, w) in [0, 1] to float (H, W); outside of a padded image is 0."""
        fitted = self._fit(mask[None], "bilinear", torch.zeros(1))
        return fitted[0].clamp(0, 1)

    def fit_target(self, target: Tensor) -> Tensor:
        """Class indices (h, w) to (H, W), of the nearest pixel; `VOID` around a padded one."""
        fitted = self._fit(target[None], "nearest-exact", torch.tensor([VOID]))
        return fitted[0]

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (..., 3, H, W) to float32 with the backbone's mean and standard deviation."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return images.float().div_(255).sub_(mean).div_(std)

    def denormalise(self, images: Tensor) -> Tensor:
        """The inverse of `normalise`, as uint8."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return ((images.float() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)

    def _fit(self, image: Tensor, mode: str, fill: Tensor) -> Tensor:
        height, width = self.size
        if self.fit == "stretch":
            return resized(image, self.size, mode)
        rows, columns = height / image.shape[-2], width / image.shape[-1]
        scale = min(rows, columns) if self.fit == "pad" else max(rows, columns)
        h, w = (max(1, round(side * scale)) for side in image.shape[-2:])
        image = resized(image, (h, w), mode)
        if self.fit == "crop":
            top, left = (h - height) // 2, (w - width) // 2
            return image[:, top : top + height, left : left + width].contiguous()
        top, left = (height - h) // 2, (width - w) // 2
        canvas = fill.to(image.dtype)[:, None, None].repeat(1, height, width)
        canvas[:, top : top + h, left : left + w] = image
        return canvas


def resized(image: Tensor, size: Size, mode: str = "bilinear") -> Tensor:
    """(C, h, w) to (C, H, W), uint8 or float, with antialiasing but for `nearest-exact`."""
    if image.shape[-2:] == size:
        return image
    if mode == "nearest-exact":
        return torch.nn.functional.interpolate(image[None], size, mode=mode)[0]
    return torch.nn.functional.interpolate(
        image[None], size, mode=mode, align_corners=False, antialias=True
    )[0]


def augment(
    images: dict[str, Tensor], masks: dict[str, Tensor], how: Augment, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Change the views (uint8 (3, H, W)) and masks (float (H, W)) of one sample together.

    Every draw is made whether it is used or not, so that switching one change off leaves the
    others as they were. What a move uncovers takes the view's mean colour, in views on black
    black; masks are 0 there, and the target is void.
    """
    unit = torch.rand(10, generator=generator).tolist()
    change = _geometry(how, unit[:6])
    images = {name: _flipped(image, change) for name, image in images.items()}
    masks = {name: _flipped(mask, change) for name, mask in masks.items()}
    if change.moves:
        images, masks = _moved(images, masks, change)
    return {name: _recolour(image, how, unit[6:]) for name, image in images.items()}, masks


def mean_colour(image: Tensor) -> Tensor:
    """The mean of each channel of uint8 (3, H, W), float32 (3,); exact, whoever sums it."""
    return image.sum((1, 2)).float() / (image.shape[1] * image.shape[2])


@dataclass(frozen=True)
class _Geometry:
    flip: bool
    flip_vertical: bool
    angle: float
    scale: float
    shift: tuple[float, float]

    def inverse(self, height: int, width: int) -> Tensor:
        """Where a pixel of the outcome comes from: (2, 3), sides from -1 to 1."""
        cos = math.cos(math.radians(self.angle)) / self.scale
        sin = math.sin(math.radians(self.angle)) / self.scale
        right, down = 2 * self.shift[0], 2 * self.shift[1]
        rows = [[cos, sin * height / width], [-sin * width / height, cos]]
        return torch.tensor([[x, y, -x * right - y * down] for x, y in rows])

    @property
    def moves(self) -> bool:
        return self.angle != 0 or self.scale != 1 or self.shift != (0, 0)


def _geometry(how: Augment, unit: list[float]) -> _Geometry:
    def around(value: float, spread: float) -> float:
        return (2 * value - 1) * spread

    return _Geometry(
        flip=unit[0] < how.flip,
        flip_vertical=unit[1] < how.flip_vertical,
        angle=around(unit[2], how.rotate),
        scale=1 + around(unit[3], how.zoom),
        shift=(around(unit[4], how.translate), around(unit[5], how.translate)),
    )


def _flipped(image: Tensor, change: _Geometry) -> Tensor:
    sides = [-1] * change.flip + [-2] * change.flip_vertical
    return image.flip(sides) if sides else image


def _moved(
    images: dict[str, Tensor], masks: dict[str, Tensor], change: _Geometry
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All views and masks through one sampling grid; masks are soft, so bilinear too.

    The classes of a target are not: of each pixel it has the nearest one's.
    """
    masks = dict(masks)
    target = masks.pop(TARGET, None)
    fills = [
        torch.zeros(3) if name in ON_BLACK else mean_colour(image) for name, image in images.items()
    ] + [torch.zeros(len(masks))]
    fill = torch.cat(fills)[:, None, None]
    layers = [image.float() for image in images.values()] + [m[None] for m in masks.values()]
    stack = torch.cat(layers)
    height, width = stack.shape[1:]
    theta = change.inverse(height, width)[None]
    grid = torch.nn.functional.affine_grid(theta, [1, 1, height, width], align_corners=False)
    # Sampled as the difference to the fill, so that zeros from outside of the frame mean the fill.
    sampled = torch.nn.functional.grid_sample((stack - fill)[None], grid, align_corners=False)[0]
    stack = sampled + fill
    colours = _levels(stack[: 3 * len(images)]).split(3)
    covers = stack[3 * len(images) :].clamp(0, 1)
    masks = dict(zip(masks, covers, strict=True))
    if target is not None:
        from_void = (target.float() - VOID)[None, None]
        near = torch.nn.functional.grid_sample(from_void, grid, "nearest", align_corners=False)
        masks[TARGET] = (near[0, 0] + VOID).to(target.dtype)
    return dict(zip(images, colours, strict=True)), masks


def _recolour(image: Tensor, how: Augment, unit: list[float]) -> Tensor:
    brightness, contrast, saturation, hue = (2 * value - 1 for value in unit)
    if how.brightness:
        image = _levels(image * (1 + brightness * how.brightness))
    if how.contrast:
        # The mean is of whole levels, so that it is exact, however many threads sum it.
        mean = _levels(_grey(image)).sum().float() / image[0].numel()
        image = _levels(mean + (image - mean) * (1 + contrast * how.contrast))
    if how.saturation:
        grey = _grey(image)
        image = _levels(grey + (image - grey) * (1 + saturation * how.saturation))
    if how.hue:
        # Late, as it takes longer to import than all else, and loading processes wait for it.
        from torchvision.transforms.v2.functional import adjust_hue

        image = adjust_hue(image, hue * how.hue)
    return image


def _grey(image: Tensor) -> Tensor:
    red, green, blue = (share * channel for share, channel in zip(GREY, image, strict=True))
    return red + green + blue


def _levels(image: Tensor) -> Tensor:
    return image.round().clamp(0, 255).to(torch.uint8)
