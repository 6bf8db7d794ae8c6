"""The colours of classes in pictures of masks: easy to tell apart, the same in every picture."""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Told apart by people who are colour-blind as well (Paul Tol's bright and muted schemes).
_FEW = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#999933")
WRONG = "#ff00e6"


# What streets are painted in by custom, as in Cityscapes: known at a glance.
_STREETS = {
    "flat": "#804080",
    "construction": "#9a9a9a",
    "object": "#f0d000",
    "nature": "#5f8c1f",
    "sky": "#6db6e8",
    "human": "#e6194b",
    "vehicle": "#1f2fb4",
    "void": "#202020",
}


def class_colours(names: Sequence[str]) -> list[str]:
    """A colour `#rrggbb` for each class; those of streets by custom."""
    if set(names) <= set(_STREETS):
        return [_STREETS[name] for name in names]
    if len(names) <= len(_FEW):
        return list(_FEW[: len(names)])
    # The golden angle keeps neighbours in the list far apart on the circle.
    return [_on_circle(k * 0.61803398875 % 1, (0.62, 0.88)[k % 2]) for k in range(len(names))]


def _on_circle(hue: float, value: float) -> str:
    red, green, blue = (round(255 * x) for x in colorsys.hsv_to_rgb(hue, 0.68, value))
    return f"#{red:02x}{green:02x}{blue:02x}"


def painted(ids: NDArray[np.uint8], colours: list[str]) -> Image.Image:
    """Class indices (H, W) as an image of a palette; what is beyond the colours is clear."""
    # The clear index stands right behind the others: a writer may cut a palette short.
    picture = Image.fromarray(np.minimum(ids, len(colours)).astype(np.uint8))
    picture.putpalette(bytes.fromhex("".join(colour[1:] for colour in [*colours, "#ffffff"])))
    picture.info["transparency"] = bytes([255] * len(colours) + [0])
    return picture
