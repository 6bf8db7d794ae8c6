"""Tables of a comparison of two runs: differences with intervals, and what became of the images."""

import math
from collections.abc import Mapping
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
)

Told = Mapping[str, Any]
# Not a share: its differences are on no common axis with the others.
_GAIN = "energy_gain"


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
}


def reading(name: str, found: Told) -> str:
    """`better`, `worse`, or that the interval, or p where there is one, shows no difference.

    Of a few images the interval is too narrow, and p says so.
    """
    difference, p = found["difference"], found.get("p_value")
    low, high = real(difference["low"]), real(difference["high"])
    if not (low > 0 or high < 0) or (p is not None and p >= 1 - difference["level"]):
        return "no difference shown"
    return "better" if (high < 0) == lower_is_better(name) else "worse"


def differences_table(summary: Told, other: Told) -> Table:
    """Accuracy and each score of both runs, the difference with its interval, and p."""
    found = differences(other)
    reach = reach_of([values["difference"] for name, values in found.items() if name != _GAIN])
    marks = {"better": "good", "worse": "bad"}
    rows = []
    for name, values in found.items():
        difference, word = values["difference"], reading(name, values)
        note = meaning(name)
        rows.append(
            [
                Cell(title(name), note=note),
                Cell(decimal(values["before"])),
                Cell(decimal(values["after"])),
                Cell(signed(difference["value"]), note=between(difference, signed)),
                Cell(span=None if name == _GAIN else span_of(difference, reach)),
                Cell(p_value(values["p_value"])),
                Cell(whole(difference["n"])),
                Cell(phrase(READINGS[word]), mark=marks.get(word, "quiet")),
            ]
        )
    names = f"{summary['first']['name']}#", f"{other['name']}#"
    head = (
        "",
        *names,
        *columns("Difference#"),
        axis_of(reach),
        *columns("p#", "Images#", "Reading"),
    )
    return Table(head, rows, differences_caption())


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
