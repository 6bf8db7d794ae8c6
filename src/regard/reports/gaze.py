"""Where a run looks, in numbers: held against a map without preference and the best of all maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.bounds import marks
from regard.evaluation.gaze import (
    by_class,
    by_image,
    each_image,
    is_pooled,
    score_interval,
    score_names,
)
from regard.evaluation.ranges import range_of
from regard.evaluation.units import units_of
from regard.images.plotting import INK
from regard.language import PhraseTuple, phrase
from regard.reports.blocks import Cell, Drawing, Drawings, Key, Table
from regard.reports.contents import SplitContents
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.predictions import span
from regard.reports.words import (
    between,
    clauses,
    columns,
    count,
    decimal,
    meaning,
    percent,
    said,
    title,
    whole,
)

Floats = NDArray[np.float64]


def summary_of(split: SplitContents, method: str) -> Mapping[str, Any]:
    """The gaze part of a split's metrics; empty when there is none."""
    gaze = (split.metrics or {}).get("gaze") or {}
    return gaze.get(method) or next(iter(gaze.values()), {})


def gaze_table(scores: pl.DataFrame, summary: Mapping[str, Any], maps: str) -> Table:
    """Each score with its interval, what a uniform map gets, and what the best one would.

    The columns of the latter two are left out where no score has a region to be held against.
    """
    names, rows = score_names(by_image(scores)), []
    held_against = _held_against(scores, names)
    for name in names:
        held = marks(scores, name)
        value = (summary.get("scores") or {}).get(name)
        value = value or score_interval(scores, name).as_dict()
        told = [decimal(held.uniform), decimal(held.best)] if held else ["–", "–"]
        rows.append(
            [
                Cell(title(name), note=meaning(name)),
                Cell(decimal(value["value"]), note=between(value)),
                *(Cell(text) for text in told if held_against),
                Cell(whole(value["n"])),
                Cell(span=span(value, [held.uniform, held.best] if held else [])),
            ]
        )
    beside = columns("Uniform map#", "Best map#") if held_against else ()
    caption = phrase("Gaze scores of maps by {method}", method=maps)
    if held_against:
        caption = phrase(
            "Gaze scores of maps by {method}, beside those of a uniform map (dashed) and of the "
            "best of all maps (green)",
            method=maps,
        )
    head = (*columns("Score", "Mean and interval#"), *beside, *columns("Images#", "0 to 1"))
    return Table(head, rows, caption)


def _held_against(scores: pl.DataFrame, names: Sequence[str]) -> bool:
    """Whether any score has a uniform or a best map to be held against."""
    found = [marks(scores, name) for name in names]
    return any(m is not None and np.isfinite([m.uniform, m.best]).any() for m in found)


def distributions(scores: pl.DataFrame) -> Drawings:
    """A histogram a score, with the means of the run, of a uniform map and of the best one."""
    names = [name for name in score_names(scores) if np.isfinite(_values(scores, name)).any()]
    keys = [Key(phrase("this run"), 0, "area"), Key(phrase("mean"), 0)]
    if _held_against(scores, names):
        keys += [Key(phrase("uniform map"), 1, "dashed"), Key(phrase("best map"), 2)]
    return Drawings([_histogram(scores, name) for name in names], keys)


def _histogram(scores: pl.DataFrame, name: str) -> Drawing:
    values = _values(scores, name)
    values = values[np.isfinite(values)]
    held, mean = marks(scores, name), float(values.mean())
    with canvas() as drawn:
        axes = plot(drawn, said(name), phrase("images"))
        unit = 0 <= values.min() and values.max() <= 1
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=(1, 2, 5, 10)))
        axes.hist(values, bins=20, range=(0, 1) if unit else None, color=colour(0), alpha=0.35)
        _upright(axes, mean, 0, dashed=False)
        near = _reach(values, unit=unit)
        if held is not None:
            _upright(axes, held.uniform, 1, dashed=True, near=near)
            _upright(axes, held.best, 2, dashed=False, near=near)
        axes.tick_params(labelcolor=INK)
        told = [
            phrase("mean {mean} of images by themselves", mean=decimal(mean))
            if is_pooled(name)
            else phrase("mean {mean}", mean=decimal(mean))
        ]
        if held is not None and np.isfinite(held.uniform):
            told.append(phrase("uniform map {value}", value=decimal(held.uniform)))
        if held is not None and np.isfinite(held.best):
            best = phrase("best map {value}", value=decimal(held.best))
            seen = near[0] <= held.best <= near[1]
            told.append(best if seen else phrase("{mark}, beyond the axis", mark=best))
        note = ", ".join(told)
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
        alt = phrase(
            "{score} of {images}: {note}; half lie below {middle}, and nine in ten between {low} "
            "and {high}",
            score=title(name),
            images=count(values.size, "image"),
            note=note,
            middle=decimal(middle),
            low=decimal(low),
            high=decimal(high),
        )
        return Drawing(inline(drawn, alt), title(name), note)


def _values(scores: pl.DataFrame, name: str) -> Floats:
    """A number an image, of a segmenter the mean over its classes; none of what is pooled then."""
    images = by_image(scores)
    return each_image(images, name) if name in images.columns else np.full(1, np.nan)


