"""Tables of a comparison of two runs: differences with intervals, and what became of the images."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from regard.evaluation.comparison import OUTCOMES
from regard.evaluation.direction import lower_is_better
from regard.language import Phrases, phrase
from regard.reports.blocks import Cell, Span, Table
from regard.reports.words import (
    between,
    columns,
    decimal,
    meaning,
    p_value,
    percent,
    real,
    signed,
    title,
    whole,
    why_none,
)

Told = Mapping[str, Any]
# Not shares: their differences are on no common axis with the others.
OFF_AXIS = ("energy_gain", "log_loss")
# The colours of readings; the others are quiet.
MARKS = {"better": "good", "worse": "bad"}


def differences(other: Told) -> dict[str, Told]:
    """Accuracy and each score: `before`, `after`, `difference` and `p_value`."""
    accuracy = other["accuracy"]
    own = {end: accuracy[end]["value"] for end in ("before", "after")}
    own |= {"difference": accuracy["difference"], "p_value": accuracy["p_value"]}
    return {"accuracy": own, **other["scores"]}


READINGS: Phrases = {
    "better": "better",
    "worse": "worse",
    "no difference shown": "no difference shown",
    "narrower": "lower, of narrower maps",
}


def reading(name: str, found: Told, beside: Mapping[str, Told] | None = None) -> str:
    """`better`, `worse`, or that the interval, or p where there is one, shows no difference.

    Of a few images the interval is too narrow, and p says so. A MAGTR that falls while more of the
    energy is in the region is no worse gaze but a narrower one, where `beside` has both scores.
    """
    if name == "magtr" and beside and "energy" in beside:
        words = reading(name, found), reading("energy", beside["energy"])
        return "narrower" if words == ("worse", "better") else words[0]
    difference, p = found["difference"], found.get("p_value")
    value, low, high = (real(difference[key]) for key in ("value", "low", "high"))
    # Without an interval, as no image differs from another, p alone may tell.
    shown = p is not None if math.isnan(low) else not low <= 0 <= high
    if not shown or (p is not None and p >= 1 - difference["level"]):
        return "no difference shown"
    return "better" if (value < 0) == lower_is_better(name) else "worse"


def differences_table(summary: Told, other: Told) -> Table:
    """Accuracy and each score of both runs, the difference with its interval, and p."""
    rows = [
        (Cell(title(name), note=meaning(name)), name, found)
        for name, found in differences(other).items()
    ]
    return difference_rows(summary, other, rows, differences_caption(), images=True)


def difference_rows(
    summary: Told,
    other: Told,
    rows: Sequence[tuple[Cell, str, Told]],
    caption: str,
    *,
    images: bool = False,
) -> Table:
    """Numbers of both runs with their differences, drawn on one axis.

    Args:
        summary: of the comparison.
        other: what is held against the first run.
        rows: of each its title, the metric, and `before`, `after`, `difference` and `p_value`.
        caption: of the table.
        images: whether to say of how many images each difference is.
    """
    reach = reach_of([found["difference"] for _, name, found in rows if name not in OFF_AXIS])
    beside = {name: found for _, name, found in rows}
    told = [
        [head, *_cells(name, found, reading(name, found, beside), reach, images=images)]
        for head, name, found in rows
    ]
    names = f"{summary['first']['name']}#", f"{other['name']}#"
    heads = ("", *names, *columns("Difference#"), axis_of(reach), *columns("p#"))
    heads += columns("Images#", "Reading") if images else columns("Reading")
    return Table(heads, told, caption)


def _cells(name: str, found: Told, word: str, reach: float, *, images: bool) -> list[Cell]:
    difference = found["difference"]
    return [
        Cell(decimal(found["before"])),
        Cell(decimal(found["after"])),
        Cell(signed(difference["value"]), note=why_none(difference) or between(difference, signed)),
        Cell(span=None if name in OFF_AXIS else span_of(difference, reach)),
        Cell(p_value(found["p_value"])),
        *([Cell(whole(difference["n"]))] if images else []),
        Cell(phrase(READINGS[word]), mark=MARKS.get(word, "quiet")),
    ]


def titled(text: str, name: str) -> Cell:
    """A row's title, and whether less of its metric is better."""
    return Cell(text, note=phrase("lower is better") if lower_is_better(name) else "")


def differences_caption() -> str:
    """Of a table of differences, with a column that draws them."""
    return phrase(
        "Differences on the same images, with 95 % intervals over images; the dashed line is no "
        "difference"
    )


def axis_of(reach: float) -> str:
    """The ends of the column that draws differences."""
    return phrase("{low} to {high}", low=signed(-reach, 2), high=signed(reach, 2))


def reach_of(differences: list[Told]) -> float:
    """Half the width of an axis that all intervals fit in, in steps of 0.05."""
    ends = [abs(real(found[key])) for found in differences for key in ("low", "value", "high")]
    return max(0.05, math.ceil(max((x for x in ends if math.isfinite(x)), default=0) * 20) / 20)


def span_of(difference: Told, reach: float) -> Span | None:
    """A difference on an axis from -reach to reach."""
    value, low, high = (real(difference[key]) for key in ("value", "low", "high"))
    if not math.isfinite(value):
        return None
    low, high = (value if math.isnan(x) else x for x in (low, high))
    low, value, high = ((x / reach + 1) / 2 for x in (low, value, high))
    return Span(low, value, high, [0.5])


def outcomes_table(pairs: pl.DataFrame, summary: Told, other: Told, *, sets: bool = False) -> Table:
    """How many images stayed and became right or wrong, and how each kind is looked at.

    Args:
        pairs: a row an image, of arms one a seed.
        summary: of the comparison.
        other: what is held against the first.
        sets: whether whole sets of labels are right or wrong.
    """
    scored = "magtr_before" in pairs.columns
    rows = []
    for name in OUTCOMES:
        number = other["outcomes"][name]
        cells = [Cell(whole(number)), Cell(percent(number / max(len(pairs), 1)))]
        own = pairs.filter(pl.col("outcome") == name)
        cells += [_means(own, score) for score in ("energy", "magtr") if scored]
        rows.append([Cell(phrase(_BECAME[name])), *cells])
    head = columns("Outcome", "Images#", "Share#")
    head += (f"{title('energy')}#", f"{title('magtr')}#") if scored else ()
    caption = phrase(
        _CAPTIONS[sets, "seed" in pairs.columns],
        first=summary["first"]["name"],
        other=other["name"],
    )
    if scored:
        caption = phrase("{caption}, with their mean scores", caption=caption)
    return Table(head, rows, caption)


# By whether it is of sets, and counts an image once a seed.
_CAPTIONS: Phrases = {
    (False, False): "What became of the images from {first} to {other}",
    (False, True): "What became of the images, once a seed, from {first} to {other}",
    (True, False): "What became of whole sets from {first} to {other}",
    (True, True): "What became of whole sets, once a seed, from {first} to {other}",
}
_BECAME: Phrases = {
    "stays_right": "Stays right",
    "right_becomes_wrong": "Right becomes wrong",
    "wrong_becomes_right": "Wrong becomes right",
    "stays_wrong": "Stays wrong",
}


def _means(pairs: pl.DataFrame, score: str) -> Cell:
    before, after = (f"{score}_{end}" for end in ("before", "after"))
    both = pairs.select(before, after).filter(
        pl.all_horizontal(pl.col(before, after).is_finite().fill_null(value=False))
    )
    if both.is_empty():
        return Cell(decimal(None))
    return Cell(" → ".join(decimal(x, 2) for x in both.mean().row(0)))
