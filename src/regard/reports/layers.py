"""A picture's layers as addresses that need no file: photo, map with its own alpha, outline."""

import base64
from collections.abc import Sequence

import numpy as np
from matplotlib.path import Path
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regard.images.heat import LEVELS, heat_colours, heat_levels
from regard.images.mask_colours import painted
from regard.images.outlines import outlines
from regard.images.pictures import encoded

# Characters of a region's path.
_LONGEST = 5_000


def photo(image: Tensor, limit: int) -> str:
    """A uint8 image (3, H, W) as JPEG of at most about `limit` bytes, as an address."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    while True:
        for quality in (85, 72, 58, 44):
            data = encoded(picture, "JPEG", quality=quality, optimize=True)
            if len(data) <= limit or max(picture.size) <= 48:
                if len(data) <= limit or quality == 44:
                    return _address(data, "jpeg")
        picture = picture.resize((max(1, picture.width * 3 // 4), max(1, picture.height * 3 // 4)))


def heat(map_: Tensor) -> str:
    """A map (H, W) over its own maximum as PNG: the higher, the warmer and the less transparent.

    An image of a palette, 64 levels with alpha each, is a tenth of one in full colour.
    """
    levels = heat_levels(map_)
    picture = Image.frombytes("P", levels.shape[::-1], levels.tobytes())
    colours = heat_colours()
    picture.putpalette(colours[:, :3].tobytes())
    transparency = colours[:, 3].tobytes()
    return _address(encoded(picture, "PNG", optimize=True, transparency=transparency), "png")


def classes(ids: NDArray[np.uint8], colours: Sequence[str]) -> str:
    """Class indices (H, W) as PNG in the classes' colours; what is beyond these is clear."""
    picture = painted(ids, [*colours])
    transparency = picture.info["transparency"]
    return _address(encoded(picture, "PNG", optimize=True, transparency=transparency), "png")


def scale_css() -> str:
    """The colours of the maps as a CSS gradient, for a legend."""
    shown = heat_colours()[:: LEVELS // 8]
    stops = [f"rgb({r} {g} {b} / {a / 255:.2f})" for r, g, b, a in shown]
    return f"linear-gradient(to right, {', '.join(stops)})"


def outline(region: Tensor) -> str:
    """The path around a region (H, W) at one half, in pixels, for an SVG; empty for none.

    Points that hardly matter are left out, and more of them until at most about 5,000
    characters are left: a region of specks could be longer than its photo.
    """
    lines = outlines(region)
    for tolerance in (0.2, 0.5, 1.0, 2.0):
        path = "".join(_path(line, tolerance) for line in lines)
        if len(path) <= _LONGEST:
            return path
    longest = [_path(line, 2.0) for line in lines]
    lengths = np.cumsum([len(path) for path in longest])
    return "".join(longest[: max(1, int((lengths <= _LONGEST).sum()))])


def _path(points: NDArray[np.float64], tolerance: float) -> str:
    """A line without the points that lie within the tolerance, in pixels, of one without them."""
    line = Path(points)
    line.simplify_threshold = tolerance
    kept = line.cleaned(simplify=True, curves=False)
    codes = kept.codes
    assert codes is not None
    vertices = np.asarray(kept.vertices)[codes != Path.STOP].round(1)
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in vertices)


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