def _reach(values: Floats, *, unit: bool) -> tuple[float, float]:
    """From where to where a mark is drawn: one far away would squeeze the bars to a line."""
    low, high = (0.0, 1.0) if unit else (float(values.min()), float(values.max()))
    span = 0.0 if unit else max(high - low, abs(high))
    return low - span, high + span


def _upright(
    axes: Axes,
    x: float,
    tone: int,
    *,
    dashed: bool,
    near: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    if np.isfinite(x) and near[0] <= x <= near[1]:
        axes.axvline(x, color=colour(tone), linewidth=1.8, linestyle=(0, (4, 2)) if dashed else "-")


# The score that is held against correctness and label.
_SHOWN = "energy"


def against_correctness(scores: pl.DataFrame) -> Sequence[Table | Drawings]:
    """Whether images that are classified correctly are also looked at in the right place."""
    kept = scores.filter(pl.col(_SHOWN).cast(pl.Float64).is_finite())
    if kept.is_empty():
        return []
    right, wrong, units = map(phrase, _OF_MAPS if by_class(scores) else _OF_IMAGES)
    groups = {
        right: kept.filter(pl.col("correct")),
        wrong: kept.filter(~pl.col("correct")),
    }
    rows = [_mean_row(label, part) for label, part in groups.items()]
    labels = sorted(kept["label"].unique().to_list())
    if len(labels) <= 12:
        rows += [
            _mean_row(phrase("label {label}", label=x), kept.filter(pl.col("label") == x))
            for x in labels
        ]
    table = Table(
        (
            phrase("{score} of {units}", score=title(_SHOWN), units=units),
            f"{units.capitalize()}#",
            *columns("Mean#", "95 % interval#", "0 to 1"),
        ),
        rows,
        phrase("{score} against correctness and label", score=title(_SHOWN)),
    )
    if not all(np.isfinite(each_image(part, _SHOWN)).any() for part in groups.values()):
        return [table]
    keys = [Key(label, tone, ("line", "dashed")[tone]) for tone, label in enumerate(groups)]
    return [Drawings([_cumulative(groups)], keys), table]


# Of what is right, of what is wrong, and what is counted.
_OF_IMAGES: PhraseTuple = ("classified correctly", "misclassified", "images")
_OF_MAPS: PhraseTuple = ("labels that are predicted", "labels that are missed", "maps")


def _mean_row(label: str, scores: pl.DataFrame) -> list[Cell]:
    value = bootstrap_interval(
        each_image(scores, _SHOWN), units=units_of(scores), within=range_of(_SHOWN)
    ).as_dict()
    texts = [whole(len(scores)), decimal(value["value"]), between(value)]
    return [Cell(label), *(Cell(text) for text in texts), Cell(span=span(value))]


def _cumulative(groups: Mapping[str, pl.DataFrame]) -> Drawing:
    with canvas(340, 250) as drawn:
        axes = plot(drawn, said(_SHOWN), phrase("share of images at or below"))
        told = []
        for tone, (label, part) in enumerate(groups.items()):
            values = np.sort(each_image(part, _SHOWN))
            if not values.size:
                continue
            places = np.unique(np.linspace(0, values.size - 1, min(values.size, 300)).astype(int))
            shares = (places + 1) / values.size
            dash = (0, (4, 2)) if tone else "-"
            axes.step(values[places], shares, where="post", color=colour(tone), ls=dash, lw=1.8)
            told.append(
                phrase(
                    "half of those {group} lie below {median}",
                    group=label,
                    median=decimal(np.median(values)),
                )
            )
        axes.set_ylim(-0.03, 1.03)
        axes.tick_params(labelcolor=INK)
        alt = phrase(
            "Share of images at or below each {score}: {groups}",
            score=said(_SHOWN),
            groups=clauses(*told),
        )
        return Drawing(
            inline(drawn, alt), phrase("{score}, right against wrong", score=title(_SHOWN))
        )


def gaze_words(scores: pl.DataFrame, summary: Mapping[str, Any], split: str) -> str:
    """Energy on a split in one sentence, with what it is to be held against."""
    values = (summary.get("scores") or {}).get("energy")
    values = values or score_interval(scores, "energy").as_dict()
    held = marks(scores, "energy")
    if held is None or not np.isfinite(held.uniform):
        text = "On {split} no image has a region that its map could be held against."
        return phrase(text, split=split)
    text = phrase(
        "On {split}, {energy} of a map's energy lies in the region (mean over {images}, interval "
        "{interval}).",
        split=split,
        energy=percent(values["value"]),
        images=count(values["n"], "image"),
        interval=between(values, percent),
    )
    beside = phrase(
        "A uniform map would have {uniform} there, the best of all maps {best}."
        if np.isfinite(held.best)
        else "A uniform map would have {uniform} there.",
        uniform=percent(held.uniform),
        best=percent(held.best),
    )
    dead = float(scores["dead"].mean() or 0)  # type: ignore[arg-type]
    if not dead:
        return f"{text} {beside}"
    dead_words = phrase(
        "{share} of the maps are zero everywhere and count for nothing.", share=percent(dead)
    )
    return f"{text} {beside} {dead_words}"
