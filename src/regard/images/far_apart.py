"""Colours that are told apart: how far two of them are, and the next ones far from those taken."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Linear sRGB to the cones' responses, and those to lightness and two opponents: Ottosson, "A
# perceptual color space for image processing", 2020. His a and b count twice: differences of hue
# would otherwise be held to be smaller than they look.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
) * np.array([[1.0], [2.0], [2.0]])
# What is seen without green cones: Machado et al., "A physiologically-based model for simulation
# of color vision deficiency", 2009, table 1, severity 1.
_DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
# Such distances are shorter, as a whole dimension is missing, and count so much more.
_DEUTERANOPIA_COUNTS = 2.2
# Steps of each of red, green and blue among which the next colour is looked for, and the
# lightness that it has: neither lost on paper nor on a dark page.
_STEPS, _DARKEST, _LIGHTEST = 14, 0.35, 0.92


@lru_cache(maxsize=32)
def next_colours(taken: tuple[str, ...], count: int) -> tuple[str, ...]:
    """So many `#rrggbb`, each as far as possible from those taken and those before it."""
    steps = np.linspace(0, 255, _STEPS).round()
    choice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lightness = _seen(_linear(choice))[:, 0]
    choice = choice[(lightness > _DARKEST) & (lightness < _LIGHTEST)]
    near = _apart(choice, _numbers(taken)).min(1)
    found = []
    for _ in range(count):
        best = choice[int(near.argmax())]
        found.append("#" + "".join(f"{int(part):02x}" for part in best))
        near = np.minimum(near, _apart(choice, best[None])[:, 0])
    return tuple(found)


def _apart(some: Floats, others: Floats) -> Floats:
    """Distances (N, M) of colours (N, 3) and (M, 3), the lesser of with and without green cones."""
    first, second = _linear(some), _linear(others)
    full = _distances(_seen(first), _seen(second))
    without = (np.clip(own @ _DEUTERANOPIA.T, 0, 1) for own in (first, second))
    return np.minimum(full, _DEUTERANOPIA_COUNTS * _distances(*map(_seen, without)))


def _distances(some: Floats, others: Floats) -> Floats:
    return np.linalg.norm(some[:, None] - others[None], axis=2)


def _numbers(colours: Sequence[str]) -> Floats:
    return np.array([[*bytes.fromhex(colour[1:])] for colour in colours], dtype=np.float64)


def _linear(colours: Floats) -> Floats:
    shares = colours / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def _seen(linear: Floats) -> Floats:
    """OKLab of linear sRGB (N, 3)."""
    return np.cbrt(linear @ _CONES.T) @ _OPPONENTS.T
