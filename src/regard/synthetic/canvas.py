"""A transparent layer on which shapes are drawn larger than they are, then reduced."""

import colorsys
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

OVERSAMPLING = 2
CLEAR = (0, 0, 0, 0)
Colour = tuple[int, ...]
Points = NDArray[np.float64]


class Canvas:
    """An RGBA layer with anti-aliased shapes.

    Args:
        height: of the finished layer, in pixels.
        width: of the finished layer, in pixels.

    Every coordinate and thickness is in pixels of the finished layer, x to the right and
    y down. Drawing with `CLEAR` erases.
    """

    def __init__(self, height: float, width: float) -> None:
        self.height, self.width = max(1, round(height)), max(1, round(width))
        size = (self.width * OVERSAMPLING, self.height * OVERSAMPLING)
        self.image = Image.new("RGBA", size, CLEAR)
        self._draw = ImageDraw.Draw(self.image)

    @staticmethod
    def paths(points: Points) -> list[list[float]]:
        """Many paths of n points, shape (m, n, 2), made ready for `fill` and `stroke`."""
        return (points * OVERSAMPLING).reshape(len(points), -1).tolist()

    def fill(self, path: list[float], colour: Colour) -> None:
        """Fill the inside of a path that `paths` made."""
        self._draw.polygon(path, fill=colour)

    def stroke(self, path: list[float], colour: Colour, thickness: float) -> None:
        """Draw along a path that `paths` made."""
        self._draw.line(path, fill=colour, width=int(thickness * OVERSAMPLING + 0.5) or 1)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill the outline `points`, shape (n, 2)."""
        self.fill(self.paths(points[None])[0], colour)

    def line(self, points: Points, colour: Colour, thickness: float) -> None:
        """Draw along `points`, shape (n, 2)."""
        self.stroke(self.paths(points[None])[0], colour, thickness)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, ring: float | None = None
    ) -> None:
        """Fill an upright ellipse, or with `ring` stroke it at that thickness."""
        box = [k * OVERSAMPLING for k in (x - rx, y - ry, x + rx, y + ry)]
        if ring is None:
            self._draw.ellipse(box, fill=colour)
        else:
            self._draw.ellipse(box, outline=colour, width=max(1, round(ring * OVERSAMPLING)))

    def box(
        self, x: float, y: float, width: float, height: float, colour: Colour, ring: float = 0
    ) -> None:
        """Fill an upright rectangle, or with `ring` stroke it at that thickness."""
        corners = [round(k * OVERSAMPLING) for k in (x, y, x + width, y + height)]
        corners[2:] = max(corners[0], corners[2] - 1), max(corners[1], corners[3] - 1)
        if ring:
            stroke = max(1, round(ring * OVERSAMPLING))
            self._draw.rectangle(corners, outline=colour, width=stroke)
        else:
            self._draw.rectangle(corners, fill=colour)

    def text(
        self, x: float, y: float, words: str, size: float, colour: Colour, *, centred: bool = False
    ) -> None:
        """Write `words`, `size` high, in the middle of the height `y`, from `x` on or about it."""
        word, rise = _written(words, max(4, round(size * OVERSAMPLING)))
        left = x * OVERSAMPLING - (word.width / 2 if centred else 0)
        self.image.paste(colour, (round(left), round(y * OVERSAMPLING) + rise), word)

    def finished(self, turn: float = 0.0) -> Image.Image:
        """The layer at its size, turned by `turn` degrees and grown to hold its corners."""
        image = self.image
        if turn:
            image = image.rotate(turn, expand=True)
        return image.convert("RGBa").reduce(OVERSAMPLING).convert("RGBA")


def colour_of(hue: float, saturation: float, value: float) -> Colour:
    """An opaque RGBA colour; `hue` in turns, the others clipped to [0, 1]."""
    kept = (min(1.0, max(0.0, k)) for k in (saturation, value))
    return (*(round(255 * k) for k in colorsys.hsv_to_rgb(hue % 1.0, *kept)), 255)


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour made darker (`factor` < 1) or lighter, its opacity kept."""
    red, green, blue, opacity = colour
    return (
        min(255, int(red * factor)),
        min(255, int(green * factor)),
        min(255, int(blue * factor)),
        opacity,
    )


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` of the way, in [0, 1], from the first to the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))


@lru_cache(1024)
def _written(words: str, size: int) -> tuple[Image.Image, int]:
    """The words as a mask, and how far its top is from the middle of the line."""
    font = _font(size)
    left, top, right, bottom = map(round, font.getbbox(words, anchor="lm"))
    word = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(word).text((-left, -top), words, fill=255, font=font, anchor="lm")
    return word, top


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
