"""Fitted samples kept in memory side by side, so that a batch of them is one lookup."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]


class Held:
    """Views and masks by row, as many rows as fit into a bound; the first to come stay.

    Every view and every kind of mask has one block of memory, whose pages are taken as they are
    written. In another process it begins empty.

    Args:
        rows: samples that there are.
        views: names of the uint8 images (3, H, W).
        masks: names of the float masks (H, W), of which a sample may lack any.
        size: (H, W).
        limit: bytes.
    """

    def __init__(
        self,
        rows: int,
        views: Sequence[str],
        masks: Sequence[str],
        size: tuple[int, int],
        limit: int,
    ) -> None:
        self._made_of = rows, tuple(views), tuple(masks), size, limit
        cost = size[0] * size[1] * (3 * len(views) + 4 * len(masks))
        self.capacity = min(rows, limit // cost) if cost else 0
        self._slot: dict[int, int] = {}
        self._images: dict[str, Tensor] = {}
        self._masks: dict[str, Tensor] = {}
        self._there: dict[str, Tensor] = {}

    def __reduce__(self) -> tuple[type["Held"], tuple]:
        return Held, self._made_of

    def __len__(self) -> int:
        return len(self._slot)

    def put(self, row: int, images: Parts, masks: Parts) -> None:
        """Hold a sample if it fits."""
        slot = len(self._slot)
        if slot == self.capacity or row in self._slot:
            return
        if not self._images:
            self._allocate()
        for name, block in self._images.items():
            block[slot] = images[name]
        for name, block in self._masks.items():
            block[slot] = masks.get(name, 0.0)
            self._there[name][slot] = name in masks
        # Last, so that what is found is whole.
        self._slot[row] = slot

    def get(self, row: int) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
        """The views and masks of a sample, not to be changed in place; None: not held."""
        slot = self._slot.get(row)
        if slot is None:
            return None
        masks = {name: block[slot] for name, block in self._masks.items() if self._has(name, slot)}
        return {name: block[slot] for name, block in self._images.items()}, masks

    def batch(
        self, rows: Sequence[int]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]] | None:
        """Several samples; None: not all of them are held.

        Returns:
            Views (B, 3, H, W), masks (B, H, W) with zeros where a sample has none, and by mask
            whether it has one, bool (B,).
        """
        found = [self._slot.get(row) for row in rows]
        if None in found:
            return None
        slots = torch.tensor(found)
        images, masks, there = (
            {name: block.index_select(0, slots) for name, block in blocks.items()}
            for blocks in (self._images, self._masks, self._there)
        )
        return images, masks, there

    def _has(self, name: str, slot: int) -> bool:
        return bool(self._there[name][slot])

    def _allocate(self) -> None:
        _, views, masks, size, _ = self._made_of
        shape = (self.capacity, *size)
        self._images = {n: torch.empty(shape[0], 3, *size, dtype=torch.uint8) for n in views}
        self._masks = {name: torch.empty(shape) for name in masks}
        self._there = {name: torch.zeros(self.capacity, dtype=torch.bool) for name in masks}
