"""Drawing a grown plant: dried leaves, stems, spurs, flowers and the strips that hold it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from regard.synthetic.canvas import CLEAR, Canvas, Colour, colour_of, shaded
from regard.synthetic.foliage import foliage
from regard.synthetic.growth import Array, Growth, Stem
from regard.synthetic.spurs import Spurs, draw_spurs, scattered

STEM_WIDTHS = (0.015, 0.0095)
STRIP: Colour = (243, 240, 230, 235)


@dataclass(frozen=True)
class Palette:
    """The colours of one dried plant."""

    leaf: Colour
    turned: Colour
    stem: Colour
    petal: Colour


@dataclass(frozen=True)
class Pressed:
    """A plant ready to be mounted.

    Args:
        plant: RGBA, clear where a strip covers the plant.
        strips: RGBA, of the same size.
        spurs: what grows on the stem, whose `reach` does not depend on the class.
    """

    plant: Image.Image
    strips: Image.Image
    spurs: Spurs


def press(
    rng: np.random.Generator,
    growth: Growth,
    size: tuple[int, int],
    unit: float,
    *,
    thorny: bool,
    thorn: float,
) -> Pressed:
    """Draw a placed plant on a layer of `size` (height, width).

    Args:
        rng: consumed alike for both classes.
        growth: in pixels of the layer.
        size: height and width of the layer, in pixels.
        unit: the sheet's shorter side, in pixels, to which thicknesses are measured.
        thorny: whether spines grow where otherwise stubs do.
        thorn: scale of the spines' length and contrast; 1 is a few pixels.
    """
    canvas, palette = Canvas(*size), _palette(rng)
    in_front = rng.random(len(growth.leaves)) < 0.2
    leaves = foliage(rng, growth, palette.leaf, palette.turned)
    spurs = scattered(rng, growth, _half_widths(growth, unit), unit)
    for petiole in canvas.paths(growth.petioles):
        canvas.stroke(petiole, palette.stem, 0.0045 * unit)
    for rank in np.flatnonzero(~in_front).tolist():
        leaves.draw(canvas, rank)
    for stem in reversed(growth.stems):
        _stem(canvas, stem, palette.stem, unit)
    draw_spurs(canvas, spurs, palette.stem, thorny=thorny, thorn=thorn)
    for rank in np.flatnonzero(in_front).tolist():
        leaves.draw(canvas, rank)
    _blossoms(rng, canvas, growth.tips, palette, unit)
    strips = _mounted(rng, canvas, growth.stems, unit)
    return Pressed(canvas.finished(), strips.finished(), spurs)


def _palette(rng: np.random.Generator) -> Palette:
    hue = rng.uniform(0.1, 0.255)
    leaf = colour_of(hue, rng.uniform(0.28, 0.5), rng.uniform(0.3, 0.52))
    turned = colour_of(rng.uniform(0.08, 0.12), rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6))
    stem = colour_of(rng.uniform(0.06, 0.16), rng.uniform(0.3, 0.55), rng.uniform(0.28, 0.46))
    petals = ((0.13, 0.3, 0.85), (0.14, 0.6, 0.75), (0.78, 0.25, 0.55), (0.09, 0.5, 0.45))
    return Palette(leaf, turned, stem, colour_of(*petals[int(rng.integers(len(petals)))]))


def _half_widths(growth: Growth, unit: float) -> Array:
    widths = np.array(STEM_WIDTHS)[growth.orders.astype(int)] * unit
    return widths * _taper(growth.seats) / 2


def _taper(seats: Array) -> Array:
    return 1 - 0.6 * seats


def _stem(canvas: Canvas, stem: Stem, colour: Colour, unit: float) -> None:
    """A tapering stem, lit from the left."""
    half = STEM_WIDTHS[stem.order] * unit / 2 * _taper(np.linspace(0, 1, len(stem.points)))
    across = np.stack([-np.sin(stem.heading), np.cos(stem.heading)], 1) * half[:, None]
    rim = np.concatenate([stem.points + across, (stem.points - across)[::-1]])
    canvas.polygon(rim, shaded(colour, 0.9))
    canvas.line(stem.points - half[0] / 4, shaded(colour, 1.25), half[0] / 2)


def _blossoms(
    rng: np.random.Generator, canvas: Canvas, tips: Array, palette: Palette, unit: float
) -> None:
    """Faded flowers or dry fruits at the ends of some branches."""
    kind, size = rng.random(), rng.uniform(0.012, 0.02) * unit
    shown, turns = rng.random(len(tips)) < 0.6, rng.uniform(0, np.pi, len(tips))
    if kind < 0.4:
        return
    for (x, y, _), turn in zip(tips[shown], turns[shown], strict=True):
        if kind < 0.7:
            for petal in np.arange(5) * (2 * np.pi / 5) + turn:
                dx, dy = size * np.cos(petal), size * np.sin(petal)
                tone = shaded(palette.petal, 0.94 + 0.1 * np.sin(petal))
                canvas.ellipse(x + dx, y + dy, size * 0.72, size * 0.72, tone)
            canvas.ellipse(x, y, size * 0.5, size * 0.5, shaded(palette.turned, 0.8))
        else:
            canvas.ellipse(x, y, size * 0.95, size, shaded(palette.turned, 0.55))
            canvas.ellipse(x - size / 4, y - size / 4, size / 3, size / 3, palette.turned)


def _mounted(
    rng: np.random.Generator, canvas: Canvas, stems: tuple[Stem, ...], unit: float
) -> Canvas:
    """Strips of paper across the stems, with the plant under them erased."""
    strips = Canvas(canvas.height, canvas.width)
    spread = rng.uniform(0.03, 0.045) * unit
    thick = rng.uniform(0.009, 0.013) * unit
    seats = rng.uniform((0.02, 0.35, 0.25), (0.2, 0.75, 0.75))
    for stem, seat in zip((stems[0], stems[0], stems[1]), seats, strict=True):
        at = int(seat * (len(stem.points) - 1))
        along = np.array([np.cos(stem.heading[at]), np.sin(stem.heading[at])])
        across = np.array([-along[1], along[0]]) * spread
        ends = np.stack([stem.points[at] - across, stem.points[at] + across])
        canvas.line(ends, CLEAR, thick * 1.3)
        strips.line(ends, shaded(STRIP, 0.8), thick * 1.3)
        strips.line(ends, STRIP, thick)
    return strips
