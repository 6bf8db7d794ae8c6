"""Losses on where a net looks."""

from regard.guidance.base import TERMS, Term
from regard.guidance.energy import Energy
from regard.guidance.forward import GuidedOutput, guided_forward

__all__ = ["TERMS", "Energy", "GuidedOutput", "Term", "guided_forward", "terms"]


def terms() -> list[str]:
    """The names of all terms."""
    return list(TERMS)
