"""Which saliency method reads a net best: methods ranked by each score of the same images."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from regard.evaluation.gaze import (
    by_class,
    each_image,
    is_pooled,
    paired_scores,
    score_interval,
    score_names,
)
from regard.evaluation.intervals import Interval
from regard.evaluation.paired import PairedTest, holm
from regard.language import Phrases
from regard.scores.base import SCORES

SIGNIFICANCE = 0.05
KINDS: Phrases = {
    "region": "Localisation: does the map lie in the region",
    "model": "Faithfulness: does the net's answer hang on what the map shows",
    "map": "The map alone: is it concentrated",
}


@dataclass(frozen=True)
class Standing:
    """A method's place by one score.

    Attributes:
        method: that made the maps.
        interval: its score of the images that are compared.
        behind: its score less that of the best method; None for the best itself.
        p_value: of that difference, corrected by Holm for the methods held against the best; NaN
            for the best and where there is no test.
    """

    method: str
    interval: Interval
    behind: PairedTest | None = None
    p_value: float = math.nan

    @property
    def leads(self) -> bool:
        """Whether it is the best, or not told apart from it at 5 % after the correction."""
        return not self.p_value < SIGNIFICANCE


def standings(scores: pl.DataFrame, name: str) -> list[Standing]:
    """The methods in a scores table by one score, the best first.

    Compared are the images for which every method has the score: a method whose map is zero on
    the hard ones would otherwise be measured on the easy ones. A method without a score for more
    than half of the images for which another has one is left out. The best is the one of the best
    number on these very images, so its lead is a little too large: what is told apart by a hair
    may not be so on others.

    Args:
        scores: rows of several methods, of the same images.
        name: a score of the table, that Regard knows.
    """
    tables = _compared(scores, name)
    found = {method: score_interval(own, name) for method, own in tables.items()}
    sign = -1 if SCORES[name].better == "higher" else 1
    order = sorted(found, key=lambda method: sign * found[method].value)
    tests = [paired_scores(tables[order[0]], tables[method], name) for method in order[1:]]
    corrected = holm([test.p_value for test in tests]).tolist() if tests else []
    others = zip(order[1:], tests, corrected, strict=True)
    return [
        *(Standing(method, found[method]) for method in order[:1]),
        *(Standing(method, found[method], test, p) for method, test, p in others),
    ]


def _compared(scores: pl.DataFrame, name: str) -> dict[str, pl.DataFrame]:
    """By method the rows of the images that all of them score."""
    on = ["index", "label"] if by_class(scores) else ["index"]
    defined = scores.filter(np.isfinite(each_image(scores, name)))
    tables = {str(key[0]): own for key, own in defined.group_by("method", maintain_order=True)}
    enough = defined.select(on).n_unique() / 2 if len(defined) else 0
    tables = {method: own for method, own in tables.items() if len(own) >= enough}
    common = None
    for own in tables.values():
        keys = own.select(on)
        common = keys if common is None else common.join(keys, on, how="semi")
    if common is None or common.is_empty():
        return {}
    return {
        method: own.join(common, on, how="semi", maintain_order="left")
        for method, own in tables.items()
    }


def all_standings(scores: pl.DataFrame) -> dict[str, list[Standing]]:
    """The standings by every score that has a number for two methods or more, kind by kind."""
    known = [name for name in score_names(scores) if name in SCORES]
    if by_class(scores):
        known = [name for name in known if not is_pooled(name)]
    ordered = sorted(known, key=lambda name: list(KINDS).index(SCORES[name].asks))
    found = {name: standings(scores, name) for name in ordered}
    return {name: own for name, own in found.items() if len(own) > 1}


def leaders(found: Mapping[str, Sequence[Standing]], names: Sequence[str]) -> list[tuple[str, int]]:
    """By how many of some scores each method leads, the one of most first."""
    led = Counter({standing.method: 0 for name in names for standing in found[name]})
    led.update(standing.method for name in names for standing in found[name] if standing.leads)
    return led.most_common()


def dead_share(scores: pl.DataFrame, method: str) -> float:
    """The share of a method's maps that are zero everywhere."""
    dead = scores.filter(pl.col("method") == method)["dead"]
    return float(dead.sum()) / len(dead)


def methods_of(scores: pl.DataFrame) -> Sequence[str]:
    """The methods in a table, in order."""
    return scores["method"].unique(maintain_order=True).to_list()
