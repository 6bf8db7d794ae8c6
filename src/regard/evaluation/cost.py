"""What one pass of a net costs: operations and memory; and what the net itself takes."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

Images = Tensor | dict[str, Tensor]
Pass = Callable[[], object]

_QUIET = "KINETO_LOG_LEVEL"


@dataclass(frozen=True)
class Flops:
    """Floating point operations of one pass.

    Attributes:
        total: of convolutions, products of matrices and attention, a multiply-add counted as two.
        uncounted: other operations that the pass ran, which have no formula and count for nothing.
    """

    total: int
    uncounted: tuple[str, ...]


class _WithoutFormula(TorchDispatchMode):
    """Notes what is run and has no formula; a view of a tensor computes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet = func.overloadpacket
        if packet not in flop_registry and not func.is_view:
            self.names.add(packet.__name__)
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def flops_of(net: nn.Module, images: Images) -> Flops:
    """Count the operations of one pass by torch's formulas, from the shapes of what is computed.

    Args:
        net: in evaluation mode.
        images: (B, 3, H, W), or a dict of views; the count is of the whole batch.
    """
    # The counter comes last, and so first to see an operation: it hands on the parts of it.
    with (
        _without_fused_layers(),
        _WithoutFormula() as others,
        FlopCounterMode(display=False) as counter,
    ):
        net(images)
    return Flops(counter.get_total_flops(), tuple(sorted(others.names)))


@contextmanager
def _without_fused_layers() -> Iterator[None]:
    """Transformer layers of torch as single operations have no formula; taken apart they have."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def peak_bytes(call: Pass, device: torch.device) -> int:
    """The most that one call has allocated at once, beyond what there was before.

    It is the second call that is measured: the first may fill caches. On a CPU the tensors of the
    profiler's events are summed, and what kernels take for themselves is not among them; on a GPU
    it is all that torch's allocator gave out.
    """
    call()
    if device.type != "cuda":
        return _of_tensors(call)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _of_tensors(call: Pass) -> int:
    with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        call()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        events.export_chrome_trace(str(file))
        trace = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    changes = [(each["ts"], each["args"]["Bytes"]) for each in trace if each["name"] == "[memory]"]
    total = most = 0
    for _, change in sorted(changes):
        total += change
        most = max(most, total)
    return most


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the profiler's lines on standard error; the level is read when it first starts."""
    if _QUIET in os.environ:
        yield
        return
    os.environ[_QUIET] = "6"
    try:
        yield
    finally:
        del os.environ[_QUIET]


def weight_bytes(net: nn.Module) -> int:
    """Bytes of the parameters and buffers, shared ones once."""
    held = [*net.parameters(), *net.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def channels_last(net: nn.Module) -> bool:
    """Whether the weights of some convolution lie in memory with channels last."""
    return any(
        p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous()
        for p in net.parameters()
        if p.ndim == 4
    )
