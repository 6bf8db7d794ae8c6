"""Why scores of maps are defined for no image of two tables."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

TOLD_BY = ("area", "dead")


def why_undefined(area: ArrayLike, dead: Sequence[ArrayLike]) -> str:
    """Why no image has a score of both models.

    Args:
        area: (N,) of the region; NaN where there is none.
        dead: (N,) whether the map is zero everywhere, by each model.
    """
    there = ~np.isnan(np.asarray(area, dtype=np.float64))
    alive = [there & ~np.asarray(own, dtype=bool) for own in dead]
    why = "no value is defined"
    if not there.any():
        why = "no image has a region"
    elif not all(own.any() for own in alive):
        why = "all maps of one are zero everywhere"
    elif not np.logical_and.reduce(alive).any():
        why = "no image has a map of both that is not zero everywhere"
    return why


def why_of_tables(before: pl.DataFrame, after: pl.DataFrame) -> str:
    """`why_undefined` of two scores tables of the same images, and of classes of a segmenter."""
    if not all(set(TOLD_BY) <= set(side.columns) for side in (before, after)):
        return why_undefined([0.0], [[False], [False]])
    on = ["index", "label"] if "label" in before.columns else ["index"]
    both = before.select(*on, *TOLD_BY).join(after.select(*on, "dead"), on, suffix="_b")
    area = both["area"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return why_undefined(area, [both["dead"].to_numpy(), both["dead_b"].to_numpy()])
