"""Figures that set a study's arms side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from numpy.typing import NDArray

from regard.evaluation.gaze import each_image
from regard.images.plotting import INK, MUTED, shortened
from regard.language import phrase
from regard.reports.blocks import Drawing, Drawings, Key
from regard.reports.drawing import STEPS, canvas, colour, inline, plot, widen
from regard.reports.history import LOOKS, Curve, calm, curve, line, measured, one_loss, whole_epochs
from regard.reports.study_contents import Done, StudyContents
from regard.reports.study_words import metric_of, over_images, shown_interval
from regard.reports.words import between, decimal, listed, on_split, real, said, title

Floats = NDArray[np.float64]
# Uniform maps of arms that differ by less have one line.
_ALIKE = 0.01


def dots(study: StudyContents) -> Drawings:
    """For each main metric the arms one above the other: seeds as dots, mean and interval."""
    mean = phrase(
        "mean and interval over images" if over_images(study) else "mean and interval over seeds"
    )
    keys = [Key(phrase("a seed"), -1, "dot"), Key(mean, 0)]
    return Drawings([_dots(study, name) for name in study.metrics], keys)


def _dots(study: StudyContents, name: str) -> Drawing:
    metric, split = metric_of(name)
    with canvas(340, 64 + 34 * len(study.arms)) as drawn:
        longest = max(len(arm) for arm in study.arms)
        axes = plot(drawn, "", left=min(150, 16 + 7 * longest))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        told = [_arm_dots(axes, study, arm, name, y) for y, arm in enumerate(study.arms)]
        axes.set_yticks(range(len(study.arms)), [shortened(arm, 20) for arm in study.arms])
        axes.set_ylim(len(study.arms) - 0.5, -0.5)
        axes.tick_params(labelcolor=INK)
        axes.locator_params(axis="x", nbins=5, steps=STEPS)
        axes.margins(x=0.06)
        widen(axes, "x")
        name = on_split(metric, split)
        alt = phrase("{metric}: {values}", metric=name, values=listed(told, 20))
        return Drawing(inline(drawn, alt), name)


def _arm_dots(axes: Axes, study: StudyContents, arm: str, name: str, y: int) -> str:
    values = _of_seeds(study, arm, name)
    found = shown_interval(study, study.summary.get("arms", {}).get(arm, {}).get(name, {}))
    low, middle, high = (real(found.get(key)) for key in ("low", "value", "high"))
    tone = colour(study.tone(arm))
    axes.scatter(values, np.full(len(values), y + 0.22), 14, color=tone, alpha=0.6, linewidths=0)
    axes.plot([low, high], [y - 0.08] * 2, color=tone, linewidth=2.2, solid_capstyle="round")
    axes.scatter([middle], [y - 0.08], 44, color=tone, linewidths=0, zorder=3)
    return f"{arm} {decimal(middle)} ({between(found)})"


def _of_seeds(study: StudyContents, arm: str, name: str) -> Floats:
    table = study.by_seed
    if table is None or name not in table.columns:
        return np.zeros(0)
    rows = table.filter((pl.col("arm") == arm) & (pl.col("status") == "done"))
    values = rows[name].cast(pl.Float64).drop_nulls().to_numpy()
    return values[np.isfinite(values)]


def arm_keys(study: StudyContents) -> list[Key]:
    """The legend of the arms."""
    return [Key(arm, study.tone(arm), arm_shape(study, arm)) for arm in study.arms]


def arm_shape(study: StudyContents, arm: str) -> str:
    """How an arm's lines are drawn, so that lines on top of each other are all seen.

    The baseline, drawn first, is wide and pale; of the others every next one is dashed or dotted.
    """
    if arm == study.baseline:
        return "wide"
    return ("line", "dashed", "dotted")[(study.arms.index(arm) - 1) % 3]


def overlaid(study: StudyContents) -> Drawings | None:
    """Val by epoch: the mean over seeds of every arm, and each seed as a thin line."""
    names = measured(_records(study))
    if "cross_entropy" in names and "loss" in names:
        names.remove("loss")
    drawings = [_overlaid(study, name) for name in names]
    drawings = [drawing for drawing in drawings if drawing is not None]
    return Drawings(drawings, arm_keys(study)) if drawings else None


def parted_losses(study: StudyContents) -> bool:
    """Whether the loss of an arm is more than the cross-entropy, and that is drawn in its place."""
    records = _records(study)
    return "cross_entropy" in measured(records) and not one_loss(records)


def _records(study: StudyContents) -> list[dict[str, Any]]:
    return [record for run in study.runs for record in run.contents.epochs]


def _overlaid(study: StudyContents, name: str) -> Drawing | None:
    told = []
    with canvas() as drawn:
        axes = plot(drawn, phrase("epoch"))
        whole_epochs(axes)
        for arm in study.arms:
            curves = [curve(run.contents.epochs, "val", name) for run in study.of(arm)]
            curves = [(x, y) for x, y in curves if y]
            if not curves:
                continue
            for x, y in curves if len(curves) > 1 else []:
                line(axes, x, y, study.tone(arm), "thin")
            x, y = mean_curve(curves)
            line(axes, x, y, study.tone(arm), arm_shape(study, arm))
            told.append(phrase("{arm} ends at {value}", arm=arm, value=decimal(y[-1])))
        if not told:
            return None
        calm(axes, name)
        alt = phrase(
            "{metric} on val by epoch, means over seeds: {values}",
            metric=title(name),
            values=listed(told, 20),
        )
        return Drawing(inline(drawn, alt), title(name), phrase("on val"))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over seeds at every epoch that all of them reached."""
    common = sorted(set.intersection(*(set(x) for x, _ in curves)))
    values = [dict(zip(x, y, strict=True)) for x, y in curves]
    if not common:
        return curves[0]
    return common, [float(np.mean([own[epoch] for own in values])) for epoch in common]


