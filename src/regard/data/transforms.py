"""From a decoded image to the model's input; image, views and region always move together."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from regard.data.decoding import Size
from regard.data.settings import Augment

MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


@dataclass(frozen=True)
class Transform:
    """Fits images to the input size and normalises them; the deterministic part.

    Attributes:
        size: (H, W) of the input.
        mean, std: of the channels, for pixels in 0..1.
        fit: `stretch`, `pad` (mean colour around) or `crop` (the centre).
        interpolation: `bilinear` or `bicubic`, always with antialiasing.
    """

    size: Size
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: str = "stretch"
    interpolation: str = "bilinear"

    def need(self, original: Size | None = None) -> Size:
        """The least size to decode at; a crop needs the longer side of the image larger."""
        height, width = self.size
        if self.fit != "crop" or original is None:
            return height, width
        scale = max(height / original[0], width / original[1])
        return round(original[0] * scale), round(original[1] * scale)

    def fit_image(self, image: Tensor) -> Tensor:
        """uint8 (3, h, w) to uint8 (3, H, W)."""
        fill = [round(255 * value) for value in self.mean]
        return self._fit(image, MODES[self.interpolation], fill)

    def fit_mask(self, mask: Tensor) -> Tensor:
        """Float (h, w) in [0, 1] to float (H, W); outside of a padded image is 0."""
        fitted = self._fit(mask[None], InterpolationMode.BILINEAR, [0.0])
        return fitted[0].clamp(0, 1)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (..., 3, H, W) to float32 with the backbone's mean and standard deviation."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return (images.float() / 255 - mean) / std

    def denormalise(self, images: Tensor) -> Tensor:
        """The inverse of `normalise`, as uint8."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1)
        return ((images.float() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)

    def _fit(self, image: Tensor, mode: InterpolationMode, fill: list) -> Tensor:
        height, width = self.size
        if self.fit == "stretch":
            return F.resize(image, [height, width], mode, antialias=True)
        rows, columns = height / image.shape[-2], width / image.shape[-1]
        scale = min(rows, columns) if self.fit == "pad" else max(rows, columns)
        h, w = (max(1, round(side * scale)) for side in image.shape[-2:])
        image = F.resize(image, [h, w], mode, antialias=True)
        if self.fit == "crop":
            return F.center_crop(image, [height, width])
        left, top = (width - w) // 2, (height - h) // 2
        return F.pad(image, [left, top, width - w - left, height - h - top], fill=fill)


def augment(
    images: dict[str, Tensor], masks: dict[str, Tensor], how: Augment, generator: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Change the views (uint8 (3, H, W)) and masks (float (H, W)) of one sample together.

    Every draw is made whether it is used or not, so that switching one change off leaves the
    others as they were. Corners that a rotation uncovers repeat the nearest view's mean
    colour; masks are 0 there.
    """
    unit = torch.rand(10, generator=generator).tolist()
    views = {name: tv_tensors.Image(image) for name, image in images.items()}
    covers = {name: tv_tensors.Mask(mask[None]) for name, mask in masks.items()}
    changes = _geometry(how, unit[:6])
    views = {name: _move(view, changes, mean_colour(view)) for name, view in views.items()}
    covers = {name: _move(cover, changes, [0.0]) for name, cover in covers.items()}
    views = {name: _recolour(view, how, unit[6:]) for name, view in views.items()}
    return (
        {name: view.as_subclass(Tensor) for name, view in views.items()},
        {name: cover.as_subclass(Tensor)[0] for name, cover in covers.items()},
    )


def mean_colour(image: Tensor) -> list[float]:
    """The mean of each channel of (3, H, W)."""
    return image.float().mean((1, 2)).tolist()


@dataclass(frozen=True)
class _Geometry:
    flip: bool
    flip_vertical: bool
    angle: float
    scale: float
    shift: tuple[float, float]

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


def _move(image: Tensor, change: _Geometry, fill: list[float]) -> Tensor:
    if change.flip:
        image = F.horizontal_flip(image)
    if change.flip_vertical:
        image = F.vertical_flip(image)
    if change.moves:
        height, width = image.shape[-2:]
        shift = [change.shift[0] * width, change.shift[1] * height]
        # Masks are soft, so they too are interpolated rather than taken from the nearest pixel.
        plain = image.as_subclass(Tensor)
        image = F.affine(
            plain, change.angle, shift, change.scale, [0.0, 0.0], InterpolationMode.BILINEAR, fill
        )
    return image


def _recolour(image: Tensor, how: Augment, unit: list[float]) -> Tensor:
    brightness, contrast, saturation, hue = (2 * value - 1 for value in unit)
    if how.brightness:
        image = F.adjust_brightness(image, 1 + brightness * how.brightness)
    if how.contrast:
        image = F.adjust_contrast(image, 1 + contrast * how.contrast)
    if how.saturation:
        image = F.adjust_saturation(image, 1 + saturation * how.saturation)
    if how.hue:
        image = F.adjust_hue(image, hue * how.hue)
    return image
