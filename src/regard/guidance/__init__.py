"""Losses on where a net looks."""

from regard.guidance.activation import HAGTR, MAGTR, MANGTR
from regard.guidance.base import TERMS, Term
from regard.guidance.combination import Combination, Divisors, divisors
from regard.guidance.energy import Energy
from regard.guidance.forward import guided_forward
from regard.guidance.gradients import RRR, GradMask
from regard.guidance.likeness import KL, L1, MSE, IoU
from regard.guidance.maps import MapTerm
from regard.guidance.other_images import ActDiff, BackgroundSwap, MaskedInput
from regard.guidance.output import GuidedOutput
from regard.guidance.probe import reaches

__all__ = [
    "HAGTR",
    "KL",
    "L1",
    "MAGTR",
    "MANGTR",
    "MSE",
    "RRR",
    "TERMS",
    "ActDiff",
    "BackgroundSwap",
    "Combination",
    "Divisors",
    "Energy",
    "GradMask",
    "GuidedOutput",
    "IoU",
    "MapTerm",
    "MaskedInput",
    "Term",
    "divisors",
    "guided_forward",
    "reaches",
    "terms",
]


def terms() -> list[str]:
    """The names of all terms."""
    return list(TERMS)
