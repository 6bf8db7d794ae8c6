"""Figures of a tuning: how it went, what mattered, and the front between two objectives."""

from typing import Any

import numpy as np
import polars as pl
from matplotlib.ticker import MaxNLocator

from regard.images.plotting import INK, shortened
from regard.language import Phrases, phrase
from regard.reports.blocks import Drawing, Drawings, Key
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.history import curve, line, whole_epochs
from regard.reports.tuning_axes import (
    BEST,
    DONE,
    PRUNED,
    Scale,
    dots,
    logarithmic,
    named,
    places_of,
    short,
)
from regard.reports.tuning_contents import TuningContents
from regard.reports.words import (
    clauses,
    count,
    decimal,
    listed,
    percent,
    said,
)

# Trials whose curves are told apart, and values of a key that have a tick each.
MOST_CURVES, MOST_TICKS = 60, 6


def history(tuning: TuningContents) -> Drawings:
    """Each objective trial by trial, and the best so far."""
    assert tuning.trials is not None
    keys = [Key(phrase("a complete trial"), DONE, "dot"), Key(phrase("the best so far"), BEST)]
    drawings = [_history(tuning, metric) for metric in tuning.metrics]
    return Drawings(drawings, [*keys, *_pruned_key(tuning.trials)])


def _history(tuning: TuningContents, metric: str) -> Drawing:
    rows = _valued(tuning, metric)
    scale = Scale(rows[metric].to_numpy(), tuning.lower(metric))
    with canvas(700, 270) as drawn:
        axes = plot(drawn, phrase("trial"), said(metric.partition(".")[2]))
        for state, tone in (("pruned", PRUNED), ("complete", DONE)):
            own = rows.filter(pl.col("state") == state)
            dots(axes, own["number"].to_numpy(), own[metric].to_numpy(), tone, scale)
        done = rows.filter(pl.col("state") == "complete").sort("number")
        pick = np.minimum if tuning.lower(metric) else np.maximum
        best = pick.accumulate(done[metric].to_numpy())
        if len(best):
            ends = [*done["number"].to_list(), rows["number"].to_numpy().max()]
            places, _ = scale.placed(np.append(best, best[-1]))
            axes.step(ends, places, where="post", color=colour(BEST), linewidth=1.8)
        scale.put(axes)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.tick_params(labelcolor=INK)
        told = (
            phrase(
                "{metric} by trial; the best so far goes from {first} to {last}",
                metric=named(metric),
                first=decimal(best[0]),
                last=decimal(best[-1]),
            )
            if len(best)
            else phrase("{metric} by trial; none is complete", metric=named(metric))
        )
        return Drawing(inline(drawn, told), named(metric), scale.note)


def curves(tuning: TuningContents) -> Drawings | None:
    """Each objective by epoch, a line a trial; the best ones on top."""
    drawings = [_curves(tuning, metric) for metric in tuning.metrics]
    kept = [drawing for drawing in drawings if drawing is not None]
    assert tuning.trials is not None
    keys = [Key(phrase("a complete trial"), DONE), Key(_best_name(tuning), BEST)]
    return Drawings(kept, [*keys, *_pruned_key(tuning.trials)]) if kept else None


def _curves(tuning: TuningContents, metric: str) -> Drawing | None:
    assert tuning.trials is not None
    lines = {}
    for row in tuning.trials.head(MOST_CURVES).iter_rows(named=True):
        if row["state"] != "failed":
            lines[row["number"]] = (row["state"], curve(tuning.epochs[row["number"]], "val",
                                    metric.partition(".")[2]))  # fmt: skip
    values = np.concatenate([np.asarray(y, float) for _, (_, y) in lines.values()] or [np.zeros(0)])
    if not values.size:
        return None
    scale = Scale(values, tuning.lower(metric))
    with canvas(440, 270) as drawn:
        axes = plot(drawn, phrase("epoch"), said(metric.partition(".")[2]))
        whole_epochs(axes)
        for number, (state, (x, y)) in sorted(lines.items(), key=lambda own: own[0] in tuning.best):
            tone, shape = (PRUNED if state == "pruned" else DONE), "thin"
            if number in tuning.best:
                tone, shape = BEST, "line"
            line(axes, x, y, tone, shape)
            if shape == "thin":
                axes.plot(x[-1:], y[-1:], "o", color=colour(tone), markersize=3, markeredgewidth=0)
        scale.put(axes)
        alt = phrase(
            "{metric} by epoch, {trials}", metric=named(metric), trials=count(len(lines), "trial")
        )
        note = phrase("a dot where a trial ended")
        if scale.beyond:
            note = clauses(note, phrase("lines that leave the figure go further"))
        return Drawing(inline(drawn, alt), named(metric), note)


def importance(tuning: TuningContents) -> Drawings | None:
    """By objective the share of its variance that each key explains."""
    drawings = [
        _bars(metric, shares)
        for metric, shares in tuning.summary.get("importance", {}).items()
        if shares
    ]
    return Drawings(drawings) if drawings else None


