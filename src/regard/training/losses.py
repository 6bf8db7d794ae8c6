"""The loss of a step, so divided that parts of a batch add up to the whole batch's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from regard.data.regions import Regions
from regard.guidance.base import Term
from regard.guidance.forward import GuidedOutput


@dataclass(frozen=True)
class Divisors:
    """What sums over the whole effective batch are divided by, known before any pass.

    Attributes:
        cross_entropy: sum of the class weights of the labels.
        terms: valid images by term, at least 1.
    """

    cross_entropy: float
    terms: dict[str, int]


def divisors(
    labels: Tensor, regions: Regions | None, terms: Sequence[Term], weights: Tensor | None
) -> Divisors:
    """The divisors of an effective batch, from its labels and regions."""
    total = float(len(labels)) if weights is None else float(weights[labels].sum())
    if regions is None or not terms:
        return Divisors(total, {})
    evidence = regions.of(labels)
    return Divisors(total, {t.title: max(1, int(t.valid(evidence).sum())) for t in terms})


def class_weights(labels: Sequence[int], classes: int, imbalance: str) -> Tensor | None:
    """Weights by inverse class frequency, with mean 1 over the images; None for no weights.

    With `both` the same weights come on top of oversampling, as published: the rarer a class,
    the more often it is drawn and the more it counts.
    """
    if imbalance not in ("weights", "both"):
        return None
    count = Counter(labels)
    counts = torch.tensor([float(count[k]) for k in range(classes)])
    return len(labels) / (classes * counts)


def loss_of(
    output: GuidedOutput,
    labels: Tensor,
    by: Divisors,
    *,
    weights: Tensor | None,
    smoothing: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """A part's share of the batch's loss, and of each component of it (weights left out)."""
    entropy = _weighted_entropy(output.logits.float(), labels, weights, smoothing)
    parts = {"cross_entropy": entropy / by.cross_entropy}
    total = parts["cross_entropy"]
    for name, losses in output.losses.items():
        parts[f"loss.{name}"] = losses.sum() / by.terms[name]
        total = total + output.weights[name] * parts[f"loss.{name}"]
    return total, parts


def _weighted_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
) -> Tensor:
    """Sum over images of weight x cross-entropy; smoothing spreads over all classes alike."""
    losses = cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    return losses.sum() if weights is None else (losses * weights[labels]).sum()
