"""From a decoded image to the model's input; image, views, region and target fitted alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regard.data.mask_classes import VOID
from regard.data.sample import REGION_VIEW
from regard.errors import DataError
from regard.images.decoding import decode_scaled
from regard.images.opening import MAX_PIXELS, image_size
from regard.images.orientation import Reach
from regard.images.size import Size

# Views that show the subject on black, which lies around them too where they are padded or moved.
ON_BLACK = ("segmented", REGION_VIEW)

# Times the sides' proportion of a crop: what is longer loses its ends before it is resized.
_LONGEST = 16

Source = str | Path | bytes | Image.Image | Tensor | np.ndarray


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
            images: see `load`; or uint8 batches of them, a tensor (B, 3, h, w) or an array
                (B, h, w, 3).
            black: pad with black rather than the mean colour.
        """
        loaded = [self.load(image, black=black) for image in several(images)]
        return self.normalise(torch.stack(loaded))

    def load(self, image: Source, *, black: bool = False) -> Tensor:
        """Decode as small as will do and fit: uint8 (3, H, W).

        Args:
            image: a path, the bytes of a file, a PIL image, a uint8 tensor (3, h, w), or a uint8
                array (h, w, 3).
            black: pad with black rather than the mean colour.

        Raises:
            DataError: it cannot be read, or is a tensor or an array of another kind.
        """
        if isinstance(image, Tensor | np.ndarray):
            return self.fit_image(_one(uint8_pixels(image)), black=black)
        original = None
        if self.fit == "crop" and isinstance(image, str | Path | bytes):
            original = image_size(image)
        need = self.need(original) if self.fit != "crop" or original else None
        pixels, reach = decode_scaled(image, need=need, max_pixels=self.max_pixels)
        return self.fit_image(pixels, black=black, reach=reach)

    def need(self, original: Size | None = None) -> Size:
        """The least size to decode at; a crop needs the longer side of the image larger."""
        height, width = self.size
        if self.fit != "crop" or original is None:
            return height, width
        scale = max(height / original[0], width / original[1])
        return round(original[0] * scale), round(original[1] * scale)

    def fit_image(
        self, image: Tensor, *, black: bool = False, reach: Reach | None = None
    ) -> Tensor:
        """uint8 (3, h, w) to uint8 (3, H, W).

        Args:
            image: decoded.
            black: pad with black rather than the mean colour.
            reach: where the picture lies in it, as of `decode_scaled`; None: all of it.
        """
        colour = (0.0, 0.0, 0.0) if black else self.mean
        fill = torch.tensor([round(255 * value) for value in colour], dtype=torch.uint8)
        return self._fit(image, self.interpolation, fill, reach)

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

    def frame(self, original: Size) -> tuple[int, int, int, int]:
        """Where in the input a picture lies: the edges top, left, bottom and right.

        Args:
            original: (h, w) of the image; of one that is padded it lies in the middle, else it is
                everywhere.
        """
        height, width = self.size
        if self.fit != "pad":
            return 0, 0, height, width
        h, w = self._scaled(original)
        top, left = (height - h) // 2, (width - w) // 2
        return top, left, top + h, left + w

    def _scaled(self, sides: tuple[float, float]) -> Size:
        """The sides of an image that is to be padded or cropped, at the input's scale."""
        rows, columns = self.size[0] / sides[0], self.size[1] / sides[1]
        scale = min(rows, columns) if self.fit == "pad" else max(rows, columns)
        return max(1, round(sides[0] * scale)), max(1, round(sides[1] * scale))

    def _fit(self, image: Tensor, mode: str, fill: Tensor, reach: Reach | None = None) -> Tensor:
        height, width = self.size
        if self.fit == "stretch":
            return resized(image, self.size, mode, reach)
        if self.fit == "crop":
            shape, image = image.shape, _without_ends(image, self.size)
            reach = reach if image.shape == shape else None  # of the middle all is picture
        top, left, bottom, right = reach or (0, 0, *image.shape[-2:])
        h, w = self._scaled((bottom - top, right - left))
        image = resized(image, (h, w), mode, reach)
        if self.fit == "crop":
            top, left = (h - height) // 2, (w - width) // 2
            return image[:, top : top + height, left : left + width].contiguous()
        top, left = (height - h) // 2, (width - w) // 2
        canvas = fill.to(image.dtype)[:, None, None].repeat(1, height, width)
        canvas[:, top : top + h, left : left + w] = image
        return canvas


