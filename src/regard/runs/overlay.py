"""A picture of where a net looks: the photo, the same under its map, and a caption."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from regard.data.mask_classes import VOID
from regard.data.transforms import Transform, resized
from regard.images.heat import OPACITY, heat_colours, smooth, tinted
from regard.images.outlines import outlines
from regard.images.plotting import BOX, INK, MUTED, REGION
from regard.images.size import Size

# Longest side of the photo as shown; what is smaller than the least is enlarged to it.
SIDE, LEAST = 768, 384
_GAP, _MARGIN = 8, 12
_NARROWEST = 560
_FINE = 3  # outlines are drawn so many times larger, for lines without steps
_TITLE, _LINE = 18, 15


def shown_size(original: Size) -> Size:
    """(H, W) of a photo as shown, in its own proportions."""
    scale = min(SIDE, max(LEAST, *original)) / max(original)
    return max(1, round(original[0] * scale)), max(1, round(original[1] * scale))


def whole(transform: Transform, size: Size) -> Transform:
    """The transform that shows the whole photo at this size, whatever the net sees of it."""
    return replace(transform, size=size, fit="stretch")


def laid(map_: Tensor, transform: Transform, original: Size, size: Size) -> Tensor:
    """A map (h, w) of the net's input where it belongs on the whole photo, (H, W).

    Where an image was cropped the rest is 0; the map of padding falls away.

    Args:
        map_: of the input, at any resolution.
        transform: how the photo was fitted to the input.
        original: (height, width) of the photo.
        size: of the photo as shown.
    """
    corner, own = window_of(transform, original, size)
    return _put(smooth(map_, own), corner, torch.zeros(size))


def ids_laid(ids: Tensor, transform: Transform, original: Size, size: Size) -> Tensor:
    """As `laid`, of class indices uint8 (h, w) of the input; `VOID` where there is none."""
    corner, own = window_of(transform, original, size)
    found = resized(ids[None], own, "nearest-exact")[0]
    return _put(found, corner, torch.full(size, VOID, dtype=torch.uint8))


def _put(found: Tensor, corner: Size, canvas: Tensor) -> Tensor:
    """What lies with its upper left corner there, on a canvas that may be smaller."""
    top, left = corner
    rows, columns = (slice(max(0, s), None) for s in corner)
    part = found[max(0, -top) :, max(0, -left) :]
    part = part[: canvas[rows].shape[0], : canvas[:, columns].shape[1]]
    canvas[max(0, top) :, max(0, left) :][: part.shape[0], : part.shape[1]] = part
    return canvas


def window_of(transform: Transform, original: Size, size: Size) -> tuple[Size, Size]:
    """Corner and size of the net's input in pixels of the photo as shown.

    Args:
        transform: how the photo was fitted to the input.
        original: (height, width) of the photo.
        size: of the photo as shown.
    """
    if transform.fit == "stretch":
        return (0, 0), size
    scales = [side / own for side, own in zip(transform.size, original, strict=True)]
    scale = min(scales) if transform.fit == "pad" else max(scales)
    shares = [side / (own * scale) for side, own in zip(transform.size, original, strict=True)]
    height, width = (max(1, round(s * share)) for s, share in zip(size, shares, strict=True))
    return ((size[0] - height) // 2, (size[1] - width) // 2), (height, width)


def picture(
    photo: Tensor,
    map_: Tensor,
    region: Tensor | None,
    words: Sequence[str],
    *,
    explained: Tensor | None = None,
) -> Image.Image:
    """Photo and overlay side by side above a caption.

    Args:
        photo: uint8 (3, H, W).
        map_: (H, W), at least 0.
        region: (H, W) in [0, 1], outlined on the overlay; None for none.
        words: lines of the caption, the first one bold.
        explained: (H, W) in [0, 1], the pixels that the map explains, outlined on the photo; None
            where it is the whole image.
    """
    height, width = photo.shape[1:]
    overlay = Image.fromarray(tinted(photo, map_))
    if region is not None:
        overlay = outlined(overlay, region)
    strip = 2 * _MARGIN + _TITLE + 6 + (_LINE + 6) * (len(words) - 1)
    sheet = Image.new("RGB", (max(_NARROWEST, 2 * width + _GAP), height + strip), "white")
    plain = Image.fromarray(photo.permute(1, 2, 0).contiguous().numpy())
    sheet.paste(plain if explained is None else outlined(plain, explained, BOX), (0, 0))
    sheet.paste(overlay, (width + _GAP, 0))
    _scale(sheet, height + _MARGIN)
    _caption(sheet, height + _MARGIN, words)
    return sheet


def percent(share: float, digits: int = 1) -> str:
    """A share as captions of pictures say it, `62.5 %`; pictures are in English."""
    return f"{100 * share:.{digits}f} %"


def outlined(image: Image.Image, region: Tensor, bright: str = REGION) -> Image.Image:
    """The image with the region's outline: bright on a dark casing, to be seen on anything."""
    for colour, strength in outline_layers(region, bright):
        image.paste(colour, mask=strength)
    return image


def outline_layers(
    region: Tensor, bright: str = REGION, weight: float = 1.0
) -> Iterator[tuple[tuple[int, ...], Image.Image]]:
    """What is laid on a picture to outline a region (H, W): a colour, and how much of it, grey.

    Args:
        region: in [0, 1].
        bright: the line's colour.
        weight: of the line, 1 for pictures of some 400 pixels.
    """
    size = region.shape[1] * _FINE, region.shape[0] * _FINE
    for colour, width, strength in (("black", 4.8, 0.65), (bright, 2.4, 1.0)):
        large = Image.new("L", size)
        pen = ImageDraw.Draw(large)
        for line in outlines(region):
            points = [(float(x) * _FINE, float(y) * _FINE) for x, y in line]
            pen.line(
                points,
                fill=round(255 * strength),
                width=max(1, round(weight * width * _FINE)),
                joint="curve",
            )
        yield ImageColor.getrgb(colour), large.reduce(_FINE)


def _scale(sheet: Image.Image, top: int) -> None:
    """The colour scale at the right of the caption, on white as the overlay tints it."""
    colours = heat_colours().astype(np.float64)
    alpha = OPACITY * colours[:, 3:] / 255
    strip = (255 * (1 - alpha) + colours[:, :3] * alpha).round().astype(np.uint8)
    bar = Image.fromarray(np.broadcast_to(strip, (12, *strip.shape)).copy()).resize((110, 12))
    left = sheet.width - _MARGIN - 110 - 40
    sheet.paste(bar, (left, top + 4))
    pen = ImageDraw.Draw(sheet)
    pen.text((left - 6, top + 1), "less", MUTED, _font(13), anchor="ra")
    pen.text((left + 116, top + 1), "more", MUTED, _font(13))


def _caption(sheet: Image.Image, top: int, words: Sequence[str]) -> None:
    pen = ImageDraw.Draw(sheet)
    for number, text in enumerate(words):
        font = _font(_LINE) if number else _font(_TITLE, bold=True)
        room = sheet.width - 2 * _MARGIN - (0 if number else 210)
        pen.text((_MARGIN, top), _fitted(text, font, room), INK if number < 2 else MUTED, font)
        top += (_LINE if number else _TITLE) + 6


def _fitted(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text on one line, with an ellipsis where it is too long."""
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    kept = next(n for n in range(len(text), -1, -1) if font.getlength(text[:n] + "…") <= room)
    return text[:kept].rstrip(" ,") + "…"


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The type of all figures, which comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
