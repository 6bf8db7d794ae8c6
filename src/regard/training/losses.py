"""The cross-entropy of each image, and what its class weighs."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


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


def entropies(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Weight x cross-entropy of each image (B,); smoothing spreads over all classes alike."""
    losses = cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
    return losses if weights is None else losses * weights[labels]
