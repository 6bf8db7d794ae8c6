"""Batches that do not fit into memory, in parts that do."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from regard.models.device import lacking, out_of_memory, release

A = TypeVar("A")


@runtime_checkable
class Rows(Protocol):
    """What has rows and can be cut: a batch, a range."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


B = TypeVar("B", bound=Rows)


def fitted(
    batches: Iterable[B], ask: Callable[[B], A], device: torch.device
) -> Iterator[tuple[B, A]]:
    """What is asked of batches; where memory runs out, of parts of half as many rows from there on.

    Args:
        batches: in order.
        ask: of a part; what it has done before memory ran out must leave no trace.
        device: whose memory it is.

    Yields:
        Each part, all rows once and in order, and the answer.

    Raises:
        RunError: not even one row fits.
    """
    most = 0
    for batch in batches:
        at = 0
        while at < len(batch):
            whole = not at and (not most or len(batch) <= most)
            part = batch if whole else batch[at : at + most]
            try:
                answer = ask(part)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise lacking(str(device), error) from error
                most = len(part) // 2
            else:
                yield part, answer
                at += len(part)
                continue
            release(device)
