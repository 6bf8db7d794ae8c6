"""What grows on the stem: stubs and twigs on every plant, spines on the stubs of a thorny one.

This is the only place where the class of a plant changes how it is drawn.
"""

from dataclasses import dataclass

import numpy as np

from regard.synthetic.canvas import Canvas, Colour, Points, mixed, shaded
from regard.synthetic.growth import Array, Growth

TWIG_SHARE = 0.2
SPINE_LENGTH = (0.062, 0.095)
SPINE_BASE = 0.021
STUB_LENGTH = (0.008, 0.017)
TWIG_LENGTH = (0.03, 0.052)
FADED: Colour = (226, 214, 188, 255)
RIPE: Colour = (160, 82, 46, 255)
RIPENESS = 0.5
"""Spines are redder than the stem, as a rose's are. The share decides how soon a small net
learns them: at 0.7 it does so within five epochs even beside a stamp that tells the class."""


@dataclass(frozen=True)
class Spurs:
    """What stands at each site, decided alike for both classes.

    Args:
        roots: shape (S, 2), on the stem's middle.
        along: shape (S, 2), the unit vector along the stem.
        out: shape (S, 2), the unit vector away from the stem.
        clear: shape (S,), half the stem's thickness, in pixels.
        luck: shape (S, 4), uniform in [0, 1): length, lean, thickness, colour.
        unit: the sheet's shorter side, in pixels.
    """

    roots: Array
    along: Array
    out: Array
    clear: Array
    luck: Array
    unit: float

    def feet(self, own: slice) -> Array:
        """Where the spurs of `own` leave the stem, shape (S, 2)."""
        return self.roots[own] + self.out[own] * self.clear[own, None] * 0.6

    def reach(self, thorn: float) -> Array:
        """The squares that hold a spur of either class, shape (S, 3): x, y, half side."""
        longest = max(SPINE_LENGTH[1] * thorn, TWIG_LENGTH[1] * 1.2) * self.unit
        return np.column_stack([self.roots, np.full(len(self.roots), longest) + self.clear])


def scattered(rng: np.random.Generator, growth: Growth, half_width: Array, unit: float) -> Spurs:
    """Spurs at the sites of a placed plant; `half_width` is the stem's at each, in pixels."""
    heading, side = growth.sites[:, 2], growth.sites[:, 3]
    along = np.stack([np.cos(heading), np.sin(heading)], 1)
    out = np.stack([-along[:, 1], along[:, 0]], 1) * side[:, None]
    luck = rng.random((len(heading), 4))
    return Spurs(growth.sites[:, :2], along, out, half_width, luck, unit)


def draw_spurs(canvas: Canvas, spurs: Spurs, stem: Colour, *, thorny: bool, thorn: float) -> None:
    """Draw every spur: twigs on the last `TWIG_SHARE` of the sites, stubs on the others."""
    own = round(len(spurs.roots) * (1 - TWIG_SHARE))
    tones = [shaded(stem, factor) for factor in (0.8 + 0.3 * spurs.luck[:, 3]).tolist()]
    _twigs(canvas, spurs, slice(own, None), tones[own:])
    _stubs(canvas, spurs, slice(own), tones[:own])
    if thorny and thorn > 0:
        _spines(canvas, spurs, slice(own), tones[:own], thorn)


def _spines(canvas: Canvas, spurs: Spurs, own: slice, tones: list[Colour], thorn: float) -> None:
    """Sharp spines bent back towards the root; their contrast falls with their length."""
    strength = min(1.0, 0.4 + 0.6 * thorn)
    along, out, luck = spurs.along[own], spurs.out[own], spurs.luck[own, :, None]
    length = _between(SPINE_LENGTH, luck[:, 0]) * spurs.unit * thorn
    half = along * SPINE_BASE * spurs.unit * (0.42 + 0.15 * luck[:, 2]) * strength
    foot = spurs.feet(own)
    bow = foot + out * length * 0.6 + along * length * 0.12
    tip = foot + out * length + along * length * (-0.35 + 0.5 * luck[:, 1])
    rims = (_bowed(foot + half, bow + half / 3, tip), _bowed(tip, bow - half / 3, foot - half))
    for path, tone in zip(canvas.paths(np.concatenate(rims, 1)), tones, strict=True):
        canvas.fill(path, mixed(FADED, mixed(tone, RIPE, RIPENESS), strength))


def _stubs(canvas: Canvas, spurs: Spurs, own: slice, tones: list[Colour]) -> None:
    """The scars of fallen leaves: short, blunt, as thick as a spine's foot."""
    luck = spurs.luck[own, :, None]
    length = _between(STUB_LENGTH, luck[:, 0]) * spurs.unit
    thick = SPINE_BASE * spurs.unit * (0.6 + 0.3 * luck[:, 2, 0])
    toward = spurs.out[own] + spurs.along[own] * (0.6 * luck[:, 1])
    ends = spurs.feet(own) + toward * length
    paths = canvas.paths(np.stack([spurs.roots[own], ends], 1))
    for path, (x, y), width, tone in zip(paths, ends, thick, tones, strict=True):
        canvas.stroke(path, tone, width)
        canvas.ellipse(x, y, width / 2, width / 2, tone)


def _twigs(canvas: Canvas, spurs: Spurs, own: slice, tones: list[Colour]) -> None:
    """Thin side twigs as long as spines, leaning forward, each with a bud at its end."""
    along, out, luck = spurs.along[own], spurs.out[own], spurs.luck[own, :, None]
    length = _between(TWIG_LENGTH, luck[:, 0]) * spurs.unit
    foot = spurs.feet(own)
    bow = foot + out * length * 0.55 + along * length * 0.2
    ends = foot + out * length * 0.8 + along * length * (0.4 + 0.4 * luck[:, 1])
    buds = spurs.unit * (0.0055 + 0.003 * luck[:, 2, 0])
    paths = canvas.paths(_bowed(foot, bow, ends))
    for path, (x, y), bud, tone in zip(paths, ends, buds, tones, strict=True):
        canvas.stroke(path, tone, 0.005 * spurs.unit)
        canvas.ellipse(x, y, bud, bud * 1.15, shaded(tone, 1.15))


def _between(bounds: tuple[float, float], luck: Array) -> Array:
    return bounds[0] + (bounds[1] - bounds[0]) * luck


def _bowed(start: Points, bend: Points, end: Points) -> Points:
    """Quadratic Bezier curves of seven points, shape (S, 7, 2)."""
    t = np.linspace(0, 1, 7)[:, None]
    return (1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * bend[:, None] + t**2 * end[:, None]
