"""The look of every figure: colours, type, and a figure of a given size."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from regard.files.atomic import write_atomically

INK = "#2b303a"
MUTED = "#717784"
GRID = "#e7e9ed"
BLUE, AMBER, GREEN, VIOLET, GREY = "#44678f", "#e0a243", "#74a892", "#9a7aa0", "#b5bac3"
# In the order in which series are coloured; easy to tell apart in print and when colour-blind.
COLOURS = (BLUE, AMBER, GREEN, VIOLET, "#c8695a", GREY)
SPLITS = {"train": BLUE, "val": AMBER, "test": GREEN, "no split": GREY}
# Drawn on photos: bright, and always on a dark casing.
REGION, BOX, AVOID = "#ff4f8b", "#ffd23f", "#4fd8ff"

RC: dict[Any, Any] = {
    # It comes with matplotlib, so that figures are the same on every machine.
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    # A class may be called a$b$c.
    "text.parse_math": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "regard",
    "figure.dpi": 100,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "savefig.dpi": 160,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save figures inside of this."""
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        # Labels may be in any script; a missing glyph is a box, not a reason to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """An empty figure of this size in inches, without the global state of pyplot."""
    made = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(made)
    return made


def grid(axes: Axes, axis: str) -> None:
    """Lines across `x` or `y`, and no spine where the lines do its work."""
    axes.grid(axis="x" if axis == "x" else "y")
    axes.spines["bottom" if axis == "y" else "left"].set_visible(True)
    axes.spines["left" if axis == "y" else "bottom"].set_visible(False)


def shortened(text: str, length: int) -> str:
    """The text on one line, with an ellipsis if it is longer."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip(" ,") + "…"


def save(drawn: Figure, path: Path) -> Path:
    """Write a figure by its suffix; the same figure gives the same bytes."""
    kind = path.suffix[1:]
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    made = BytesIO()
    drawn.savefig(made, format=kind, metadata=metadata)
    return write_atomically(path, lambda partial: partial.write_bytes(made.getvalue()))
