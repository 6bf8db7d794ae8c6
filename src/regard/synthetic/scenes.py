"""Drawn street scenes with masks of classes: something to segment where no set is at hand."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from regard.data.keys import key
from regard.errors import ConfigError
from regard.files.parquet import write_parquet
from regard.images.pictures import save_image
from regard.progress import Progress
from regard.synthetic.folder import refuse_used

CLASSES = ("void", "flat", "construction", "object", "nature", "sky", "human", "vehicle")
COUNTS: Mapping[str, int] = MappingProxyType({"train": 60, "test": 20})
SMALLEST = 48
_ID = {name: number for number, name in enumerate(CLASSES)}
Box = tuple[float, float, float, float]


def write_scenes(
    out: Path,
    *,
    counts: Mapping[str, int] = COUNTS,
    size: tuple[int, int] = (120, 160),
    seed: int = 42,
    progress: Progress | None = None,
) -> Path:
    """Write drawn streets in the eight groups of Cityscapes, and their manifest.

    Sky over houses and trees, a road with cars, people, poles and signs, and a strip of void where
    the camera's own car would be. A scene is decided by (seed, split, index) alone.

    Args:
        out: a folder that is empty or does not exist.
        counts: scenes by split, 1 or more each.
        size: height and width, at least 48 pixels each.
        seed: of the whole set, not negative.
        progress: called with the scenes done and the total after each.

    Returns:
        The path of OUT/manifest.parquet: `image`, `mask`, `mask_classes`, `split`.

    Raises:
        ConfigError: for an argument outside its range or a folder that is not empty.
    """
    _check(out, counts, size, seed)
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows, total = [], sum(counts.values())
    for split, count in sorted(counts.items()):
        for index in range(count):
            photo, ids = draw_scene(np.random.default_rng([seed, key(split), index]), size)
            name = f"{split}-{index:05d}"
            save_image(photo, out / "images" / f"{name}.jpg", "JPEG", quality=92)
            save_image(ids, out / "masks" / f"{name}.png", "PNG")
            row = {"image": f"images/{name}.jpg", "mask": f"masks/{name}.png", "split": split}
            rows.append(row | {"mask_classes": list(CLASSES)})
            if progress is not None:
                progress(len(rows), total)
    return write_parquet(out / "manifest.parquet", pl.DataFrame(rows))


def draw_scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
    """A photo (RGB) and the class ids of its pixels (L).

    Args:
        rng: decides everything.
        size: height and width, pixels.
    """
    scene = _Scene(rng, size)
    horizon = rng.uniform(0.4, 0.55)
    scene.fill("sky", (0, 0, 1, horizon), (170, 195, 225))
    left = 0.0
    while left < 1:
        width = rng.uniform(0.12, 0.3)
        kind, colour = (
            ("nature", (70, 105, 60)) if rng.random() < 0.3 else ("construction", (150, 130, 115))
        )
        scene.fill(kind, (left, rng.uniform(0.08, horizon - 0.05), left + width, 1), colour)
        left += width
    scene.fill("flat", (0, horizon, 1, 1), (105, 103, 105))
    for _ in range(rng.integers(1, 4)):
        scene.tree(horizon)
    for _ in range(rng.integers(1, 4)):
        scene.car(horizon)
    for _ in range(rng.integers(1, 4)):
        scene.person(horizon)
    for _ in range(rng.integers(1, 4)):
        scene.pole(horizon)
    scene.fill("void", (0, 0.95, 1, 1), (35, 35, 40))
    return scene.finished()


class _Scene:
    """Draws the same shapes on a photo and on its mask; places are shares of the sides."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng, (self.height, self.width) = rng, size
        self.photo = Image.new("RGB", (self.width, self.height))
        self.ids = Image.new("L", (self.width, self.height))
        self._pens = ImageDraw.Draw(self.photo), ImageDraw.Draw(self.ids)

    def fill(self, kind: str, box: Box, colour: tuple[int, int, int], shape: str = "rectangle"):
        """A rectangle or an ellipse of a class, in a colour near the one given."""
        x0, y0, x1, y1 = box
        corners = [round(x0 * self.width), round(y0 * self.height)]
        corners += [round(x1 * self.width), round(y1 * self.height)]
        corners[2:] = [max(a, b) for a, b in zip(corners[:2], corners[2:], strict=True)]
        own = tuple(int(np.clip(c + self.rng.normal(0, 18), 0, 255)) for c in colour)
        for pen, value in zip(self._pens, (own, _ID[kind]), strict=True):
            getattr(pen, shape)(corners, fill=value)

    def tree(self, horizon: float) -> None:
        x, r = self.rng.uniform(0, 1), self.rng.uniform(0.05, 0.12)
        top = horizon - self.rng.uniform(0.05, 0.2)
        self.fill("nature", (x - 0.012, top, x + 0.012, horizon + 0.08), (85, 65, 50))
        self.fill("nature", (x - r, top - r, x + r, top + r), (65, 110, 55), "ellipse")

    def car(self, horizon: float) -> None:
        """The nearer, the lower and the larger."""
        near = self.rng.uniform(0.1, 0.8)
        x, y = self.rng.uniform(0.05, 0.8), horizon + near * (0.9 - horizon)
        w, h = 0.1 + 0.22 * near, 0.07 + 0.14 * near
        self.fill("vehicle", (x, y - h * 0.6, x + w, y), tuple(self.rng.integers(40, 220, 3)))
        self.fill("vehicle", (x + w / 5, y - h, x + w * 0.8, y - h * 0.5), (60, 70, 85))
        for wheel in (0.2, 0.8):
            r = h / 6
            box = (x + w * wheel - r, y - r, x + w * wheel + r, y + r)
            self.fill("vehicle", box, (25, 25, 25), "ellipse")

    def person(self, horizon: float) -> None:
        near = self.rng.uniform(0.1, 0.7)
        x, y = self.rng.uniform(0.03, 0.95), horizon + near * (0.85 - horizon)
        h = 0.12 + 0.2 * near
        w = h * 0.28
        self.fill("human", (x, y - h * 0.8, x + w, y), tuple(self.rng.integers(30, 200, 3)))
        head = (x + w * 0.15, y - h, x + w * 0.85, y - h * 0.78)
        self.fill("human", head, (205, 165, 140), "ellipse")

    def pole(self, horizon: float) -> None:
        x, top = self.rng.uniform(0.02, 0.97), self.rng.uniform(0.05, horizon - 0.1)
        w = 1.6 / self.width
        self.fill("object", (x, top, x + w, horizon + self.rng.uniform(0.05, 0.25)), (80, 80, 82))
        if self.rng.random() < 0.6:
            box = (x - 0.025, top, x + 0.025 + w, top + 0.07)
            self.fill("object", box, (200, 60, 50), "ellipse")

    def finished(self) -> tuple[Image.Image, Image.Image]:
        """Photo with noise and a little blur, and the ids."""
        soft = self.photo.filter(ImageFilter.GaussianBlur(0.6))
        noise = self.rng.normal(0, 7, (self.height, self.width, 3))
        pixels: NDArray[np.float64] = np.asarray(soft) + noise
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), self.ids


def _check(out: Path, counts: Mapping[str, int], size: tuple[int, int], seed: int) -> None:
    refuse_used(out)
    wrong = {
        "counts": not counts or min(counts.values()) < 1,
        "size": min(size) < SMALLEST,
        "seed": seed < 0,
    }
    for name, bad in wrong.items():
        if bad:
            raise ConfigError(
                f"scenes, {name}",
                expected=f"1 scene or more a split, sides of {SMALLEST} pixels or more, a seed "
                "from 0 on",
                found=str({"counts": dict(counts), "size": size, "seed": seed}[name]),
                remedy="correct it",
            )
