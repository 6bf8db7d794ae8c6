"""One sheet: the plant laid down, the stamp and the rest around it, then photographed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from regard.synthetic.furniture import PIECES
from regard.synthetic.growth import grow
from regard.synthetic.layout import Occupied, frame, placed
from regard.synthetic.paper import paper, photographed
from regard.synthetic.plant import press
from regard.synthetic.spurs import SPINE_LENGTH
from regard.synthetic.stamp import Ink, stamp

COVERED = 64
"""A pixel is plant, or stamp, from a quarter of its area on: thorns' tips are thin."""


@dataclass(frozen=True)
class Sheet:
    """A photographed herbarium sheet.

    Args:
        image: shape (H, W, 3), uint8.
        region: shape (H, W), true on the plant, its spines too.
        avoid: shape (H, W), true on the stamp.
    """

    image: NDArray[np.uint8]
    region: NDArray[np.bool_]
    avoid: NDArray[np.bool_]

    @property
    def segmented(self) -> NDArray[np.uint8]:
        """The plant on black, shape (H, W, 3)."""
        return self.image * self.region[..., None]


def draw_sheet(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    thorny: bool,
    ink: Ink,
    thorn: float = 1.0,
) -> Sheet:
    """Draw one sheet.

    With equally seeded generators two sheets differ by the spines alone if `thorny` does,
    and by the stamp's colour alone if `ink` does.

    Args:
        rng: decides everything that is not given.
        size: height and width, in pixels.
        thorny: whether the plant has spines.
        ink: the stamp's colour.
        thorn: scale of the spines' length and contrast.
    """
    unit = min(size)
    growth = placed(rng, grow(rng), size)
    margin = 1.15 * SPINE_LENGTH[1] * max(1.0, thorn) * unit
    left, top, right, bottom = frame(growth, size, margin)
    growth, frame_size = growth.placed(1.0, np.array([-left, -top])), (bottom - top, right - left)
    pressed = press(rng, growth, frame_size, unit, thorny=thorny, thorn=thorn)
    occupied = Occupied(size)
    for layer in (pressed.plant, pressed.strips):
        occupied.add_mask(np.asarray(layer.getchannel("A")) > 0, top, left)
    occupied.add_squares(pressed.spurs.reach(thorn) + np.array([left, top, 0]))
    region = _mask(pressed.plant.getchannel("A"), (left, top), size)
    sheet = paper(rng, size)
    avoid = _stamped(rng, sheet, occupied, unit, ink)
    _furnished(rng, sheet, occupied, unit)
    _laid(sheet, pressed.plant, (left, top), unit)
    sheet.paste(pressed.strips, (left, top), pressed.strips)
    return Sheet(photographed(rng, sheet, region), region, avoid)


def _stamped(
    rng: np.random.Generator, sheet: Image.Image, occupied: Occupied, unit: float, ink: Ink
) -> NDArray[np.bool_]:
    """Stamp the sheet first of all, so that it finds a place; the stamp's mask."""
    mark = stamp(rng, unit, ink)
    place = occupied.find(rng.random(), *mark.ink.size)
    assert place is not None, "a plant leaves room for a stamp on either side"
    sheet.paste(mark.ink, place, mark.ink)
    return _mask(mark.outline, place, (sheet.height, sheet.width))


def _mask(opacity: Image.Image, place: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    whole = Image.new("L", (size[1], size[0]))
    whole.paste(opacity, place)
    return np.asarray(whole) >= COVERED


def _furnished(
    rng: np.random.Generator, sheet: Image.Image, occupied: Occupied, unit: float
) -> None:
    for piece, often in PIECES:
        shown, luck = rng.random(2)
        if shown >= often:
            continue
        layer = piece(rng, unit)
        place = occupied.find(luck, *layer.size)
        if place is not None:
            _laid(sheet, layer, place, unit)


def _laid(sheet: Image.Image, layer: Image.Image, place: tuple[int, int], unit: float) -> None:
    """Paste a layer with the soft shadow of a thing that lies on paper."""
    depth = max(1, round(unit * 0.006))
    shadow = layer.getchannel("A").filter(ImageFilter.BoxBlur(depth)).point(_faint)
    sheet.paste((70, 60, 45), (place[0] + depth, place[1] + depth), shadow)
    sheet.paste(layer, place, layer)


def _faint(opacity: int) -> int:
    return opacity * 3 // 10
