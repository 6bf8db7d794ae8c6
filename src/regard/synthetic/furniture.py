"""What else lies on a sheet: the label, the barcode, the ruler, the grey card, a packet.

Each function draws one layer from its own luck; none knows the class of the plant.
"""

import numpy as np
from PIL import Image

from regard.synthetic.canvas import Canvas, Colour

INK: Colour = (38, 36, 34, 255)
FAINT: Colour = (96, 92, 88, 255)
CARD: Colour = (250, 248, 240, 255)
KRAFT: Colour = (206, 186, 150, 255)
EDGE: Colour = (150, 144, 130, 255)
WHITE: Colour = (252, 252, 250, 255)
HEADS = ("HERBARIUM", "FLORA EXSICCATA", "PLANTAE SICCAE", "BOTANIC GARDEN", "NATURAL HISTORY")
WORDS = (
    "leg. A. Marchetti", "leg. I. Dahl", "leg. R. Osei", "det. S. Novak", "hillside, 420 m",
    "dry scrub, limestone", "river bank, sandy soil", "roadside, open woodland", "12 May 1931",
    "3 June 1958", "27 July 1904", "alt. 1150 m", "shrub to 1.5 m", "flowers pale", "No. 2047",
    "No. 318", "rocky slope, south", "forest edge", "common in hedges", "duplicate to K, P, B",
)  # fmt: skip
PATCHES: tuple[Colour, ...] = (
    (30, 30, 30, 255), (110, 110, 108, 255), (190, 190, 186, 255), (204, 178, 66, 255),
    (98, 128, 72, 255), (150, 112, 70, 255), (238, 238, 234, 255),
)  # fmt: skip


def label(rng: np.random.Generator, unit: float) -> Image.Image:
    """A printed label with a heading, lines of text and, at times, a frame."""
    width, height = rng.uniform(0.28, 0.36) * unit, rng.uniform(0.17, 0.23) * unit
    style, handwritten = rng.random(3), rng.random(5)
    head = HEADS[int(rng.integers(len(HEADS)))]
    lines = rng.choice(len(WORDS), 5, replace=False)
    canvas = Canvas(height, width)
    canvas.box(0, 0, width, height, CARD if style[0] < 0.8 else (236, 226, 200, 255))
    canvas.box(0, 0, width, height, INK if style[1] < 0.5 else EDGE, ring=0.5)
    canvas.text(width / 2, height * 0.14, head, height * 0.12, INK, centred=True)
    canvas.box(width * 0.08, height * 0.24, width * 0.84, 0.4, FAINT)
    for rank, line in enumerate(lines):
        y = height * (0.36 + 0.128 * rank)
        tone = (44, 42, 60, 255) if handwritten[rank] < 0.4 else FAINT
        canvas.text(width * 0.07, y, WORDS[int(line)], height * 0.1, tone)
    return canvas.finished(rng.normal(0, 1.2))


def barcode(rng: np.random.Generator, unit: float) -> Image.Image:
    """A white sticker with bars and a number."""
    width, height = rng.uniform(0.18, 0.24) * unit, rng.uniform(0.075, 0.1) * unit
    bars, number = rng.random(34), int(rng.integers(100_000, 999_999))
    canvas = Canvas(height, width)
    canvas.box(0, 0, width, height, WHITE)
    canvas.box(0, 0, width, height, EDGE, ring=0.35)
    step = width * 0.86 / len(bars)
    for rank, bar in enumerate(bars):
        canvas.box(
            width * 0.07 + rank * step, height * 0.12, step * (0.25 + 0.55 * bar), height * 0.5, INK
        )
    canvas.text(width / 2, height * 0.8, f"HR {number}", height * 0.26, INK, centred=True)
    return canvas.finished(rng.normal(0, 1.0))


def ruler(rng: np.random.Generator, unit: float) -> Image.Image:
    """A scale bar of some centimetres, lying or standing, black and white or ticked."""
    length, depth = rng.uniform(0.4, 0.55) * unit, rng.uniform(0.05, 0.065) * unit
    checked, standing = rng.random(2) < 0.5
    parts = int(rng.integers(5, 9))
    canvas, step = Canvas(depth, length), length * 0.94 / parts
    canvas.box(0, 0, length, depth, WHITE)
    canvas.box(0, 0, length, depth, EDGE, ring=0.35)
    for part in range(parts):
        x = length * 0.03 + part * step
        if checked:
            row = depth * (0.1 if part % 2 else 0.3)
            canvas.box(x, row, step, depth * 0.2, INK)
        for tick in range(5):
            canvas.box(x + step * tick / 5, 0, 0.45, depth * (0.2 if tick else 0.42), INK)
        if part % 2 == 0:
            canvas.text(x + step * 0.12, depth * 0.76, str(part), depth * 0.36, INK)
    image = canvas.finished()
    return image.transpose(Image.Transpose.ROTATE_90) if standing else image


def grey_card(rng: np.random.Generator, unit: float) -> Image.Image:
    """A strip of grey and muted patches; none is as blue or as red as a stamp."""
    length, depth = rng.uniform(0.26, 0.34) * unit, rng.uniform(0.04, 0.055) * unit
    standing = rng.random() < 0.5
    canvas, step = Canvas(depth, length), length / len(PATCHES)
    canvas.box(0, 0, length, depth, INK)
    for rank, patch in enumerate(rng.permutation(len(PATCHES))):
        canvas.box(rank * step + 0.6, 0.6, step - 0.9, depth - 1.2, PATCHES[int(patch)])
    image = canvas.finished()
    return image.transpose(Image.Transpose.ROTATE_90) if standing else image


def packet(rng: np.random.Generator, unit: float) -> Image.Image:
    """A folded paper packet for fragments."""
    width, height = rng.uniform(0.17, 0.23) * unit, rng.uniform(0.13, 0.17) * unit
    kraft = rng.random() < 0.5
    paper = KRAFT if kraft else (238, 233, 218, 255)
    canvas = Canvas(height, width)
    canvas.box(0, 0, width, height, paper)
    canvas.box(0, 0, width, height, EDGE, ring=0.4)
    flap = np.array([[0, 0], [width * 0.5, height * 0.42], [width, 0]])
    canvas.polygon(flap, (*(round(k * 0.96) for k in paper[:3]), 255))
    canvas.line(flap, EDGE, 0.5)
    return canvas.finished(rng.normal(0, 3.0))


PIECES = ((label, 1.0), (barcode, 0.75), (ruler, 0.55), (grey_card, 0.3), (packet, 0.25))
"""What may lie on a sheet, the most needed first, and how often it does."""
