"""The pixels of a class as the region of where the evidence for it should be."""

from collections.abc import Iterator

import torch
from torch import Tensor

from regard.data.mask_classes import VOID
from regard.data.regions import Regions


def present_classes(target: Tensor, classes: int) -> Tensor:
    """Which classes each image holds, bool (B, K).

    Args:
        target: class indices of pixels (B, H, W), `VOID` where nothing is said.
        classes: K.
    """
    there = torch.zeros(len(target), 256, dtype=torch.bool, device=target.device)
    there.scatter_(1, target.flatten(1).long(), True)
    return there[:, :classes]


def regions_of(target: Tensor, classes: Tensor) -> Regions:
    """Each image's pixels of its class as its region; what is void is ignored.

    Args:
        target: class indices of pixels (B, H, W), `VOID` where nothing is said.
        classes: of each image the one that is asked about, ints (B,).

    Returns:
        Missing where an image has no pixel of its class.
    """
    own = target == classes.to(target.device)[:, None, None]
    return Regions(own.float(), ignore=(target == VOID).float(), present=own.flatten(1).any(1))


def turns(present: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The classes of images one after the other, as few turns as there are classes in one image.

    Args:
        present: bool (B, K), which classes are asked of each image.

    Yields:
        Of each turn the images that have one left, ints (n,), and its class, ints (n,).
    """
    order = present.int().argsort(stable=True, dim=1, descending=True)
    counts = present.sum(1)
    for turn in range(int(counts.max()) if len(counts) else 0):
        rows = (counts > turn).nonzero().flatten()
        yield rows, order[rows, turn]
