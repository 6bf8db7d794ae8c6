"""The latency of one image, and the batch size at which most images go through a net."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from regard.evaluation.cost import Pass, peak_bytes
from regard.evaluation.timing import take_turns, timing
from regard.machine import free_mb
from regard.models.device import out_of_memory, release
from regard.progress import Progress

# A larger batch has to bring so much more to be worth its memory and its latency.
RISE = 1.03
# Doublings in a row that bring less than that: one alone may be a slow spell of the machine.
PATIENCE = 2
LARGEST = 1024
ROUNDS = 7
# Share of the free memory that a batch may be expected to take: the kernel kills without a word.
SHARE = 0.75


@dataclass
class Contest:
    """Passes over batches of several sizes.

    Attributes:
        make: a batch size to a pass over such a batch, which may run out of memory.
        device: that they run on.
        calls: by batch size, those that fit.
        peaks: bytes that such a pass allocates at once.
        refused: sizes that did not fit into memory.
    """

    make: Callable[[int], Pass]
    device: torch.device
    calls: dict[int, Pass] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)

    def enter(self, size: int) -> bool:
        """Warm up a batch of that size and measure its memory; False where it does not fit."""
        try:
            if not self._hopeful(size):
                raise MemoryError
            call = self.make(size)
            self.peaks[size] = peak_bytes(call, self.device)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or size == 1:
                raise
            self.refused.append(size)
        else:
            self.calls[size] = call
            return True
        release(self.device)
        return False

    def _hopeful(self, size: int) -> bool:
        free = free_mb()
        if not self.peaks or free is None or self.device.type == "cuda":
            return True
        known = max(self.peaks)
        return self.peaks[known] / known * size < SHARE * free * 2**20


def throughput(
    contest: Contest,
    sizes: Sequence[int] | None,
    seconds: float,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time a net at batch size 1 and others, in alternation.

    Args:
        contest: makes the passes.
        sizes: batch sizes; None: 1, 2, 4 ... up to 1,024, until two doublings in a row do not
            raise images/s by 3 %, memory runs out, or a pass would take an eighth of `seconds`.
        seconds: that the rounds take together; there are 7 at least.
        progress: see `take_turns`.

    Returns:
        `batches`, a row of `timing` with `peak_bytes` for each size, in their order; `best`, the
        smallest of them whose images/s are within 3 % of the most.
    """
    contest.enter(1)
    if sizes is None:
        _search(contest, seconds)
    else:
        for size in sorted(set(sizes) - {1}):
            contest.enter(size)
    times = take_turns(
        contest.calls, contest.device, seconds=seconds, rounds=ROUNDS, progress=progress
    )
    rows = [timing(size, own) | {"peak_bytes": contest.peaks[size]} for size, own in times.items()]
    return {"batches": rows, "best": best_batch(rows)}


def best_batch(rows: Sequence[Mapping[str, Any]]) -> int:
    """The smallest batch whose images/s are within 3 % of the most."""
    most = max(row["images_per_second"] for row in rows)
    return min(row["batch"] for row in rows if RISE * row["images_per_second"] >= most)


def _search(contest: Contest, seconds: float) -> None:
    """Let larger and larger batches enter, each held against the best so far."""
    best, flat = 1, 0
    while flat < PATIENCE:
        size = 2 * max(contest.calls)
        if size > LARGEST or not contest.enter(size):
            return
        pair = {one: contest.calls[one] for one in (best, size)}
        times = take_turns(pair, contest.device, seconds=seconds / 20, rounds=3)
        speeds = {one: one / float(np.median(own)) for one, own in times.items()}
        rises = speeds[size] >= RISE * speeds[best]
        best, flat = (size, 0) if rises else (best, flat + 1)
        if 2 * size / speeds[size] > seconds / 8:
            return
