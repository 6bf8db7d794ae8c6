"""How training went, from the log: one small figure a number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from regard.data.plotting import INK, MUTED
from regard.reports.blocks import Drawing, Drawings, Key
from regard.reports.contents import RunContents
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.words import decimal, listed, real, title

_FIRST = ("loss", "cross_entropy")
_THEN = ("accuracy", "balanced_accuracy", "f1")
Curve = tuple[list[int], list[float]]


def learning_curves(run: RunContents) -> Drawings | None:
    """Train and val by epoch, the best epoch marked; None without a finished epoch."""
    names = measured(run.epochs)
    if not names:
        return None
    drawings = [_of_run(run, name) for name in names]
    keys = [Key("train", 0, "dashed"), Key("val", 1)]
    if run.best_epoch is not None:
        keys.append(Key("best epoch", -1, "dashed"))
    return Drawings(drawings, keys)


def measured(epochs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The numbers in an epoch's record: losses, then rates, then gaze scores."""
    found: dict[str, None] = {}
    for record in epochs:
        for split in ("val", "train"):
            found |= dict.fromkeys(record.get(split, {}))
    terms = [name for name in found if name.startswith("loss.")]
    named = [*_FIRST, *terms, *_THEN]
    return [n for n in named if n in found] + [n for n in found if n not in named]


def curve(epochs: Sequence[Mapping[str, Any]], split: str, name: str) -> Curve:
    """Epochs and values where they are defined."""
    pairs = [(r["epoch"], real(r[split][name])) for r in epochs if name in r.get(split, {})]
    kept = [(epoch, value) for epoch, value in pairs if np.isfinite(value)]
    return [epoch for epoch, _ in kept], [value for _, value in kept]


def _of_run(run: RunContents, name: str) -> Drawing:
    with canvas() as drawn:
        axes = plot(drawn, "epoch")
        whole_epochs(axes)
        if run.best_epoch is not None:
            axes.axvline(run.best_epoch, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        said = []
        for tone, split in enumerate(("train", "val")):
            x, y = curve(run.epochs, split, name)
            line(axes, x, y, tone, dashed=split == "train")
            if y:
                said.append(f"{split} from {decimal(y[0])} to {decimal(y[-1])}")
        what = f"{title(name)} over {len(run.epochs)} epochs: {listed(said)}"
        return Drawing(inline(drawn, what), title(name), best_value(run, name))


def best_value(run: RunContents, name: str) -> str:
    """What val had at the best epoch, in words."""
    for record in run.epochs:
        if record["epoch"] == run.best_epoch and name in record.get("val", {}):
            return f"val {decimal(record['val'][name])} at the best epoch"
    return ""


def line(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    tone: int,
    *,
    dashed: bool = False,
    thin: bool = False,
) -> None:
    """A series; with few points, or one alone, each is a dot too."""
    axes.plot(
        x,
        y,
        color=colour(tone),
        linewidth=0.8 if thin else 1.8,
        alpha=0.45 if thin else 1,
        linestyle=(0, (4, 2)) if dashed else "-",
        marker="o" if len(x) == 1 or (len(x) <= 12 and not thin) else "",
        markersize=4,
        markeredgewidth=0,
    )


def whole_epochs(axes: Axes) -> None:
    """Ticks at whole numbers, however few epochs there were."""
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.tick_params(axis="both", labelcolor=INK)
