"""Pictures of mean maps: over all images, and small ones by class."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regard.evaluation.averaging import Group
from regard.images.heat import OPACITY, heat_colours, smooth, tinted
from regard.images.plotting import BLUE, INK, MUTED, figure, shortened, style
from regard.runs.overlay import outlined, percent

# Of more classes, those of most images are shown.
MOST_CLASSES = 40
# For the eye a map of pixels is brought to so many cells: below that it is noise.
CELLS = 56
# A mean region is brought to so many, for an outline without splinters.
REGION_CELLS = 14
# Inches, and pixels of a map's longest side.
LARGE, SMALL, NARROWEST, GAP, MARGIN = 3.2, 1.75, 6.0, 0.2, 0.35
HEAD, WORDS, FOOT, DOTS = 0.95, 0.4, 0.45, 480
_AGAINST = LinearSegmentedColormap.from_list("against", (BLUE, "#ffffff", "#d1472b"))
_OUTLINE = "Outline: where the mean region is above half of its maximum."


def mean_picture(group: Group, values: Mapping[str, Any]) -> Image.Image:
    """The mean photo, the mean absolute map over it, and the mean map of a signed method.

    Args:
        group: of all images.
        values: what `averages.json` says of the method.
    """
    panels = [("Mean of the photos", _photo(group), _counted(group)), _absolute(group)]
    if values["signed"]:
        words = "red speaks for the label, blue against it"
        panels.append(("Mean of the maps", _signed(group), words))
    title = f"{values['method']}, {values['split']}"
    return _sheet(title, panels, _note([group]), LARGE, len(panels))


def classes_picture(groups: Sequence[Group], values: Mapping[str, Any]) -> Image.Image:
    """Small pictures of the mean absolute map, one a class.

    Args:
        groups: by class.
        values: what `averages.json` says of the method.
    """
    largest = sorted(groups, key=lambda group: -group.images)[:MOST_CLASSES]
    shown = [group for group in groups if any(group is kept for kept in largest)]
    panels = [(str(g.name), _over_photo(g), f"{_counted(g)}\n{_inside(g)}".strip()) for g in shown]
    title = f"{values['method']}, {values['split']}, by label"
    if len(shown) < len(groups):
        title += f": the {len(shown)} largest of {len(groups)} classes"
    columns = min(len(panels), max(3, int(np.ceil(np.sqrt(1.6 * len(panels))))))
    room = (NARROWEST - 2 * MARGIN + GAP) / columns - GAP
    return _sheet(title, panels, _note(shown), min(max(SMALL, room), LARGE), columns)


def _sheet(
    title: str,
    panels: Sequence[tuple[str, NDArray[np.uint8], str]],
    note: str,
    side: float,
    columns: int,
) -> Image.Image:
    """Panels with a heading above and words below each, in rows."""
    tall, wide = panels[0][1].shape[:2]
    width, height = side * wide / max(tall, wide), side * tall / max(tall, wide)
    rows = -(-len(panels) // columns)
    step = height + WORDS + GAP + 0.1
    across = max(NARROWEST, 2 * MARGIN + columns * (width + GAP) - GAP)
    down = HEAD + rows * step + FOOT
    with style():
        sheet = figure(across, down, layout=None)
        _write(sheet, MARGIN, down - 0.3, shortened(title, 60), size=13, weight="bold", va="top")
        _scale(sheet, across - MARGIN, 0.32)
        _write(sheet, MARGIN, 0.36, note, size=7.5, color=MUTED, va="center")
        for number, (name, pixels, words) in enumerate(panels):
            left = MARGIN + number % columns * (width + GAP)
            low = down - HEAD - number // columns * step - height
            axes = sheet.add_axes((left / across, low / down, width / across, height / down))
            axes.imshow(pixels, interpolation="lanczos", aspect="auto")
            axes.set_axis_off()
            head = shortened(name, int(width * 11))
            _write(sheet, left, low + height + 0.07, head, size=9, weight="bold")
            _write(sheet, left, low - 0.06, words, size=7.5, color=MUTED, va="top")
        return _drawn(sheet)


def _note(groups: Sequence[Group]) -> str:
    return "" if all(group.region is None for group in groups) else _OUTLINE


def _drawn(sheet: Figure) -> Image.Image:
    file = io.BytesIO()
    sheet.savefig(file, format="png", metadata={"Software": None})
    return Image.open(file).convert("RGB")


def _write(sheet: Figure, x: float, y: float, text: str, *, color: str = INK, **how: Any) -> None:
    across, down = sheet.get_size_inches()
    sheet.text(x / across, y / down, text, color=color, linespacing=1.4, **how)


def _scale(sheet: Figure, right: float, low: float) -> None:
    """The colours of the maps, on white as they tint it."""
    across, down = sheet.get_size_inches()
    colours = heat_colours() / 255.0
    alpha = OPACITY * colours[:, 3:]
    axes = sheet.add_axes(((right - 1.15) / across, low / down, 0.8 / across, 0.09 / down))
    strip = (1 - alpha + colours[:, :3] * alpha)[None]
    axes.imshow(strip, aspect="auto", interpolation="bilinear")
    axes.set_axis_off()
    _write(sheet, right - 1.2, low + 0.045, "less", size=7.5, color=MUTED, ha="right", va="center")
    _write(sheet, right, low + 0.045, "more", size=7.5, color=MUTED, ha="right", va="center")


def _size(group: Group) -> tuple[int, int]:
    height, width = group.absolute.shape
    scale = DOTS / max(height, width)
    return round(height * scale), round(width * scale)


def _photo(group: Group) -> NDArray[np.uint8]:
    """The mean photo in grey, its contrast stretched."""
    low, high = group.photo.quantile(0.002), group.photo.quantile(0.998)
    stretched = (group.photo - low) * 255 / (high - low).clamp_min(1)
    grey = smooth(stretched, _size(group)).clamp(0, 255)
    return grey[..., None].expand(-1, -1, 3).round().byte().numpy()


def _coarse(map_: Tensor, most: int = CELLS) -> Tensor:
    cells = min(most, map_.shape[0]), min(most, map_.shape[1])
    return torch.nn.functional.adaptive_avg_pool2d(map_[None], cells)[0]


def _absolute(group: Group) -> tuple[str, NDArray[np.uint8], str]:
    return "Mean of the absolute maps", _over_photo(group), _inside(group)


def _over_photo(group: Group) -> NDArray[np.uint8]:
    """The absolute map over the mean photo in grey, and the mean region's outline."""
    size = _size(group)
    pixels = torch.from_numpy(_photo(group)).permute(2, 0, 1)
    # Paler, so that the colours are those of the map.
    image = Image.fromarray(
        tinted((127 + pixels.float() / 2).byte(), smooth(_coarse(group.absolute), size))
    )
    return np.asarray(_with_region(image, group))


def _signed(group: Group) -> NDArray[np.uint8]:
    """The mean map: white is 0."""
    size, map_ = _size(group), _coarse(group.mean)
    found = smooth(map_, size) - smooth(-map_, size)
    peak = max(float(found.abs().max()), 1e-12)
    image = Image.fromarray(
        (_AGAINST((found / peak + 1).numpy() / 2)[..., :3] * 255).astype("uint8")
    )
    return np.asarray(_with_region(image, group))


def _with_region(image: Image.Image, group: Group) -> Image.Image:
    if group.region is None or float(group.region.max()) <= 0:
        return image
    found = smooth(_coarse(group.region, REGION_CELLS), _size(group))
    return outlined(image, found / float(found.max()))


def _counted(group: Group) -> str:
    words = f"{group.images} image{'s'[: group.images != 1]}"
    return words + (f", {group.dead} without a map" if group.dead else "")


def _inside(group: Group) -> str:
    row = {name: values[~np.isnan(values)] for name, values in group.numbers.items()}
    if not len(row["inside"]):
        return ""
    inside, area = float(row["inside"].mean()), float(row["area"].mean())
    return f"{percent(inside, 0)} inside the region, area {percent(area, 0)}"