def gaze_by_arm(study: StudyContents) -> Drawings | None:
    """How a score is spread over images in each arm, each image's mean over the seeds."""
    drawings = []
    for name in study.metrics:
        metric, split = metric_of(name)
        values = {arm: image_means(study.of(arm), split, metric) for arm in study.arms}
        values = {arm: x for arm, x in values.items() if x is not None and x.size}
        if values:
            drawings.append(_spread(study, values, metric, split))
    if not drawings:
        return None
    return Drawings(drawings, arm_keys(study))


def image_means(runs: Sequence[Done], split: str, score: str) -> Floats | None:
    """Each image's mean over the seeds where its score is defined; None without such a score."""
    parts = []
    for run in runs:
        found = run.contents.split(split)
        if found is None or found.scores is None or score not in found.scores.columns:
            continue
        values = found.scores.select("index", pl.Series(score, each_image(found.scores, score)))
        parts.append(values.filter(pl.col(score).is_finite()))
    if not parts:
        return None
    return pl.concat(parts).group_by("index").mean()[score].to_numpy()


def _spread(study: StudyContents, values: dict[str, Floats], metric: str, split: str) -> Drawing:
    told = []
    with canvas(340, 240) as drawn:
        axes = plot(drawn, said(metric), phrase("share of images at or below"))
        for arm, own in values.items():
            ordered = np.sort(own)
            places = np.unique(np.linspace(0, own.size - 1, min(own.size, 250)).astype(int))
            tone, shares = colour(study.tone(arm)), (places + 1) / own.size
            look = LOOKS[arm_shape(study, arm)]
            axes.step(ordered[places], shares, where="post", color=tone, **look)
            told.append(f"{arm} {decimal(np.median(own))}")
        note = _held_against(axes, study, list(values), metric, split)
        axes.set_ylim(-0.03, 1.03)
        axes.tick_params(labelcolor=INK)
        alt = phrase(
            "Share of images at or below each {score} on {split}; medians: {values}",
            score=said(metric),
            split=split,
            values=listed(told, 20),
        )
        return Drawing(inline(drawn, alt), on_split(metric, split), note)


def _held_against(
    axes: Axes, study: StudyContents, arms: Sequence[str], metric: str, split: str
) -> str:
    """A dotted line for a uniform map: one, or one an arm where what is scored differs by arm."""
    uniform = {arm: _uniform(study, arm, metric, split) for arm in arms}
    known = {arm: value for arm, value in uniform.items() if np.isfinite(value)}
    if not known:
        return ""
    alike = max(known.values()) - min(known.values()) < _ALIKE
    lines = [(MUTED, next(iter(known.values())))]
    if not alike:
        lines = [(colour(study.tone(arm)), value) for arm, value in known.items()]
    for tone, value in lines:
        axes.axvline(value, color=tone, linewidth=1, linestyle=(0, (2, 3)))
    if alike:
        return phrase("dotted: a uniform map, {value}", value=decimal(lines[0][1]))
    return phrase("dotted: a uniform map, over the maps that each arm has")


def _uniform(study: StudyContents, arm: str, metric: str, split: str) -> float:
    """What a uniform map gets, over the images that any run of the arm has a score of."""
    for row in study.summary.get("gaze", ()):
        if row["arm"] == arm and metric_of(row["metric"]) == (metric, split):
            return real(row["uniform"])
    return np.nan
