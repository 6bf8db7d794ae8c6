"""The net run on many variants of a batch, a bounded number of images at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from regard.saliency.quicker import quicker
from regard.saliency.seen import Seen

# Images a pass with gradients: enough to keep a processor busy, little to hold.
TOGETHER = 16
# Bytes of a colour of those images whose activations stay in a core's cache, as measured on
# EfficientNet-lite0; and images a pass without gradients where that does not matter.
_IN_CACHE, _ON_DEVICE = 800_000, 128
# Passes from which it pays to look for a quicker way.
MANY = 32


def in_cache(pixels: Tensor, dtype: torch.dtype | None = None) -> int:
    """Images a pass without gradients: on a CPU as many as fit its caches, at most 32.

    Args:
        pixels: (B, 3, H, W).
        dtype: of the pass; None is the pixels'.
    """
    if pixels.device.type != "cpu":
        return _ON_DEVICE
    size = pixels[0, 0].numel() * (dtype or pixels.dtype).itemsize
    return min(32, max(1, round(_IN_CACHE / size)))


def portions(count: int, batch: int, together: int = TOGETHER) -> Iterator[range]:
    """The variants 0 to count - 1, some at a time, and at least one.

    Args:
        count: of variants.
        batch: images of each.
        together: images at a time.
    """
    step = max(1, together // batch)
    for first in range(0, count, step):
        yield range(first, min(first + step, count))


def rows_of(variants: Tensor) -> Tensor:
    """Which image of the batch each of the variants (k, B, ...) is of, (k B,)."""
    return torch.arange(variants.shape[1], device=variants.device).repeat(len(variants))


class Asker:
    """Asks the net for the explained number of many variants.

    Where no gradient is asked for and many variants are to come, the net is run in a quicker way
    that gives the same to 1e-5 (see `quicker`), if there is one.

    Args:
        seen: the pass, with the net, the targets and the other views.
        count: of variants to come.
    """

    def __init__(self, seen: Seen, count: int) -> None:
        self._seen, self._answer = seen, seen.logits_at
        if count >= MANY and not seen.create_graph:
            self._answer = quicker(
                seen.logits_at, seen.pixels, logits=seen.logits, steady=seen.steady
            )

    def __call__(self, variants: Tensor, *, probability: bool = False) -> Tensor:
        """The numbers (k, B) of variants (k, B, 3, H, W); `probability` as in `Seen.values`."""
        rows = rows_of(variants)
        logits = self._answer(variants.flatten(0, 1), rows)
        found = (self._seen.probability_of if probability else self._seen.value_of)(logits, rows)
        return found.unflatten(0, variants.shape[:2])


def gradients(seen: Seen, variants: Tensor) -> Tensor:
    """The gradients (k, B, 3, H, W) of the explained number at variants of that shape."""
    found = seen.gradients_at(variants.flatten(0, 1), rows_of(variants))
    return found.unflatten(0, variants.shape[:2])
