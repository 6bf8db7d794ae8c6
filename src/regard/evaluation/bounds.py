"""What a score of maps is to be held against: a uniform map, and the best of all maps."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from regard.data.regions import Evidence
from regard.evaluation.gaze import by_image, each_image
from regard.scores.base import SCORES

Floats = NDArray[np.float64]

# By how much an image may pass the best of all maps without ties.
TIES = 0.02


@dataclass(frozen=True)
class Marks:
    """What a score is to be held against, each a mean over the images where it is defined.

    Attributes:
        uniform: of a map that is the same everywhere.
        best: of the best of all maps; NaN where it is not known, or is that of a uniform map.
    """

    uniform: float
    best: float


def by_row(scores: pl.DataFrame, name: str, which: str) -> Floats:
    """What a `uniform` or the `best` map would score, a row; NaN where the score is undefined.

    It follows from the region's area alone, which the table holds.
    """
    area = torch.from_numpy(scores["area"].cast(pl.Float64).to_numpy().copy())
    inside = area.nan_to_num()[:, None, None]
    evidence = Evidence(inside, torch.ones_like(inside), ~area.isnan())
    bound = getattr(SCORES[name], which)
    if bound is None:
        return np.full(len(scores), np.nan)
    values = bound(evidence).numpy().astype(np.float64)
    return np.where(np.isnan(each_image(scores, name)), np.nan, values)


def marks(scores: pl.DataFrame, name: str) -> Marks | None:
    """Means of what a uniform and the best map would score; None for an unknown score.

    Of a segmenter, whose rows are of an image and a class, each image counts with its mean.
    """
    if name not in SCORES:
        return None
    best = by_row(scores, name, "best")
    sign = -1 if SCORES[name].better == "lower" else 1
    # A region with soft edges has no single area, and a ceiling that is beaten is none; but by so
    # little a map may pass it of which some pixels tie.
    beaten = np.nanmax((each_image(scores, name) - best) * sign, initial=-np.inf) > TIES
    uniform, ceiling = (
        _mean(_over_images(scores, rows)) for rows in (by_row(scores, name, "uniform"), best)
    )
    # What a map that points nowhere reaches too says nothing of a good one.
    told = not beaten and abs(ceiling - uniform) > 1e-3
    return Marks(uniform, ceiling if told else np.nan)


def _over_images(scores: pl.DataFrame, rows: Floats) -> Floats:
    """The mean of each image's rows, where it has several."""
    if "method" not in scores.columns:
        return rows
    table = scores.select("index", "image", "method", "area", "dead")
    return by_image(table.with_columns(bound=rows))["bound"].to_numpy()


def _mean(values: Floats) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else np.nan
