"""A thousand of many samples, to stand for all of them."""

import torch

from regard.data.keys import keyed_generator

MOST = 1000


def some_of(count: int) -> list[int]:
    """Which of so many, at most `MOST`: drawn by key, so the same each time, and rising.

    Not every n-th: what recurs in the order of a manifest would be missed.
    """
    if count <= MOST:
        return list(range(count))
    order = torch.randperm(count, generator=keyed_generator("some", count))
    return sorted(order[:MOST].tolist())
