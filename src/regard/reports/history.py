"""How training went, from the log: one small figure a number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from regard.images.plotting import INK, MUTED
from regard.language import phrase
from regard.reports.blocks import Drawing, Drawings, Key
from regard.reports.contents import RunContents
from regard.reports.drawing import canvas, colour, inline, plot, widen
from regard.reports.words import clauses, decimal, listed, real, title

_LOSS, _ALONE, _TERM = "loss", "cross_entropy", "loss."
_FIRST = (_LOSS, _ALONE)
# Relative; the loss of val and its cross-entropy are rounded each by itself.
_SAME = 1e-5
_THEN = ("accuracy", "map", "mean_iou", "mean_dice", "balanced_accuracy", "f1_macro")
Curve = tuple[list[int], list[float]]
# How lines are drawn, by their shape in a legend; lines that meet are all seen.
LOOKS: dict[str, dict[str, Any]] = {
    "line": {"linewidth": 1.8, "linestyle": "-"},
    "dashed": {"linewidth": 1.8, "linestyle": (0, (4, 2))},
    "dotted": {"linewidth": 2.2, "linestyle": (0, (1, 1.4))},
    "wide": {"linewidth": 4.5, "linestyle": "-", "alpha": 0.6},
    "thin": {"linewidth": 0.8, "linestyle": "-", "alpha": 0.45},
}
# The least that an axis of shares spans: noise of a few images does not fill the figure.
_LEAST_SPAN = 0.25
_UNBOUNDED = ("loss", "cross_entropy", "energy_gain")


def learning_curves(run: RunContents) -> Drawings | None:
    """Train and val by epoch, the best epoch marked; None without a finished epoch."""
    names = measured(run.epochs)
    if not names:
        return None
    if one_loss(run.epochs):
        names.remove("cross_entropy")
    drawings = [_of_run(run, name) for name in names]
    keys = [Key("train", 0), Key("val", 1, "dashed")]
    if run.best_epoch is not None:
        keys.append(Key(phrase("best epoch"), -1, "dotted"))
    return Drawings(drawings, keys)


def measured(epochs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The numbers in an epoch's record: losses, then rates, then gaze scores."""
    found: dict[str, None] = {}
    for record in epochs:
        for split in ("val", "train"):
            found |= dict.fromkeys(record.get(split, {}))
    terms = [name for name in found if name.startswith(_TERM)]
    named = [*_FIRST, *terms, *_THEN]
    return [n for n in named if n in found] + [n for n in found if n not in named]


def curve(epochs: Sequence[Mapping[str, Any]], split: str, name: str) -> Curve:
    """Epochs and values where they are defined."""
    pairs = [(r["epoch"], real(r[split][name])) for r in epochs if name in r.get(split, {})]
    kept = [(epoch, value) for epoch, value in pairs if np.isfinite(value)]
    return [epoch for epoch, _ in kept], [value for _, value in kept]


def one_loss(epochs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the loss is cross-entropy alone, so that either tells the other."""
    values = [own for record in epochs for own in (record.get("train", {}), record.get("val", {}))]
    both = [(real(own[_LOSS]), real(own[_ALONE])) for own in values if {_LOSS, _ALONE} <= {*own}]
    return bool(both) and bool(np.allclose(*zip(*both, strict=True), rtol=_SAME, equal_nan=True))


def _of_run(run: RunContents, name: str) -> Drawing:
    with canvas() as drawn:
        axes = plot(drawn, phrase("epoch"))
        whole_epochs(axes)
        if run.best_epoch is not None:
            axes.axvline(run.best_epoch, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        said = []
        for tone, split in enumerate(("train", "val")):
            x, y = curve([*([run.untrained] if run.untrained else []), *run.epochs], split, name)
            line(axes, x, y, tone, "line" if split == "train" else "dashed")
            if y:
                told = phrase(
                    "{split} from {first} to {last}",
                    split=split,
                    first=decimal(y[0]),
                    last=decimal(y[-1]),
                )
                said.append(told)
        calm(axes, name)
        what = phrase(
            "{metric} over {epochs} epochs: {ends}",
            metric=title(name),
            epochs=len(run.epochs),
            ends=listed(said),
        )
        note = clauses(best_value(run, name), _parts(run) if name == _LOSS else "")
        return Drawing(inline(drawn, what), title(name), note)


def _parts(run: RunContents) -> str:
    """What the loss is the sum of."""
    if one_loss(run.epochs):
        return phrase("cross-entropy alone")
    terms = [{n for r in run.epochs for n in r.get(split, {}) if n.startswith(_TERM)}
             for split in ("train", "val")]  # fmt: skip
    if terms[0] - terms[1] and any("val" in record for record in run.epochs):
        return phrase("cross-entropy and the terms that follow, of which val has not all")
    return phrase("cross-entropy and the terms that follow") if terms[0] else ""


def best_value(run: RunContents, name: str) -> str:
    """What val had at the best epoch, in words."""
    for record in run.epochs:
        if record["epoch"] == run.best_epoch and name in record.get("val", {}):
            value = decimal(record["val"][name])
            return phrase("val {value} at the best epoch", value=value)
    return ""


def line(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    tone: int,
    shape: str = "line",
) -> None:
    """A series in one of `LOOKS`; with few points, or one alone, each is a dot too."""
    axes.plot(
        x,
        y,
        color=colour(tone),
        **LOOKS[shape],
        marker="o" if len(x) == 1 or (len(x) <= 12 and shape != "thin") else "",
        markersize=6.5 if shape == "wide" else 4,
        markeredgewidth=0,
    )


def calm(axes: Axes, name: str) -> None:
    """Keep an axis from being drawn so large that noise looks like a change."""
    low, high = axes.dataLim.intervaly
    if name.startswith(_TERM) or name in _UNBOUNDED or not 0 <= low <= high <= 1:
        widen(axes, "y")
        return
    span = max(_LEAST_SPAN, 1.1 * (high - low))
    start = min(max(0.0, (low + high - span) / 2), 1 - min(span, 1))
    room = 0.02 * span  # for dots at the very edge
    axes.set_ylim(max(start, 0) - room, min(start + span, 1) + room)


def whole_epochs(axes: Axes) -> None:
    """Ticks at whole numbers, however few epochs there were."""
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.tick_params(axis="both", labelcolor=INK)