def several(images: Sequence[Source] | Source) -> list[Source]:
    """Each of one image or many.

    Raises:
        DataError: a tensor or an array of other pixels.
    """
    if isinstance(images, Tensor | np.ndarray):
        pixels = uint8_pixels(images)
        return [*pixels] if pixels.ndim == 4 else [pixels]
    return cast(list[Source], [*images] if isinstance(images, list | tuple) else [images])


def _one(pixels: Tensor) -> Tensor:
    if pixels.ndim == 3:
        return pixels
    raise DataError(
        "images",
        expected="one image, (3, h, w)",
        found=f"a batch of shape {tuple(pixels.shape)}",
        remedy="give them one by one",
    )


def uint8_pixels(image: Tensor | np.ndarray) -> Tensor:
    """A uint8 tensor (..., 3, h, w), of that or of an array (..., h, w, 3), for one image or many.

    Raises:
        DataError: other pixels, such as floats, of which nobody knows what is white.
    """
    axes = ("3, h, w", -3) if isinstance(image, Tensor) else ("h, w, 3", -1)
    if str(image.dtype).removeprefix("torch.") != "uint8" or image.ndim not in (3, 4) or (
        image.shape[axes[1]] != 3
    ):  # fmt: skip
        raise DataError(
            "images",
            expected=f"uint8 pixels ({axes[0]}), 0 to 255, RGB, or a batch of them",
            found=f"{image.dtype} of shape {tuple(image.shape)}",
            remedy="give these, PIL images or paths; floats from 0 to 1: (255 * x).round() as "
            "uint8; what is normalised already goes to run.net itself",
        )
    if isinstance(image, Tensor):
        return image
    return torch.from_numpy(image.copy()).movedim(-1, -3)


def _without_ends(image: Tensor, size: Size) -> Tensor:
    """The middle of an image that is much longer than a crop: its ends would be cut off anyway.

    Of one pixel by 20,000 the shorter side fills a crop of 224 where the longer one has 4 million.
    """
    rows, columns = image.shape[-2:]
    most = math.ceil(_LONGEST * columns * size[0] / size[1])
    if rows > most:
        top = (rows - most) // 2
        image = image[..., top : top + most, :]
    most = math.ceil(_LONGEST * rows * size[1] / size[0])
    if columns > most:
        left = (columns - most) // 2
        image = image[..., left : left + most]
    return image


def resized(
    image: Tensor, size: Size, mode: str = "bilinear", reach: Reach | None = None
) -> Tensor:
    """(C, h, w) to (C, H, W), uint8 or float, with antialiasing but for `nearest-exact`.

    Args:
        image: whose pixels are resized.
        size: (H, W).
        mode: of interpolation.
        reach: the edges of what becomes (H, W), as of `decode_scaled`; None: those of the image.
    """
    if reach is None and image.shape[-2:] == size:
        return image
    if mode == "nearest-exact":
        return torch.nn.functional.interpolate(image[None], size, mode=mode)[0]
    if size[1] == 1 and size[0] > 1:
        # torch gives all rows of a single column the value of the first one (seen in 2.15).
        turned = None if reach is None else (reach[1], reach[0], reach[3], reach[2])
        return resized(image.transpose(1, 2), (1, size[0]), mode, turned).transpose(1, 2)
    how: dict[str, Any] = {"mode": mode, "align_corners": False, "antialias": True}
    if reach is None:
        return torch.nn.functional.interpolate(image[None], size, **how)[0]
    # What is no picture stands before or behind it, and is to stand behind it.
    flips = [axis for axis in (1, 2) if reach[axis - 1] > 0]
    image = image.flip(flips) if flips else image
    sides = reach[2] - reach[0], reach[3] - reach[1]
    # A little more than the size, which is rounded down.
    scales = [(wanted + 1e-6) / side for wanted, side in zip(size, sides, strict=True)]
    found = torch.nn.functional.interpolate(image[None], scale_factor=scales, **how)[0]
    found = found[:, : size[0], : size[1]]
    return (found.flip(flips) if flips else found).contiguous()
