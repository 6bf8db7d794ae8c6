"""The collector's stamp, in blue or in red ink: what a model may look at instead of the plant."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from regard.synthetic.canvas import Canvas, Colour, colour_of

Ink = Literal["blue", "red"]
HUES: dict[Ink, float] = {"blue": 0.62, "red": 0.985}
INITIALS = ("HB", "KH", "BM", "NY", "LE", "UPS", "FI", "GZU")


@dataclass(frozen=True)
class Stamp:
    """A stamp's layers, of one size.

    Args:
        ink: RGBA.
        outline: mode L, 255 on all that the rim encloses.
    """

    ink: Image.Image
    outline: Image.Image


def stamp(rng: np.random.Generator, unit: float, ink: Ink) -> Stamp:
    """Draw a round or oval stamp; `rng` is consumed alike for both inks."""
    colour = _ink(rng, ink)
    height = rng.uniform(0.15, 0.18) * unit
    width = height * (rng.uniform(1.15, 1.35) if rng.random() < 0.35 else 1.0)
    words, turn = INITIALS[int(rng.integers(len(INITIALS)))], rng.uniform(-28, 28)
    letters, bars = rng.random(22), rng.random() < 0.5
    canvas, area = Canvas(height, width), Canvas(height, width)
    x, y, rx, ry = width / 2, height / 2, width / 2 - 0.4, height / 2 - 0.4
    area.ellipse(x, y, rx, ry, (255, 255, 255, 255))
    canvas.ellipse(x, y, rx, ry, colour, ring=height * 0.055)
    canvas.ellipse(x, y, rx * 0.58, ry * 0.58, colour, ring=height * 0.03)
    _legend(canvas, letters, colour)
    canvas.text(x, y, words, height * (0.3 if len(words) == 2 else 0.22), colour, centred=True)
    if bars:
        for row in (-0.2, 0.17):
            canvas.box(x - rx * 0.32, y + ry * 2 * row, rx * 0.64, height * 0.03, colour)
    return Stamp(_worn(rng, canvas.finished(turn)), area.finished(turn).getchannel("A"))


def _ink(rng: np.random.Generator, ink: Ink) -> Colour:
    """A hue about the ink's own, by 14 degrees at most: the two inks stay far apart."""
    drift, saturation, value = rng.uniform(-0.038, 0.038), rng.uniform(0.6, 0.85), rng.random()
    red, green, blue, _ = colour_of(HUES[ink] + drift, saturation, 0.52 + 0.26 * value)
    return red, green, blue, round(255 * rng.uniform(0.72, 0.94))


def _legend(canvas: Canvas, letters: np.ndarray, colour: Colour) -> None:
    """Letters too small to read between the rings: strokes of uneven length."""
    middle = np.array([canvas.width, canvas.height]) / 2
    angles = 2 * np.pi * np.arange(len(letters)) / len(letters)
    rays = np.stack([np.cos(angles), np.sin(angles)], 1) * middle
    reach = 0.72 + 0.1 * letters[:, None]
    paths = canvas.paths(middle + np.stack([rays * 0.67, rays * reach], 1))
    for path, letter in zip(paths, letters.tolist(), strict=True):
        canvas.stroke(path, colour, canvas.height * (0.025 + 0.03 * letter))


def _worn(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Ink that took unevenly: lighter in patches, and with a fade to one side."""
    patches = rng.uniform(0.62, 1.0, (4, 4)).astype(np.float32)
    wear = Image.fromarray(patches).resize(image.size, Image.Resampling.BICUBIC)
    opacity = np.asarray(image.getchannel("A"), np.float32) * np.asarray(wear)
    image.putalpha(Image.fromarray(opacity.clip(0, 255).astype(np.uint8)))
    return image
