"""Drawing dried leaves: a fold along the midrib, veins and, at times, an eaten hole."""

from dataclasses import dataclass

import numpy as np

from regard.synthetic.canvas import CLEAR, Canvas, Colour, shaded
from regard.synthetic.growth import Array, Growth, blades

VEIN_SEATS = np.array([0.2, 0.36, 0.52, 0.68])
VEIN_RISE = 0.14
SMALLEST_VEINED = 14.0


@dataclass(frozen=True)
class Foliage:
    """All leaves of a plant as paths, in the canvas's coordinates.

    Args:
        rims: the leaves' outlines.
        folds: one half of each, seen in another light.
        ribs: the midribs.
        veins: of each leaf, pairs of side veins.
        holes: shape (L, 2), where an eaten hole would be.
        colours: one a leaf.
        luck: shape (L, 2), uniform in [0, 1): the fold's light, the hole.
        lengths: in pixels.
    """

    rims: list[list[float]]
    folds: list[list[float]]
    ribs: list[list[float]]
    veins: list[list[list[float]]]
    holes: list[list[float]]
    colours: list[Colour]
    luck: list[list[float]]
    lengths: list[float]

    def draw(self, canvas: Canvas, rank: int) -> None:
        """Draw one leaf."""
        colour, length, luck = self.colours[rank], self.lengths[rank], self.luck[rank]
        canvas.fill(self.rims[rank], colour)
        canvas.fill(self.folds[rank], shaded(colour, 1.13 if luck[0] < 0.5 else 0.88))
        canvas.stroke(self.ribs[rank], shaded(colour, 1.35), length / 50)
        if length > SMALLEST_VEINED:
            faint = shaded(colour, 1.18)
            for vein in self.veins[rank]:
                canvas.stroke(vein, faint, length / 90)
        if luck[1] > 0.93:
            x, y = self.holes[rank]
            canvas.ellipse(x, y, length * 0.05, length * 0.035, CLEAR)


def foliage(rng: np.random.Generator, growth: Growth, fresh: Colour, turned: Colour) -> Foliage:
    """The leaves of a placed plant, each somewhere between `fresh` and `turned`."""
    count = len(growth.leaves)
    tints, luck = rng.normal(0, 1, (count, 2)), rng.random((count, 2))
    rims = blades(growth.leaves, growth.outline)
    half = rims.shape[1] // 2
    upper, lower = rims[:, :half], rims[:, : half - 1 : -1]
    ribs = (upper + lower) / 2
    folds = np.concatenate([upper, ribs[:, ::-1]], 1)
    holes = upper[:, half * 11 // 20] * 0.55 + ribs[:, half * 9 // 20] * 0.45
    return Foliage(
        rims=Canvas.paths(rims),
        folds=Canvas.paths(folds),
        ribs=Canvas.paths(ribs),
        veins=_veins(upper, lower, ribs),
        holes=holes.tolist(),
        colours=_colours(tints, fresh, turned),
        luck=luck.tolist(),
        lengths=growth.leaves[:, 3].tolist(),
    )


def _veins(upper: Array, lower: Array, ribs: Array) -> list[list[list[float]]]:
    half = ribs.shape[1]
    start = (VEIN_SEATS * half).astype(int)
    end = ((VEIN_SEATS + VEIN_RISE) * half).astype(int)
    sides = [
        np.stack([ribs[:, start], ribs[:, end] * 0.2 + edge[:, end] * 0.8], 2)
        for edge in (upper, lower)
    ]
    veins = np.concatenate(sides, 1)
    flat = Canvas.paths(veins.reshape(-1, 2, 2))
    each = veins.shape[1]
    return [flat[k : k + each] for k in range(0, len(flat), each)]


def _colours(tints: Array, fresh: Colour, turned: Colour) -> list[Colour]:
    first, second = np.array(fresh[:3], float), np.array(turned[:3], float)
    blend = (0.12 + 0.16 * tints[:, :1]).clip(0, 0.85)
    tones = (first + (second - first) * blend) * (1 + 0.1 * tints[:, 1:])
    return [(*tone, 255) for tone in tones.clip(0, 255).astype(int).tolist()]
