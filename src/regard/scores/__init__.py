"""How well a map meets a region: one number an image, NaN where it is undefined."""

from regard.scores import localisation, pointing  # noqa: F401  each registers its scores
from regard.scores.base import SCORES, Score, score

__all__ = ["SCORES", "Score", "score", "scores"]


def scores() -> list[str]:
    """The names of all scores."""
    return list(SCORES)
