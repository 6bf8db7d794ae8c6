"""What a pass moves beside the gradient: the running statistics of batch norms."""

import torch
from torch import Tensor, nn


class Statistics:
    """Remembers statistics, so that a step can begin again with those that it began with.

    Args:
        net: whose batch norms they are of.
    """

    def __init__(self, net: nn.Module) -> None:
        own = [
            buffer
            for part in net.modules()
            if isinstance(getattr(part, "running_mean", None), Tensor)
            for buffer in part.buffers(recurse=False)
        ]
        # All of one kind are copied by one kernel.
        kinds = dict.fromkeys((buffer.dtype, buffer.device) for buffer in own)
        self._own = [[b for b in own if (b.dtype, b.device) == kind] for kind in kinds]
        self._kept = [[torch.empty_like(b) for b in group] for group in self._own]

    def keep(self) -> None:
        """Remember them."""
        _copy(self._own, self._kept)

    def restore(self) -> None:
        """As they were when they were remembered."""
        _copy(self._kept, self._own)


@torch.no_grad()
def _copy(sources: list[list[Tensor]], targets: list[list[Tensor]]) -> None:
    for source, target in zip(sources, targets, strict=True):
        torch._foreach_copy_(target, source)  # pyright: ignore[reportPrivateImportUsage]
