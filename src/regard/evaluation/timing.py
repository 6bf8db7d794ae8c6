"""How long passes take: contestants take turns, so that a slow spell of the machine hits all."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from regard.evaluation.cost import Pass
from regard.progress import Progress

# Of a turn, so that the smallest batch does not fill all the time.
MOST_PASSES = 32
PARTS = 100


def seconds_of(call: Pass, device: torch.device) -> float:
    """The time of one call; on a GPU by its own events, with nothing else waiting there."""
    if device.type != "cuda":
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    with torch.cuda.device(device):
        start.record()
        call()
        end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1000


def take_turns(
    calls: Mapping[int, Pass],
    device: torch.device,
    *,
    seconds: float,
    rounds: int,
    progress: Progress | None = None,
) -> dict[int, list[float]]:
    """Times of the calls, which take turns in rounds.

    In a turn every contestant sees about as many images, but at most 32 passes: what a large
    batch leaves in the caches slows the first pass of a small one, not the median.

    Args:
        calls: batch size to a pass over such a batch; warm, see `peak_bytes`.
        device: that they run on.
        seconds: go on at least so long.
        rounds: and for at least so many rounds.
        progress: called with (done, 100) after each round.

    Returns:
        Batch size to seconds, one a pass.
    """
    times: dict[int, list[float]] = {size: [] for size in calls}
    begun, done, share = time.perf_counter(), 0, 0.0
    while share < 1:
        for size, call in calls.items():
            passes = min(MOST_PASSES, max(calls) // size)
            times[size] += [seconds_of(call, device) for _ in range(passes)]
        done += 1
        gone = time.perf_counter() - begun
        share = min(1.0, done / rounds, gone / seconds if seconds > 0 else 1.0)
        if progress is not None:
            progress(int(PARTS * share), PARTS)
    return times


def timing(size: int, times: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and least of the times of passes over so many images, and images/s.

    Returns:
        `batch`, `repetitions`; `median_ms`, `low_ms` and `high_ms` (quartiles) and `least_ms` of a
        pass; `images_per_second`, by the median.
    """
    low, median, high = (float(x) for x in np.quantile(times, [0.25, 0.5, 0.75]))
    return {
        "batch": size,
        "repetitions": len(times),
        "median_ms": 1000 * median,
        "low_ms": 1000 * low,
        "high_ms": 1000 * high,
        "least_ms": 1000 * min(times),
        "images_per_second": size / median,
    }
