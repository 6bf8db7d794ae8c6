"""Orders of samples and the loader; the order depends on seed and epoch alone."""

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from regard.data.keys import keyed_generator
from regard.data.sample import Draw
from regard.data.samples import Batch, Samples
from regard.errors import DataError


def in_order(rows: int) -> list[Draw]:
    """Every sample once, as it stands in the table."""
    return [Draw(row) for row in range(rows)]


def shuffled(rows: int, *, seed: int, epoch: int) -> list[Draw]:
    """Every sample once, in an order keyed by seed and epoch."""
    order = torch.randperm(rows, generator=keyed_generator(seed, "order", epoch))
    return [Draw(row, epoch) for row in order.tolist()]


def oversampled(labels: Sequence[int], *, seed: int, epoch: int) -> list[Draw]:
    """As many draws a class as the largest class has samples, shuffled.

    Every sample of a class is drawn equally often but for the remainder, which is drawn at
    random; copies differ in their `occurrence`, and so in their augmentation.
    """
    generator = keyed_generator(seed, "oversample", epoch)
    members: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        members.setdefault(label, []).append(row)
    most = max(map(len, members.values()))
    rows: list[int] = []
    for _, own in sorted(members.items()):
        times, rest = divmod(most, len(own))
        extra = torch.randperm(len(own), generator=generator)[:rest].tolist()
        rows += own * times + [own[i] for i in extra]
    seen: Counter[int] = Counter()
    draws = []
    for i in torch.randperm(len(rows), generator=generator).tolist():
        draws.append(Draw(rows[i], epoch, seen[rows[i]]))
        seen[rows[i]] += 1
    return draws


def epoch_order(labels: Sequence[int], imbalance: str, *, seed: int, epoch: int) -> list[Draw]:
    """What an epoch of training draws: `oversampled` where imbalance asks for it, else shuffled.

    Args:
        labels: of the samples.
        imbalance: of the config's training.
        seed: of the training.
        epoch: 0 for the first one.
    """
    if imbalance in ("oversample", "both"):
        return oversampled(labels, seed=seed, epoch=epoch)
    return shuffled(len(labels), seed=seed, epoch=epoch)


@dataclass(frozen=True)
class Share:
    """Which part of the batches is this process's, of several that share them.

    Attributes:
        number: of this process, from 0.
        size: how many processes there are.
        cuts: each batch is cut into parts that are as large as one another but for one image, the
            first ones the larger; a part may be empty. Else whole batches are dealt out in turn.
    """

    number: int = 0
    size: int = 1
    cuts: bool = False

    def __call__(self, batches: Sequence[list[Draw]]) -> list[list[Draw]]:
        """This process's part of the batches."""
        if not self.cuts:
            return list(batches[self.number :: self.size])
        return [batch[self._edge(len(batch), 0) : self._edge(len(batch), 1)] for batch in batches]

    def rows_of(self, rows: int) -> int:
        """How many of a batch of so many rows are this process's, where batches are cut."""
        return self._edge(rows, 1) - self._edge(rows, 0)

    def _edge(self, rows: int, later: int) -> int:
        return -(-rows * (self.number + later) // self.size)


class Order(Sampler[list[Draw]]):
    """Batches of draws; `set` gives the next epoch's draws and where in them to start."""

    def __init__(self, batch_size: int, share: Share | None = None) -> None:
        self.batch_size, self.share = batch_size, share or Share()
        self.draws: list[Draw] = []
        self.start = 0

    def set(self, draws: list[Draw], start_batch: int = 0) -> None:
        """Take these draws next, from batch `start_batch` on."""
        self.draws, self.start = draws, start_batch

    def __iter__(self) -> Iterator[list[Draw]]:
        # Cut now, not when asked for: the next `set` is for the next iterator.
        return iter(self._batches())

    def __len__(self) -> int:
        return len(self._batches())

    def _batches(self) -> list[list[Draw]]:
        starts = range(self.start * self.batch_size, len(self.draws), self.batch_size)
        return self.share([self.draws[start : start + self.batch_size] for start in starts])


class _Whole(Dataset[Batch | dict[str, str]]):
    """Whole batches; a mistake in the data is handed over, as a process would lose its type."""

    def __init__(self, data: Samples) -> None:
        self.data = data

    def __getitem__(self, draws: list[Draw]) -> Batch | dict[str, str]:
        try:
            # An empty part is like the others but for its length.
            return self.data.batch(draws) if draws else self.data.batch([Draw(0)])[:0]
        except DataError as error:
            return vars(error)


def _as_it_is(batch: Any) -> Any:
    return batch


def _or_raise(batch: Batch | dict[str, str]) -> Batch:
    if isinstance(batch, dict):
        raise DataError(**batch)
    return batch


class Loader:
    """Batches of a data set by given draws, loaded here or in spawned processes.

    The processes live as long as the loader. The caller's random state is left alone.

    Args:
        data: what is loaded.
        batch_size: of all processes that share the batches together.
        workers: processes that load; 0 loads here.
        share: the part of the batches that is loaded; None: all of them.
    """

    def __init__(
        self, data: Samples, batch_size: int, *, workers: int = 0, share: Share | None = None
    ) -> None:
        self.data = data
        self.order = Order(batch_size, share)
        self._loader: DataLoader = DataLoader(
            _Whole(data),
            batch_size=None,
            sampler=self.order,
            num_workers=workers,
            collate_fn=_as_it_is,
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=workers > 0,
            generator=torch.Generator().manual_seed(0),
            worker_init_fn=_leave_signals_alone,
        )

    def batches(self, draws: list[Draw] | None = None, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of these draws (default: every sample once, in order).

        Raises:
            DataError: an image or region cannot be read; from a loading process too.
        """
        self.order.set(in_order(len(self.data)) if draws is None else draws, start_batch)
        return map(_or_raise, iter(self._loader))

    def close(self) -> None:
        """Stop the loading processes."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
            self._loader._iterator = None


def _leave_signals_alone(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal, torchrun's SIGTERM every one of a group.

    Only the training process acts on them: it ends the step, saves, and stops its workers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
