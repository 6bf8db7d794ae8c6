"""What Pillow has decoded, of any mode, as RGB or grey."""

import numpy as np
from PIL import Image

WHITE = 255
# An array is RGB (H, W, 3) or grey (H, W).
Picture = Image.Image | np.ndarray


def rgb(image: Picture) -> np.ndarray:
    """RGB (H, W, 3) of any mode, not yet upright; transparency is laid on white."""
    if isinstance(image, np.ndarray):
        return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    if image.mode.startswith("I;16"):
        return _three(_sixteen(image))
    if image.mode in ("I", "F"):
        return _three(deep(image))
    if _may_be_clear(image):
        image = _laid_on(image, "white")
    # Of an image that is RGB already the conversion would be a copy.
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def grey(image: Picture) -> np.ndarray:
    """Float32 (H, W) in 0..255 of any mode, not yet upright.

    A palette of greys is taken at its word; in one of colours the indices are what tells. What
    is transparent is black: a mask that was painted on a clear layer tells nothing there.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return deep(image)
    if image.mode == "P" and not _greys(image):
        return np.array(image, dtype=np.float32)
    if _may_be_clear(image):
        image = _laid_on(image, "black")
    return np.array(image.convert("L"), dtype=np.float32)


def _may_be_clear(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _laid_on(image: Image.Image, colour: str) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image)


def _greys(image: Image.Image) -> bool:
    """Whether the colours that occur are greys, and tell the indices apart."""
    used = np.unique(np.array(image))
    colours = np.array(image.getpalette("RGB") or (), dtype=np.uint8).reshape(-1, 3)
    if used.max(initial=0) >= len(colours):
        return False
    found = colours[used]
    return bool((found == found[:, :1]).all()) and len(np.unique(found[:, 0])) == len(used)


def deep(image: Image.Image) -> np.ndarray:
    """More than 8 bits as float32 in 0..255: the largest value tells 1, 255 or 65535 as white."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), posinf=0, neginf=0)
    # Before anything is multiplied: maps write their gaps as the lowest float there is.
    values = values.clip(0, None)
    high = values.max(initial=0)
    if image.mode == "F" and high <= 1:
        values *= 255
    elif high > 255:
        values /= 257
    return values.clip(0, 255)


def _sixteen(image: Image.Image) -> np.ndarray:
    values = np.array(image, dtype=np.float32)
    clear = image.info.get("transparency")
    shown = values / 257
    return np.where(values == clear, WHITE, shown) if isinstance(clear, int) else shown


def _three(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.round().astype(np.uint8)[..., None], 3, axis=2)
