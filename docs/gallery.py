"""Every method on the same photos: python docs/gallery.py PHOTO PHOTO PHOTO --out FILE.png.

One row a photo, one column a method, and the time that each took on standard output. The net is
EfficientNet-lite0 with its bundled ImageNet weights. The methods of attention need a trained
transformer: they are drawn for `--transformer RUN`, a run of one, and else left out.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor, nn

import regard
from regard.data.transforms import Transform
from regard.errors import ModelError
from regard.images.heat import OPACITY, heat_colours, smooth, tinted
from regard.images.plotting import INK, MUTED, figure, save, style
from regard.saliency import METHODS

# The weights' own preparation.
HALF = (0.5, 0.5, 0.5)
TRANSFORM = Transform((224, 224), HALF, HALF, "crop", "bicubic")
SHOWN = 336  # pixels a side of what is drawn
# Inches.
TILE, GAP, MARGIN, WORDS, HEAD = 1.3, 0.05, 0.3, 0.3, 0.62
TITLE, FOOT, AFTER_PHOTO = 0.85, 0.75, 0.16
PEAK = 0.995
CELLS = 56  # single pixels are too small to be seen
ROUNDS = 5
NOTE = (
    "Each map is drawn over its own range: from its lowest value (signed maps, marked ±, from 0: "
    "their positive part) to its 99.5 % quantile; maps of pixels are averaged to {cells} x {cells} "
    "cells.\nexpected_gradients starts from the photos' "
    "mirror images; all other options are the defaults.{more}"
)
LONGEST = 17  # letters of a class name, beside its share
LEFT_OUT = " Left out, for want of a trained transformer that has what they read: {names}."


@dataclass(frozen=True)
class Block:
    """Columns of methods, of one net.

    Attributes:
        title: above them.
        words: of each photo the predicted class and its probability.
        maps: by method, (photos, h, w).
    """

    title: str
    words: Sequence[tuple[str, str]]
    maps: dict[str, Tensor]


def blocks_of(paths: Sequence[str], transformer: Path | None) -> list[Block]:
    """The blocks of lite0, and with a run of a transformer that of attention."""
    net = regard.build_model("timm:tf_efficientnet_lite0", 1000, "bundled").eval()
    told = ImageNetInfo()
    classes = [told.index_to_description(k).split(",")[0] for k in range(1000)]
    able = {name: kind for name, kind in METHODS.items() if "attention" not in kind.needs}
    of_layers = [name for name, kind in able.items() if not kind.of_pixels]
    of_pixels = [name for name, kind in able.items() if kind.of_pixels]
    images = TRANSFORM(paths)
    found = [
        _block("Methods of a layer", net, images, classes, of_layers),
        _block("Methods of pixels", net, images, classes, of_pixels),
    ]
    if transformer is not None:
        run = regard.load_run(transformer)
        title = f"Methods of attention, of {run.config['model']['spec']}"
        names = [name for name in METHODS if name not in able]
        found.append(_block(title, run.net, run.transform(paths), run.classes, names))
    return found


def _block(
    title: str, net: nn.Module, images: Tensor, classes: Sequence[str], names: Sequence[str]
) -> Block:
    with torch.no_grad():
        best = net(images).softmax(1).max(1)
    words = [
        (short(classes[int(k)]), f"{float(p):.0%}".replace("%", " %"))
        for p, k in zip(best.values, best.indices, strict=True)
    ]
    return Block(title, words, dict(timed(net, images, names)))


def short(name: str) -> str:
    """A class name that leaves room for its share."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1].rstrip() + "…"


