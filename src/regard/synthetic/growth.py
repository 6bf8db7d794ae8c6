"""How a plant grows: curved stems, leaves, flowers and the sites of its spines.

Nothing here knows the class of the plant. Lengths are in units of the main stem until
`placed` puts the plant on a sheet.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NODES = 22


@dataclass(frozen=True)
class Stem:
    """A curve with its heading at every point.

    Args:
        points: shape (n, 2), x and y, from the base to the tip.
        heading: shape (n,), radians, 0 to the right and pi / 2 down.
        order: 0 for the main stem, 1 for a branch.
    """

    points: Array
    heading: Array
    order: int


@dataclass(frozen=True)
class Growth:
    """A plant's geometry.

    Args:
        stems: the main stem first.
        petioles: shape (N, 2, 2), from the stem to a leaf's base or a compound leaf's end.
        leaves: shape (L, 4), the base's x and y, the heading and the length.
        tips: shape (K, 3), x, y and heading where flowers or fruits sit.
        sites: shape (S, 4), x, y, heading of the stem and side (-1 or 1) of each place
            where a spine or a stub grows.
        seats: shape (S,), how far along its stem a site is, in [0, 1].
        orders: shape (S,), the order of a site's stem.
        outline: shape (P, 2), a leaf's outline of length 1 along x, base at the origin.
    """

    stems: tuple[Stem, ...]
    petioles: Array
    leaves: Array
    tips: Array
    sites: Array
    seats: Array
    orders: Array
    outline: Array

    def extent(self) -> tuple[Array, Array]:
        """The lowest and the highest x and y of stems and leaves."""
        points = [stem.points for stem in self.stems]
        ends = np.concatenate([*points, blades(self.leaves, self.outline).reshape(-1, 2)])
        return ends.min(0), ends.max(0)

    def placed(self, scale: float, shift: Array) -> "Growth":
        """The plant enlarged by `scale`, then moved by `shift` (x, y)."""
        stems = tuple(replace(stem, points=stem.points * scale + shift) for stem in self.stems)
        leaves, tips, sites = self.leaves.copy(), self.tips.copy(), self.sites.copy()
        leaves[:, 3] *= scale
        for rows in (leaves, tips, sites):
            rows[:, :2] = rows[:, :2] * scale + shift
        petioles = self.petioles * scale + shift
        return replace(self, stems=stems, petioles=petioles, leaves=leaves, tips=tips, sites=sites)


def grow(rng: np.random.Generator) -> Growth:
    """Grow a plant of a random habit."""
    stems = _stems(rng)
    compound = rng.random() < 0.3
    petioles, leaves = _leaves(rng, _leaf_nodes(rng, stems, compound), compound)
    sites, seats, orders = _sites(rng, stems)
    tips = np.array([(*s.points[-1], s.heading[-1]) for s in stems if s.order == 1])
    outline = _leaf_outline(rng, compound)
    return Growth(stems, petioles, leaves, tips, sites, seats, orders, outline)


def blades(leaves: Array, outline: Array) -> Array:
    """The outlines of all leaves, shape (L, P, 2)."""
    cos, sin = np.cos(leaves[:, 2]), np.sin(leaves[:, 2])
    turn = np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1)
    return leaves[:, None, :2] + leaves[:, None, 3:4] * (outline @ turn)


def _curve(
    rng: np.random.Generator, start: Array, heading: float, length: float, order: int
) -> Stem:
    bend, wave, phase = rng.normal(0, (0.45, 0.14, 1.0))
    along = np.linspace(0, 1, NODES)
    course = heading + bend * along + wave * np.sin(2 * np.pi * (along + phase))
    steps = np.stack([np.cos(course), np.sin(course)], 1) * length / (NODES - 1)
    points = start + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], 0)])
    return Stem(points, course, order)


def _stems(rng: np.random.Generator) -> tuple[Stem, ...]:
    heading = rng.choice([-0.5, 0.5]) * np.pi + rng.uniform(-0.65, 0.65)
    main = _curve(rng, np.zeros(2), heading, 1.0, 0)
    count = int(rng.integers(2, 6))
    seats = np.sort(rng.uniform(0.22, 0.8, count))
    side = rng.choice([-1.0, 1.0])
    branches = []
    for rank, seat in enumerate(seats):
        at = int(seat * (NODES - 1))
        angle = side * (-1.0) ** rank * rng.uniform(0.5, 1.0)
        length = rng.uniform(0.35, 0.6) * (1.15 - 0.5 * seat)
        branches.append(_curve(rng, main.points[at], main.heading[at] + angle, length, 1))
    return (main, *branches)


def _leaf_nodes(rng: np.random.Generator, stems: tuple[Stem, ...], compound: bool) -> Array:
    size = rng.uniform(0.26, 0.38) if compound else rng.uniform(0.14, 0.34)
    spacing = (0.5 if compound else 0.45) * size + rng.uniform(0.06, 0.1)
    opposite, lean = rng.random() < 0.35, rng.uniform(0.6, 1.25)
    nodes = []
    for stem in stems:
        length = float(np.hypot(*(stem.points[1] - stem.points[0]))) * (NODES - 1)
        count = max(2, round(length / spacing))
        for rank, seat in enumerate(np.linspace(0.3, 0.94, count)):
            at = round(float(seat) * (NODES - 1))
            sides = (-1.0, 1.0) if opposite else ((-1.0) ** rank,)
            for side in sides:
                heading = stem.heading[at] + side * lean * rng.uniform(0.75, 1.25)
                nodes.append((*stem.points[at], heading, size * rng.uniform(0.6, 1.1)))
        nodes.append((*stem.points[-1], stem.heading[-1], size * rng.uniform(0.6, 1.0)))
    return np.array(nodes)


def _leaves(rng: np.random.Generator, nodes: Array, compound: bool) -> tuple[Array, Array]:
    """Petioles and leaves: one leaf at the end, or leaflets in pairs along and one at the end."""
    reach = nodes[:, 3:4] * (1.0 if compound else rng.uniform(0.1, 0.35))
    pairs, share = int(rng.integers(2, 4)), rng.uniform(0.4, 0.55)
    ahead = reach * np.stack([np.cos(nodes[:, 2]), np.sin(nodes[:, 2])], 1)
    petioles = np.stack([nodes[:, :2], nodes[:, :2] + ahead], 1)
    ends = np.column_stack([petioles[:, 1], nodes[:, 2:]])
    if not compound:
        return petioles, ends
    leaflets = [ends * np.array([1, 1, 1, share * 1.1])]
    for seat in np.linspace(0.4, 0.9, pairs):
        bases, length = nodes[:, :2] + ahead * seat, nodes[:, 3] * share
        leaflets += [np.column_stack([bases, nodes[:, 2] + k, length]) for k in (-1.05, 1.05)]
    return petioles, np.concatenate(leaflets)


def _sites(rng: np.random.Generator, stems: tuple[Stem, ...]) -> tuple[Array, Array, Array]:
    """Scatter the sites over the stems by length, the lower and barer parts preferred."""
    lengths = np.array([np.hypot(*(stem.points[1] - stem.points[0])) for stem in stems])
    count = int(rng.integers(20, 31))
    chosen = rng.choice(len(stems), count, p=lengths / lengths.sum())
    seats = 0.03 + 0.87 * rng.beta(1.0, 1.7, count)
    at, between = np.divmod(seats * (NODES - 1), 1.0)
    at, between = at.astype(int), between[:, None]
    curves = np.stack([stem.points for stem in stems])
    points = curves[chosen, at] * (1 - between) + curves[chosen, at + 1] * between
    heading = np.stack([stem.heading for stem in stems])[chosen, at]
    side = rng.choice([-1.0, 1.0], count)
    orders = np.array([stem.order for stem in stems], float)[chosen]
    return np.column_stack([points, heading, side]), seats, orders


def _leaf_outline(rng: np.random.Generator, compound: bool) -> Array:
    """An outline with its own breadth, widest place, teeth, lobes and bend."""
    breadth = rng.uniform(0.3, 0.65) if compound else rng.uniform(0.26, 0.8)
    rise, fall = rng.uniform(0.5, 0.95), rng.uniform(0.6, 1.25)
    teeth, lobes = int(rng.integers(7, 13)), int(rng.integers(2, 4))
    toothed, lobed = rng.random(2) < (0.45, 0.2)
    bend = rng.normal(0, 0.1)
    along = np.linspace(0, 1, 37 if toothed else 19)
    width = along**rise * (1 - along) ** fall
    width *= 0.5 * breadth / width.max()
    if lobed and not compound:
        width *= 0.95 + 0.33 * np.cos(2 * np.pi * lobes * (along - 0.4))
    elif toothed:
        width *= 0.9 + 0.16 * (along * teeth % 1.0)
    middle = bend * along**2
    upper = np.stack([along, middle + width], 1)
    lower = np.stack([along, middle - width], 1)
    return np.concatenate([upper, lower[::-1]])
