"""Axes of a tuning's figures: names, places and scales of objectives and keys."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from regard.language import phrase
from regard.reports.drawing import colour
from regard.reports.words import (
    count,
    general,
    on_split,
)
from regard.runs.files import dump_json

Floats = NDArray[np.float64]
DONE, BEST, PRUNED = 0, 1, -1
# Values of which the very bad ones may lie beyond the edge of a figure.
MANY = 10


def named(metric: str) -> str:
    """`Loss on val` of `val.loss`."""
    return on_split(metric.partition(".")[2], "val")


def short(key: str) -> str:
    """The end of a key, by which its readers know it."""
    parts = key.split(".")
    # A place in a list says nothing without the list's name.
    kept = 3 if len(parts) > 2 and parts[-2].isdigit() else 2
    return ".".join(parts[-kept:])


class Scale:
    """An axis of an objective's values, on which a few very bad ones do not flatten the rest.

    Args:
        values: of the trials.
        lower: whether less is better.
    """

    def __init__(self, values: Floats, lower: bool) -> None:
        sign = 1 if lower else -1
        costs = np.sort(sign * values[np.isfinite(values)])
        best, worst = costs[0], costs[-1]
        most = best + 1.5 * (np.quantile(costs, 0.85) - best)
        far = len(costs) >= MANY and most > best and worst - best > 2 * (most - best)
        cut = most if far else worst
        room = 0.06 * (cut - best) or 0.05 * max(abs(best), 1e-3)
        self._ends = sorted((sign * (best - room), sign * (cut + room)))
        self._edge = sign * (cut + 0.5 * room)
        self.beyond = int((costs > cut).sum())
        self._sign = sign

    def placed(self, values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Where values are drawn, and which of them at the edge, as they lie beyond it."""
        out = ~np.isfinite(values) | (self._sign * values > self._sign * self._edge)
        return np.where(out, self._edge, values), out

    def put(self, axes: Axes, axis: str = "y") -> None:
        """Let the axis reach from end to end."""
        (axes.set_ylim if axis == "y" else axes.set_xlim)(*self._ends)

    @property
    def note(self) -> str:
        """How many lie beyond the edge."""
        if not self.beyond:
            return ""
        trials = count(self.beyond, "trial")
        return phrase("{trials} beyond the edge (triangles)", trials=trials)


def places_of(column: pl.Series, own: dict[str, Any]) -> tuple[Floats, list[str]]:
    """Where trials lie along a key: at their number, or at their choice, a little apart."""
    choices = own.get("choices")
    if choices is None:
        return column.cast(pl.Float64).to_numpy(), []
    values = [plain(value) for value in column.to_list()]
    known = dict.fromkeys(values)
    names = [plain(choice) for choice in choices if plain(choice) in known]
    names += [name for name in known if name not in names]
    at = np.asarray([names.index(value) for value in values], dtype=np.float64)
    # The golden ratio spreads neighbours evenly and always alike.
    apart = 0.5 * ((np.arange(len(at)) * 0.618034) % 1 - 0.5)
    return np.asarray(at + apart, np.float64), names


def plain(value: Any) -> str:
    """A value as text, as the table of trials has those of several kinds."""
    return value if isinstance(value, str) else dump_json(value)


def brief(value: float) -> str:
    """Three digits: `0.023`, `1e−5`."""
    return general(value, 3).replace("e-0", "e-").replace("-", "−")


def logarithmic(axes: Axes) -> None:
    """Let the x axis have few ticks at powers of ten, and between them where these are few."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_ticks(*axes.dataLim.intervalx)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _ticks(low: float, high: float) -> list[float]:
    """Three to five round numbers from low to high, or of a narrow range its ends."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for between in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        found = np.multiply.outer(powers, between).ravel()
        found = found[(found >= low * 0.999) & (found <= high * 1.001)]
        if len(found) >= 3:
            return found[:: -(-len(found) // 5)].tolist()
    return [low, high] if high > low else [low]


def dots(
    axes: Axes, x: Sequence | Floats, y: Floats, tone: int, scale: Scale, size: int = 30
) -> None:
    """A dot a trial; a triangle at the edge for what lies beyond it."""
    places, out = scale.placed(np.asarray(y, float))
    x = np.asarray(x, float)
    for chosen, marker in ((~out, "o"), (out, "^" if scale._sign > 0 else "v")):
        axes.scatter(x[chosen], places[chosen], size, color=colour(tone), marker=marker,
                     alpha=1 if tone == BEST else 0.75, linewidths=0, zorder=3)  # fmt: skip