def timed(net: nn.Module, images: Tensor, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Each method's maps of the predicted classes, at the photos' size; prints the times.

    A method that the net has nothing for (one matrix of attention, where there are two branches)
    is left out, with its reason.
    """
    with torch.no_grad():
        targets = net(images).argmax(1)
        once = min(_seconds(lambda: net(images))[0] for _ in range(ROUNDS))
    print(f"{'forward pass':24}{once:8.3f} s")
    for name in names:
        options: dict[str, Any] = {}
        if METHODS[name].from_background:
            options["background"] = images.flip(3)
        explain = partial(regard.explain, net, images, targets, name, **options)
        try:
            took, maps = _seconds(explain)
        except ModelError as error:
            print(f"{name:24}left out: {error}", flush=True)
            continue
        if took < 2:  # a quick one is measured again, since the first call is a slow one
            took = min(_seconds(explain)[0] for _ in range(ROUNDS))
        print(f"{name:24}{took:8.3f} s {took / once:8.1f} x", flush=True)
        yield name, maps


def _seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def shown(map_: Tensor, *, signed: bool) -> Tensor:
    """A map (h, w) as it is drawn, (SHOWN, SHOWN) in [0, 1]."""
    found = map_.float().clamp_min(0) if signed else map_.float() - map_.min()
    cells = min(CELLS, found.shape[0]), min(CELLS, found.shape[1])
    found = torch.nn.functional.adaptive_avg_pool2d(found[None], cells)[0]
    found = smooth(found, (SHOWN, SHOWN))
    return found.clamp_max(max(float(found.quantile(PEAK)), 1e-12))


def draw(photos: Sequence[Tensor], blocks: Sequence[Block]) -> Figure:
    """The whole sheet.

    Args:
        photos: uint8 (3, SHOWN, SHOWN).
        blocks: one below the other.
    """
    columns = max(len(block.maps) for block in blocks)
    width = 2 * MARGIN + AFTER_PHOTO + (columns + 1) * (TILE + GAP)
    deep = HEAD + len(photos) * (TILE + WORDS)
    height = TITLE + len(blocks) * deep + FOOT
    sheet = figure(width, height, layout=None)
    _heading(sheet, height - MARGIN)
    for number, block in enumerate(blocks):
        _draw_block(sheet, height - TITLE - number * deep, photos, block)
    drawn = {name for block in blocks for name in block.maps}
    names = ", ".join(name for name in METHODS if name not in drawn)
    more = LEFT_OUT.format(names=names) if names else ""
    note = NOTE.format(cells=CELLS, more=more)
    _write(sheet, MARGIN, FOOT - 0.2, note, size=8, c=MUTED, va="top")
    return sheet


def _draw_block(sheet: Figure, top: float, photos: Sequence[Tensor], block: Block) -> None:
    _write(sheet, MARGIN, top - 0.1, block.title, size=11, weight="bold", va="top")
    for number, name in enumerate(block.maps):
        mark = " ±" if METHODS[name].signed else ""
        place = _left(number) + TILE / 2
        _write(sheet, place, top - HEAD + 0.09, name + mark, size=8, ha="center")
    for row, photo in enumerate(photos):
        edge = top - HEAD - row * (TILE + WORDS)
        _tile(sheet, MARGIN, edge, photo.permute(1, 2, 0).numpy())
        (word, share), below = block.words[row], edge - TILE - 0.05
        _write(sheet, MARGIN, below, word, size=8, va="top")
        _write(sheet, MARGIN + TILE, below, share, size=8, c=MUTED, ha="right", va="top")
        for number, (name, maps) in enumerate(block.maps.items()):
            map_ = shown(maps[row], signed=METHODS[name].signed)
            _tile(sheet, _left(number), edge, tinted(photo, map_))


def _left(number: int) -> float:
    return MARGIN + AFTER_PHOTO + (number + 1) * (TILE + GAP)


def _heading(sheet: Figure, top: float) -> None:
    _write(sheet, MARGIN, top, "Where a net looks, by method", size=15, weight="bold", va="top")
    right = float(sheet.get_figwidth()) - MARGIN
    colours = heat_colours().astype(float) / 255
    alpha = OPACITY * colours[:, 3:]
    strip = (1 - alpha + colours[:, :3] * alpha)[None]
    axes = sheet.add_axes(_share(sheet, right - 1.75, top - 0.2, 1.3, 0.13))
    axes.imshow(strip, aspect="auto", interpolation="bilinear")
    axes.set_axis_off()
    _write(sheet, right - 1.82, top - 0.135, "less", size=8, c=MUTED, ha="right", va="center")
    _write(sheet, right, top - 0.135, "more", size=8, c=MUTED, ha="right", va="center")


def _tile(sheet: Figure, left: float, top: float, pixels: NDArray[np.uint8]) -> None:
    axes = sheet.add_axes(_share(sheet, left, top - TILE, TILE, TILE))
    axes.imshow(pixels, interpolation="lanczos")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#d9dce1", linewidth=0.6)


def _share(
    sheet: Figure, left: float, low: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """A box in inches as shares of the figure."""
    across, down = sheet.get_size_inches()
    return left / across, low / down, width / across, height / down


def _write(sheet: Figure, x: float, y: float, text: str, *, c: str = INK, **how: object) -> None:
    across, down = sheet.get_size_inches()
    sheet.text(x / across, y / down, text, color=c, linespacing=1.5, **how)  # type: ignore[arg-type]


def main() -> None:
    """Read the command line, explain, draw."""
    parser = argparse.ArgumentParser(description="Every method on the same photos.")
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="One clear object each.")
    parser.add_argument("--out", type=Path, default=Path("gallery.png"))
    parser.add_argument("--transformer", type=Path, metavar="RUN", help="A run of a ViT, say.")
    asked = parser.parse_args()
    blocks = blocks_of(asked.photos, asked.transformer)
    large = replace(TRANSFORM, size=(SHOWN, SHOWN))
    with style():
        save(draw([large.load(path) for path in asked.photos], blocks), asked.out)


if __name__ == "__main__":
    main()
