"""The colours of classes in pictures of masks: easy to tell apart, the same in every picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regard.images.far_apart import next_colours

# Found by a search for the largest of the least CIEDE2000 distances: of the first 8, 12 and 20 and
# `WRONG` 27, 23 and 18 between any two, and 14, 10 and 8.8 as seen by people without green cones.
_APART = (
    "#0076d8", "#eb7662", "#3b8900", "#d8c427", "#890000", "#00c4b1", "#891476",
    "#004e3b", "#ffc4ff", "#89769d", "#76623b", "#9deb89", "#9dc4ff", "#c47600",
    "#273b9d", "#d80062", "#628976", "#764e4e", "#ebc4b1", "#eb769d",
)  # fmt: skip
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
    """A colour `#rrggbb` for each class by its place in the list; those of streets by custom.

    However many classes follow, one in the same place has the same colour.
    """
    if set(names) <= set(_STREETS):
        return [_STREETS[name] for name in names]
    more = max(0, len(names) - len(_APART))
    return [*_APART[: len(names)], *next_colours((*_APART, WRONG), more)]


def painted(ids: NDArray[np.uint8], colours: list[str]) -> Image.Image:
    """Class indices (H, W) as an image of a palette; what is beyond the colours is clear."""
    # The clear index stands right behind the others: a writer may cut a palette short.
    picture = Image.fromarray(np.minimum(ids, len(colours)).astype(np.uint8))
    picture.putpalette(bytes.fromhex("".join(colour[1:] for colour in [*colours, "#ffffff"])))
    picture.info["transparency"] = bytes([255] * len(colours) + [0])
    return picture
