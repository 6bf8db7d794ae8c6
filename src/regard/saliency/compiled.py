"""Nets that went through torch.compile: one graph where that can be, eager mode where it cannot.

A compiled graph has no second derivative, and whether hooks that are registered later run in it is
left to chance. A pass whose maps need no gradient is compiled anew, from a net that keeps the
outputs of its layers.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, no_type_check
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.models.anatomy import bare
from regard.saliency.capture import Images
from regard.saliency.modules import modules_of
from regard.saliency.outputs import logits_of


def is_compiled(net: nn.Module) -> bool:
    """Whether the net, or a part of it, is compiled."""
    return modules_of(net).compiled(net)


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
    known = _KEEPERS.setdefault(net, {})
    if (names := tuple(layers)) not in known:
        whole: Any = net
        keeper = Keeper(whole._orig_mod, names)
        known[names] = keeper, whole.dynamo_ctx(keeper)
    keeper, run = known[names]
    keeper.follow()
    with torch.compiler.set_stance("default"):  # callers run the rest in eager mode
        answer, outputs = run(images)
    return logits_of(answer), dict(zip(names, outputs, strict=True))


class Keeper(nn.Module):
    """A net beside the net: the same modules and parameters, but some layers keep their outputs.

    Only the modules above those layers are copied, each without what it holds.

    Args:
        net: not compiled; left as it is.
        names: of its layers.
    """

    def __init__(self, net: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.copies: list[tuple[nn.Module, nn.Module]] = []
        self.net = self._copied(net)
        self.kept = [self._keep(bare(name)) for name in names]

    @no_type_check  # a checker of types would be traced, too
    def forward(self, images: Images) -> tuple[Any, list[Tensor]]:
        """The net's answer, and the layers' outputs in order."""
        answer = self.net(images)
        outputs = [layer.output for layer in self.kept]
        for layer in self.kept:  # which would keep the whole graph until the next pass
            layer.output = None
        return answer, outputs

    def follow(self) -> None:
        """Take on the modes of the net."""
        for module, copied in self.copies:
            copied.training = module.training

    def _copied(self, module: nn.Module) -> nn.Module:
        if any(copied is module for _, copied in self.copies):
            return module
        copied = copy.copy(module)
        copied._modules = dict(module._modules)
        self.copies.append((module, copied))
        return copied

    def _keep(self, name: str) -> "Keeping":
        *path, last = name.split(".")
        holder = self.net
        for part in path:
            holder._modules[part] = self._copied(holder.get_submodule(part))
            holder = holder.get_submodule(part)
        kept = Keeping(holder.get_submodule(last))
        holder._modules[last] = kept
        return kept


class Keeping(nn.Module):
    """A layer that keeps its output; a copy, lest what comes later work in place on it."""

    output: Tensor | None

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.output = layer, None

    @no_type_check
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's output."""
        output = self.layer(*args, **kwargs)
        self.output = output.clone()
        return output


_KEEPERS: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], tuple[Keeper, Any]]] = (
    WeakKeyDictionary()
)
