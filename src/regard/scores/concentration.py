"""Scores of the map alone: how few places hold most of it."""

import math

import torch
from torch import Tensor

from regard.scores.base import SCORES, Score


def sparseness(maps: Tensor) -> Tensor:
    """Gini index of the map's values: 0 for a uniform map, up to 1 - 1/n for a single peak.

    sum_i (2 i - n - 1) v_i / (n sum v), with the n values in ascending order, i from 1.

    It is computed at the map's own resolution, so maps of different methods compare only where
    their resolutions do.

    Reference: Chalasani et al., Concise Explanations of Neural Networks using Adversarial
    Training, arXiv:1810.06583.
    """
    values = maps.flatten(1).sort(1).values
    count = values.shape[1]
    place = 2 * torch.arange(1, count + 1, device=maps.device, dtype=values.dtype) - count - 1
    return (values * place).sum(1) / (count * values.sum(1))


def entropy(maps: Tensor) -> Tensor:
    """Shannon entropy of the map as a distribution over places, as a share of the largest.

    - sum p log p / log n with p = v / sum v over the n places: 1 for a uniform map, 0 for a
    single peak; a map of one place only has none (NaN).
    """
    values = maps.flatten(1)
    shares = values / values.sum(1, keepdim=True)
    return torch.special.entr(shares).sum(1) / torch.tensor(float(values.shape[1])).log()


SCORES.register("sparseness")(Score(sparseness, "higher", asks="map"))
SCORES.register("entropy")(Score(entropy, "lower", asks="map", within=(0.0, math.inf)))