def _bars(metric: str, shares: dict[str, float]) -> Drawing:
    names, values = list(shares), np.asarray(list(shares.values()), float)
    with canvas(440, 30 + 30 * len(names)) as drawn:
        axes = plot(drawn, "", left=170)
        axes.grid(visible=False)
        axes.barh(range(len(names)), values, 0.55, color=colour(DONE), linewidth=0)
        for place, value in enumerate(values):
            axes.text(value + 0.012, place, percent(value, 0), va="center", color=INK)
        axes.set_yticks(range(len(names)), [shortened(short(name), 24) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 1.12 * max(values.max(), 0.1))
        axes.set_xticks([])
        axes.tick_params(labelcolor=INK)
        told = listed([f"{name} {percent(share, 0)}" for name, share in shares.items()], 20)
        alt = phrase("{metric} varies with: {shares}", metric=named(metric), shares=told)
        return Drawing(inline(drawn, alt), named(metric))


def slices(tuning: TuningContents, metric: str) -> Drawings:
    """The objective against each key, a dot a trial."""
    rows = _valued(tuning, metric)
    scale = Scale(rows[metric].to_numpy(), tuning.lower(metric))
    drawings = [_slice(tuning, rows, metric, key, scale) for key in tuning.keys]
    keys = [Key(phrase("a complete trial"), DONE, "dot"), Key(_best_name(tuning), BEST, "dot")]
    return Drawings(drawings, [*keys, *_pruned_key(rows)])


def _slice(
    tuning: TuningContents, rows: pl.DataFrame, metric: str, key: str, scale: Scale
) -> Drawing:
    own: dict[str, Any] = tuning.tuning["search"][key]
    with canvas() as drawn:
        axes = plot(drawn, shortened(short(key), 40), said(metric.partition(".")[2]))
        places, names = places_of(rows[key], own)
        for state, tone in (("pruned", PRUNED), ("complete", DONE)):
            chosen = (rows["state"] == state).to_numpy()
            dots(axes, places[chosen], rows[metric].to_numpy()[chosen], tone, scale)
        best = rows["number"].is_in(list(tuning.best)).to_numpy()
        dots(axes, places[best], rows[metric].to_numpy()[best], BEST, scale, size=52)
        if own.get("log"):
            logarithmic(axes)
        if names:
            axes.set_xticks(range(len(names)), [shortened(name, 9) for name in names])
            axes.set_xlim(-0.6, len(names) - 0.4)
        elif own.get("step") is not None and rows[key].n_unique() <= MOST_TICKS:
            axes.set_xticks(rows[key].unique().to_list())
        elif not own.get("log"):
            axes.xaxis.set_major_locator(MaxNLocator(5))
        scale.put(axes)
        axes.tick_params(labelcolor=INK)
        alt = phrase("{metric} against {key}", metric=named(metric), key=key)
        return Drawing(inline(drawn, alt), short(key))


def front(tuning: TuningContents) -> Drawings:
    """Two objectives against each other, and the trials that no other one beats."""
    one, other = tuning.metrics
    rows = tuning.of("complete")
    scales = [Scale(rows[metric].to_numpy(), tuning.lower(metric)) for metric in (one, other)]
    with canvas(480, 340) as drawn:
        axes = plot(drawn, said(one.partition(".")[2]), said(other.partition(".")[2]))
        axes.grid(visible=True, axis="x")
        x, y = (s.placed(rows[m].to_numpy())[0] for s, m in zip(scales, (one, other), strict=True))
        axes.scatter(x, y, 22, color=colour(DONE), alpha=0.55, linewidths=0)
        at = [rows["number"].to_list().index(number) for number in tuning.best]
        axes.plot(x[at], y[at], color=colour(BEST), linewidth=1.2, alpha=0.6)
        axes.scatter(x[at], y[at], 44, color=colour(BEST), linewidths=0, zorder=3)
        for step, place in enumerate(at):
            # Neighbours' numbers stand on either side, so that they are told apart.
            shift, side = ((6, 4), "left") if step % 2 == 0 else ((-6, 4), "right")
            axes.annotate(str(rows["number"][place]), (x[place], y[place]), shift, ha=side,
                          textcoords="offset points", color=INK)  # fmt: skip
        scales[0].put(axes, "x")
        scales[1].put(axes)
        axes.tick_params(labelcolor=INK)
        alt = phrase(
            "{one} and {other} of {trials}; not beaten: trials {numbers}",
            one=named(one),
            other=named(other),
            trials=count(len(rows), "trial"),
            numbers=listed([str(n) for n in tuning.best], 30),
        )
        note = phrase(_BETTER[tuning.lower(one), tuning.lower(other)])
        drawing = Drawing(inline(drawn, alt), f"{named(one)}, {named(other)}", note)
    return Drawings(
        [drawing], [Key(phrase("a trial"), DONE, "dot"), Key(phrase("the front"), BEST, "dot")]
    )


# By whether less is better across, and whether it is upward.
_BETTER: Phrases = {
    (True, True): "better is left and down",
    (True, False): "better is left and up",
    (False, True): "better is right and down",
    (False, False): "better is right and up",
}


def _valued(tuning: TuningContents, metric: str) -> pl.DataFrame:
    assert tuning.trials is not None
    return tuning.trials.filter(pl.col(metric).is_not_null())


def _pruned_key(rows: pl.DataFrame) -> list[Key]:
    return [Key(phrase("broken off"), PRUNED, "dot")] if "pruned" in rows["state"].to_list() else []


def _best_name(tuning: TuningContents) -> str:
    return phrase("the best") if len(tuning.metrics) == 1 else phrase("of the front")
