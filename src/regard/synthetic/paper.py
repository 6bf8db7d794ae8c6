"""The sheet of paper itself, and the light and grain of the photograph."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
SMOOTHNESS = 3
"""Paper and light have no edges: they are drawn this much smaller, then enlarged."""


def paper(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A cream to off-white sheet of `size` (height, width), cockled and foxed with age."""
    tone = np.array([246, 241, 229], np.float32) + rng.normal(0, 1.5)
    aged = rng.uniform(0, 1) ** 2
    tone = tone - np.array([6, 12, 26], np.float32) * aged
    coarse = size[0] // SMOOTHNESS, size[1] // SMOOTHNESS
    field = cloud(rng, coarse, 5)[..., None] * np.array([2.0, 2.4, 3.2], np.float32)
    spots = _foxing(rng, coarse, int(rng.integers(0, 14)))
    stain = spots[..., None] * np.array([26, 40, 62], np.float32)
    smooth = Image.fromarray((tone + field - stain).clip(0, 255).astype(np.uint8))
    return smooth.resize((size[1], size[0]), Image.Resampling.BICUBIC)


def photographed(
    rng: np.random.Generator, image: Image.Image, plant: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The sheet under uneven light, with grain; `plant`, shape (H, W), has more texture."""
    size = (image.height, image.width)
    light = _light(rng, size) * (1 + 0.07 * cloud(rng, size, 28) * plant)
    grain = rng.standard_normal(size, np.float32)
    grain *= np.where(plant, np.float32(4.4), np.float32(1.4))
    bands = [_shown(band, light, grain) for band in image.split()]
    return np.asarray(Image.merge("RGB", bands))


def _shown(band: Image.Image, light: NDArray[np.floating], grain: Floats) -> Image.Image:
    """One colour of the photograph; by bands numpy has no short axis to go over."""
    seen = np.asarray(band) * light
    seen += grain
    return Image.fromarray(np.clip(seen, 0, 255, out=seen).astype(np.uint8))


def _light(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """A slope across the sheet and darker corners."""
    rows = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, size[1], dtype=np.float32)[None, :]
    angle, slope, corner = rng.uniform(-np.pi, np.pi), rng.uniform(0, 0.05), rng.uniform(0, 0.035)
    down = 1 - slope / 2 * (rows * float(np.sin(angle)) + 1) - corner * rows**2
    across = slope / 2 * float(np.cos(angle)) * columns + corner * columns**2
    return (down - across).astype(np.float32)


def cloud(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Floats:
    """A smooth random field of `size` with mean 0, about `cells` waves to a side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    return np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _foxing(rng: np.random.Generator, size: tuple[int, int], count: int) -> Floats:
    """Soft brown spots."""
    height, width = size
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    y, x, spread, depth = rng.random((4, count, 1))
    radius = (0.006 + 0.02 * spread**2) * min(size)
    down = (0.15 + 0.5 * depth) * np.exp(-(((rows.T - y * height) / radius) ** 2))
    across = np.exp(-(((columns - x * width) / radius) ** 2))
    return (down.T @ across).astype(np.float32)
