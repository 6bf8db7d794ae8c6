"""Saliency methods held against each other: which one reads this net best, and how surely."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from regard.evaluation.bounds import marks
from regard.evaluation.direction import lower_is_better
from regard.evaluation.standings import (
    KINDS,
    Standing,
    all_standings,
    dead_share,
    leaders,
    methods_of,
)
from regard.images.plotting import INK, MUTED, shortened
from regard.language import phrase
from regard.reports.blocks import Block, Cell, Drawing, Drawings, Heading, Key, Note, Table, Text
from regard.reports.drawing import canvas, colour, inline, plot
from regard.reports.words import (
    NONE,
    between,
    clauses,
    columns,
    count,
    decimal,
    listed,
    p_value,
    percent,
    said,
    signed,
    title,
    whole,
)
from regard.scores.base import SCORES

DEAD = 0.05
Found = Mapping[str, Sequence[Standing]]


def methods_compared(scores: pl.DataFrame) -> list[Block]:
    """Methods ranked by every score; nothing unless two methods or more have one.

    Args:
        scores: of `scores/SPLIT.parquet`, rows of all methods.
    """
    found = all_standings(scores)
    if not found:
        return []
    keys = [
        Key(phrase("best, or not told apart from it"), 0, "dot"),
        Key(phrase("behind the best"), -1, "dot"),
    ]
    return [
        Heading(phrase("Methods compared")),
        Text(_words(found)),
        *_dead(scores),
        _overview(scores, found),
        Drawings([_dots(scores, name, own) for name, own in found.items()], keys),
        _differences(found),
    ]


def _words(found: Found) -> list[str]:
    """How often each method is best or level with the best, kind by kind."""
    told = []
    for kind in ("region", "model"):
        names = [name for name in found if SCORES[name].asks == kind]
        if names:
            led = [
                phrase("{method} by {n}", method=method, n=n) for method, n in leaders(found, names)
            ]
            text = phrase(
                "{question}? Of {scores} ({names}), a method is best or not told apart from the "
                "best: {leaders}.",
                question=phrase(KINDS[kind]),
                scores=count(len(names), "score"),
                names=listed([said(name) for name in names], 20),
                leaders=listed(led, 30),
            )
            told.append(text)
    told.append(
        phrase(
            "A method is told apart from the best if the difference over the same images, tested "
            "by the paired bootstrap, has p below 0.05 after Holm's correction for the methods of "
            "that score. The best is the best on these very images, so a lead by a hair may not "
            "hold on others; and a difference can be sure and yet too small to matter."
        )
    )
    return told


def _dead(scores: pl.DataFrame) -> list[Note]:
    """A warning where a method is measured on fewer images than it was given."""
    shares = {method: dead_share(scores, method) for method in methods_of(scores)}
    many = [f"{method} ({percent(share)})" for method, share in shares.items() if share > DEAD]
    if not many:
        return []
    return [
        Note(
            phrase(
                "Maps that are zero everywhere have no score, and there are many by {methods}. "
                "Methods are compared on the images that all of them score, which may be the "
                "easier ones; a method that leaves more than half without a score is left out.",
                methods=listed(many, 30),
            )
        )
    ]


def _overview(scores: pl.DataFrame, found: Found) -> Table:
    methods = methods_of(scores)
    rows = []
    for name, own in found.items():
        by_method = {standing.method: standing for standing in own}
        head = Cell(title(name), note=_better(name))
        cells = [_cell(by_method.get(method)) for method in methods]
        rows.append([head, Cell(whole(own[0].interval.n)), *cells])
    dead = [Cell(percent(dead_share(scores, method))) for method in methods]
    rows.append([Cell(title("dead_maps"), note=phrase("of all images")), Cell(), *dead])
    caption = phrase(
        "Scores of the images that all methods score, with 95 % intervals; coloured: best, or not "
        "told apart from it"
    )
    head = (*columns("Score", "Images#"), *(f"{method}#" for method in methods))
    return Table(head, rows, caption)


def _cell(standing: Standing | None) -> Cell:
    if standing is None:
        return Cell(NONE)
    value = standing.interval.as_dict()
    return Cell(decimal(value["value"]), between(value), mark="good" if standing.leads else "")


def _better(name: str) -> str:
    return phrase("lower is better") if lower_is_better(name) else phrase("higher is better")


def _dots(scores: pl.DataFrame, name: str, own: Sequence[Standing]) -> Drawing:
    """The methods one above the other, the best on top."""
    names = [standing.method for standing in own]
    with canvas(300, 46 + 24 * len(own)) as drawn:
        axes = plot(drawn, "", left=min(150, 16 + 7 * max(map(len, names))))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        told = [_dot(axes, standing, y) for y, standing in enumerate(own)]
        first = scores.filter(pl.col("method") == methods_of(scores)[0])
        note, held = _better(name), marks(first, name)
        if held is not None and np.isfinite(held.uniform):
            axes.axvline(held.uniform, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
            dotted = phrase("dotted: a uniform map, {value}", value=decimal(held.uniform))
            note = clauses(note, dotted)
        axes.set_yticks(range(len(own)), [shortened(method, 20) for method in names])
        axes.set_ylim(len(own) - 0.4, -0.6)
        axes.tick_params(labelcolor=INK)
        axes.locator_params(axis="x", nbins=4)
        alt = phrase(
            "{score} by method, the best first: {values}; {note}",
            score=title(name),
            values=listed(told, 30),
            note=note,
        )
        return Drawing(inline(drawn, alt), title(name), note)


def _dot(axes: Axes, standing: Standing, y: int) -> str:
    tone, found = colour(0 if standing.leads else -1), standing.interval
    axes.plot([found.low, found.high], [y, y], color=tone, lw=2.2, solid_capstyle="round")
    axes.scatter([found.value], [y], 38, color=tone, linewidths=0, zorder=3)
    return f"{standing.method} {decimal(found.value)} ({between(found.as_dict())})"


def _differences(found: Found) -> Table:
    rows = [
        _row(name, own[0], standing)
        for name, own in found.items()
        for standing in own
        if standing.behind is not None
    ]
    head = columns("Method − the best", "Difference#", "Corrected p#", "Verdict")
    return Table(
        head, rows, phrase("Paired differences to the best method, over images"), folded=True
    )


def _row(name: str, best: Standing, standing: Standing) -> list[Cell]:
    assert standing.behind is not None
    value = standing.behind.difference.as_dict()
    verdict = (
        Cell(phrase("not told apart"), mark="quiet")
        if standing.leads
        else Cell(phrase("behind"), mark="bad")
    )
    return [
        Cell(f"{standing.method} − {best.method}", note=said(name)),
        Cell(signed(value["value"]), note=between(value, signed)),
        Cell(p_value(standing.p_value)),
        verdict,
    ]
