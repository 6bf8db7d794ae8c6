"""Nets that went through torch.compile: one graph where that can be, eager mode where it cannot.

A compiled graph has no second derivative, and hooks that are registered after it was made do not
run. A pass whose layers are watched within the graph, and whose maps need no gradient, is compiled
with them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.saliency.capture import Images, Pass, traceable
from regard.saliency.outputs import logits_of

_PASSES: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], Pass]] = WeakKeyDictionary()


def is_compiled(net: nn.Module) -> bool:
    """Whether the net, or a part of it, is compiled."""
    return any(
        hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None
        for part in net.modules()
    )


@contextmanager
def eager(net: nn.Module) -> Iterator[None]:
    """Within, what is compiled of the net runs as it was written, hooks and all."""
    if not is_compiled(net):
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def one_graph(net: nn.Module) -> bool:
    """Whether the net as a whole is what `torch.compile` gave."""
    return hasattr(net, "_orig_mod") and hasattr(net, "dynamo_ctx")


def watched_pass(
    net: nn.Module, layers: Mapping[str, nn.Module], images: Images
) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits, and the layers' outputs by name, in one graph compiled as the net was.

    Args:
        net: what `torch.compile` gave.
        layers: of it.
        images: as for the net.
    """
    passes = _PASSES.setdefault(net, {})
    if (names := tuple(layers)) not in passes:
        whole: Any = net
        passes[names] = whole.dynamo_ctx(traceable(whole._orig_mod, layers))
    with torch.compiler.set_stance("default"):  # callers run the rest in eager mode
        answer, outputs = passes[names](images)
    return logits_of(answer), outputs
