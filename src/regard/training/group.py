"""The processes that train one net together, and what they tell each other.

Not torch's `DistributedDataParallel`: its hooks do not stand a second backward pass, nor parameters
that a process has no gradient for. Here every process makes the gradient of its share by itself,
and then the sums are added up.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from regard.errors import LostProcessError

T = TypeVar("T")
# How long a process waits for another one that has not ended, but says nothing.
PATIENCE = timedelta(minutes=30)
# Tensors are added up in parts of so many bytes, so that little memory is needed beside them.
BUCKET = 32 * 2**20


class Group(ABC):
    """The processes that train together.

    All of them call the same methods in the same order.

    Attributes:
        number: of this process, from 0.
        size: how many there are.
        lost: whether another one has ended before its time.
    """

    number: int = 0
    size: int = 1
    lost: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and shows."""
        return self.number == 0

    def by_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all; the others wait for it."""
        return self.told(make() if self.first else None)

    @abstractmethod
    def told(self, value: T | None) -> T:
        """The value of the first process."""

    @abstractmethod
    def gather(self, value: T) -> list[T]:
        """The values of all, in their order, for all."""

    @abstractmethod
    def collect(self, value: T) -> list[T]:
        """The values of all, in their order, for the first; the others get none."""

    @abstractmethod
    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum over all processes; to the bit the same for all."""

    @abstractmethod
    def speaks(self) -> bool:
        """Whether this process, and none of the others, is to tell how the training has ended."""

    @abstractmethod
    def leave(self) -> None:
        """Take part no more; whoever waits for this process is told so."""


class Alone(Group):
    """A process that trains by itself."""

    def told(self, value: T | None) -> T:
        """Its own."""
        return value  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """Its own."""
        return [value]

    def collect(self, value: T) -> list[T]:
        """Its own."""
        return [value]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Nothing is to be added."""

    def speaks(self) -> bool:
        """It does."""
        return True

    def leave(self) -> None:
        """Nobody waits."""


ALONE = Alone()


class Processes(Group):
    """The processes of torch's default process group.

    Tensors are added up by that group; everything else goes by gloo, which notices at once when a
    process has ended.

    Raises:
        LostProcessError: of every method, when another one has ended.
    """

    def __init__(self) -> None:
        self.number, self.size = distributed.get_rank(), distributed.get_world_size()
        with self._waiting():
            self._talk: Any = distributed.new_group(backend="gloo", timeout=PATIENCE)

    def told(self, value: T | None) -> T:
        """The value of the first process."""
        values: list[Any] = [value]
        with self._waiting():
            distributed.broadcast_object_list(values, src=0, group=self._talk)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The values of all."""
        values: list[Any] = [None] * self.size
        with self._waiting():
            distributed.all_gather_object(values, value, group=self._talk)
        return values

    def collect(self, value: T) -> list[T]:
        """The values of all, for the first."""
        values: list[Any] | None = [None] * self.size if self.first else None
        with self._waiting():
            distributed.gather_object(value, values, dst=0, group=self._talk)
        return values or []

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum over all processes."""
        for bucket in buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            with self._waiting():
                distributed.all_reduce(flat)
            parts = flat.split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    @cached_property
    def _speaks(self) -> bool:
        try:
            return distributed.distributed_c10d._get_default_store().add("regard told", 1) == 1
        except (RuntimeError, ValueError):
            # Who keeps count has ended: without torchrun the first process, which has told why,
            # unless it was killed.
            return self.lost

    def speaks(self) -> bool:
        """The first one that asks."""
        return self._speaks

    def leave(self) -> None:
        """Hang up; who is to tell is settled before, as the others ask when they notice."""
        self.speaks()
        talk, self._talk = self._talk, None  # it hangs up when nobody holds it any more
        distributed.destroy_process_group(talk)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self.lost = True
            # Without the line of torch's source before, and advice behind.
            said = re.sub(r"^\[\S*\] |\. .*|\n.*", "", str(error), flags=re.DOTALL)
            raise LostProcessError(
                "another process of this training has ended, or cannot be reached any more "
                f"({said[:120]}); go on from the last checkpoint with --resume"
            ) from error


def buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in lists of one kind and device that are not too large, or are one tensor."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for alike in kinds.values():
        bucket, size = [], 0
        for tensor in alike:
            if bucket and size + tensor.nbytes > BUCKET:
                yield bucket
                bucket, size = [], 0
            bucket.append(tensor)
            size += tensor.nbytes
        yield bucket


@contextmanager
def taking_part(group: Group | None = None) -> Iterator[Group]:
    """The group that a training goes on in; when it fails here, the others are told.

    Args:
        group: None takes torch's default process group where there is one, else this process alone.
    """
    group = group or _current()
    try:
        yield group
    except BaseException:
        group.leave()
        raise


def _current() -> Group:
    there = distributed.is_available() and distributed.is_initialized()
    return Processes() if there and distributed.get_world_size() > 1 else ALONE
