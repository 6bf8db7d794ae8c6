"""Work on many files at once; decoders and the disk leave the interpreter free meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from regard.machine import cores
from regard.progress import Progress

A = TypeVar("A")
B = TypeVar("B")

# So many items are handed out at a time, or a million of them would wait as a million futures.
CHUNK = 1024


def in_threads(
    work: Callable[[A], B], items: Sequence[A], progress: Progress | None = None
) -> Iterator[B]:
    """What `work` makes of each item, in their order.

    Args:
        work: called in 2 to 4 threads.
        items: its arguments.
        progress: called with (items done, items in all) after each.
    """
    workers = min(4, max(2, cores()))
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(items), CHUNK):
            part = items[start : start + CHUNK]
            for done, answer in enumerate(pool.map(work, part), start=start + 1):
                if progress is not None:
                    progress(done, len(items))
                yield answer
