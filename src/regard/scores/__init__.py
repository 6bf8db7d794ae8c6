"""How well a map meets a region: one number an image, NaN where it is undefined."""

from regard.scores import (  # noqa: F401  each registers its scores
    concentration,
    faithfulness,
    localisation,
    max_box_acc,
    pointing,
    pxap,
    sanity,
)
from regard.scores.background import Backgrounds, background_reliance
from regard.scores.base import SCORES, Score
from regard.scores.scoring import score, tally

__all__ = ["SCORES", "Backgrounds", "Score", "background_reliance", "score", "scores", "tally"]


def scores() -> list[str]:
    """The names of all scores."""
    return list(SCORES)
