"""From the gradients of shares to that of the whole batch, and one net's buffers for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from regard.training.group import Group


@dataclass
class Summing:
    """Adds up what the processes of a group have found in a step.

    Gradients are sums, each share divided by what counts for the whole batch. A parameter that has
    a gradient nowhere gets none: an optimiser would move it nevertheless.

    Running statistics of norms become the mean over the processes, by their images. Other buffers
    are those of the first process, where any process has changed its own.

    Attributes:
        net: the same in all processes, at the beginning.
        others: parameters beside the net's.
        group: of the processes.
    """

    net: nn.Module
    others: Sequence[nn.Parameter]
    group: Group

    _versions: Sequence[tuple[int, int]] = ()

    @torch.no_grad()
    def agree(self) -> None:
        """Let all have the weights and buffers of the first process."""
        # Tensors may go by NCCL, which waits for one that has failed before; this does not.
        self.group.gather(None)
        weights = self._parameters()
        for weight in () if self.group.first else weights:
            weight.zero_()
        self.group.add(weights)
        self._add_buffers([True] * len(self._places), float(self.group.first))

    def begin(self) -> None:
        """Remember how buffers are before a step."""
        self._versions = self._now()

    def found(self) -> tuple[bytes, bytes]:
        """Which parameters have a gradient here, and which buffers have changed; for `add`."""
        changed = (a != b for a, b in zip(self._versions, self._now(), strict=True))
        # A batch norm changes its statistics without a new version.
        moves = (isinstance(m, _NormBase) and m.training for m, _ in self._places)
        gradients = bytes(p.grad is not None for p in self._parameters())
        return gradients, bytes(a or b for a, b in zip(changed, moves, strict=True))

    def add(self, found: Sequence[tuple[bytes, bytes]], share: float) -> None:
        """Let every process have the whole gradient, and the same buffers.

        Args:
            found: of all processes.
            share: of the images of the step that are this process's.
        """
        gradients, changed = (_anywhere(each) for each in zip(*found, strict=True))
        self.group.add(list(self._gradients(gradients)))
        self._add_buffers(changed, share)

    def _parameters(self) -> list[nn.Parameter]:
        return [*self.net.parameters(), *self.others]

    def _gradients(self, there: Sequence[bool]) -> Iterator[Tensor]:
        for parameter, some in zip(self._parameters(), there, strict=True):
            if some and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if some and parameter.grad is not None:
                yield parameter.grad

    @cached_property
    def _places(self) -> list[tuple[nn.Module, str]]:
        """Where buffers are that a checkpoint keeps."""
        kept = set(self.net.state_dict())
        return [
            (module, name)
            for path, module in self.net.named_modules()
            for name in module._buffers
            if (f"{path}.{name}" if path else name) in kept
        ]

    def _now(self) -> list[tuple[int, int]]:
        """What tells whether a buffer has changed."""
        buffers = (module._buffers[name] for module, name in self._places)
        return [(0, 0) if b is None else (id(b), b._version) for b in buffers]

    @torch.no_grad()
    def _add_buffers(self, changed: Sequence[bool], share: float) -> None:
        own, sums = [], []
        for (module, name), some in zip(self._places, changed, strict=True):
            buffer = module._buffers[name]
            if not some or buffer is None:
                continue
            mean = isinstance(module, _NormBase) and buffer.is_floating_point()
            weight = share if mean else float(self.group.first)
            own.append(buffer)
            sums.append(_weighted(buffer, weight))
        self.group.add(sums)
        for buffer, total in zip(own, sums, strict=True):
            buffer.copy_(total)


def _weighted(buffer: Tensor, weight: float) -> Tensor:
    """A buffer times its weight, in numbers that can be added."""
    if not weight:
        return torch.zeros_like(buffer, dtype=_summed(buffer))
    value = buffer.to(_summed(buffer), copy=True)
    return value if weight == 1 else value.mul_(weight)


def _summed(buffer: Tensor) -> torch.dtype:
    return torch.uint8 if buffer.dtype == torch.bool else buffer.dtype


def _anywhere(flags: Sequence[bytes]) -> list[bool]:
    return [any(each) for each in zip(*flags, strict=True)]
