"""Figures as SVG inside of the page: its colours, its type, text as text, no address in it."""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from regard.images.plotting import COLOURS, GREY, GRID, INK, MUTED, figure, style
from regard.language import numeral

PAPER = "#ffffff"
# Each is a variable of the page's style sheet, so that figures change with light and dark.
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--paper",
    **{colour: f"--c{tone}" for tone, colour in enumerate(COLOURS)},
}
_PIXEL = 1 / 96  # inches
SMALL = (340, 230)
# Of a figure's width that stays free at either side.
_EDGE = 0.01
# Between these the largest tick of an axis is written without an exponent.
_LEAST_WRITTEN, _MOST_WRITTEN = 1e-4, 1e9
# Between ticks, times a power of ten: 0.05 is read with less effort than 0.06.
STEPS = (1, 2, 2.5, 5, 10)
# What an axis spans at least, as a share of its largest number: less is noise in the last digits.
_LEAST_SPAN = 0.02


@contextmanager
def canvas(width: int = SMALL[0], height: int = SMALL[1]) -> Iterator[Figure]:
    """An empty figure of this size in CSS pixels, to be drawn in and given to `inline`."""
    with style(), matplotlib.rc_context({"svg.fonttype": "none", "path.simplify_threshold": 0.5}):
        drawn = figure(width * _PIXEL, height * _PIXEL)
        # Fixed margins: fast, and figures side by side share their edges.
        drawn.set_layout_engine("none")
        drawn.patch.set_visible(False)
        yield drawn


def plot(drawn: Figure, x: str, y: str = "", left: int = 0) -> Axes:
    """The figure's only axes, with names and a light grid.

    Args:
        drawn: of `canvas`.
        x, y: names of the axes.
        left: pixels for what stands left of the axes; 0 is enough for short numbers, and
            `inline` makes room for longer ones.
    """
    width, height = drawn.get_size_inches() / _PIXEL
    left, bottom = left or (64 if y else 46), 46 if x else 26
    frame = (left / width, bottom / height, 1 - (left + 14) / width, 1 - (bottom + 12) / height)
    axes = drawn.add_axes(frame)
    axes.patch.set_visible(False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.xaxis.set_major_formatter(Numbers())
    axes.yaxis.set_major_formatter(Numbers())
    return axes


def widen(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Keep values that hardly differ from filling the axis."""
    low, high = getattr(axes.dataLim, f"interval{axis}")
    least = _LEAST_SPAN * max(abs(low), abs(high))
    if np.isfinite([low, high]).all() and high - low < least:
        middle = (low + high) / 2
        axes.set(**{f"{axis}lim": (middle - least / 2, middle + least / 2)})


class Numbers(ScalarFormatter):
    """Ticks written out with the signs of the language, `1,200,000`; the largest as `2e+09`."""

    def __init__(self) -> None:
        # No factor above the axis, where the figure ends.
        super().__init__(useOffset=False)
        self.set_scientific(False)

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The tick's text."""
        assert self.axis is not None
        largest = max(map(abs, self.axis.get_view_interval()), default=0.0)
        if largest and not _LEAST_WRITTEN <= largest < _MOST_WRITTEN:
            return numeral(f"{x:.3g}").replace("-", "−")
        whole, point, decimals = super().__call__(x, pos).partition(".")
        return numeral(re.sub(r"\B(?=(\d{3})+$)", ",", whole) + point + decimals)


def colour(tone: int) -> str:
    """The series' colour; -1 is grey."""
    return GREY if tone < 0 else COLOURS[tone % len(COLOURS)]


def inline(drawn: Figure, alt: str) -> Markup:
    """The figure as an `svg` element with a text alternative."""
    for axes in drawn.axes:
        _make_room(axes)
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # `savefig` draws twice, the first time for a layout that is fixed here.
    FigureCanvasSVG(drawn).print_svg(file, metadata=nothing)
    text = file.getvalue()
    text = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S
    )
    # Labels cannot hold a bare < or >, so a tag's attributes are told from text by these.
    text = re.sub(r"<[^>]*>", lambda tag: _themed(tag[0]), text)
    name = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r"<[^>]*>", lambda tag: _own_names(tag[0], name), text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))


def _make_room(axes: Axes) -> None:
    """Narrow the axes where ticks or names beside them would be cut off by the figure's edge."""
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    pen, width = canvas.get_renderer(), axes.figure.bbox.width
    axes.apply_aspect()
    sides = [box for axis in (axes.xaxis, axes.yaxis) if (box := axis.get_tightbbox(pen))]
    over_left = max([0.0, *(_EDGE - box.x0 / width for box in sides)])
    over_right = max([0.0, *(box.x1 / width - 1 + _EDGE for box in sides)])
    place = axes.get_position(original=True)
    left, right = place.x0 + over_left, place.x1 - over_right
    axes.set_position((left, place.y0, right - left, place.height))


def _themed(tag: str) -> str:
    if tag.startswith("<svg"):
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', tag)
        assert box is not None
        width, height = (round(float(side) * 96 / 72) for side in box.groups())
        return f'<svg viewBox="{box[0][9:-1]}" width="{width}" height="{height}">'
    for value, variable in _VARIABLES.items():
        tag = tag.replace(value, f"var({variable})")
    # Groups are named in the same way in every figure, and nothing refers to them.
    tag = re.sub(r'^<g id="[^"]*"', "<g", tag)
    return re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", tag)


def _own_names(tag: str, name: str) -> str:
    """Names of clips and markers that no other figure of the page has."""
    tag = re.sub(r' id="([^"]+)"', rf' id="{name}-\1"', tag)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", tag)
