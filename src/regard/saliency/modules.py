"""The modules of a net, which are looked at in each step of a training."""

from weakref import WeakKeyDictionary

from torch import nn

# As timm and transformers call what switches activation checkpointing on.
CHECKPOINTING = ("grad_checkpointing", "gradient_checkpointing")


class Modules:
    """What a net was made of, and whether it still is.

    The net itself is not held, as this is remembered for as long as there is the net.

    Args:
        net: whose modules they are.

    Attributes:
        structure: a number for the names and types of the modules.
    """

    def __init__(self, net: nn.Module) -> None:
        named = [*net.named_modules()]
        self.structure = hash(tuple((name, type(part)) for name, part in named))
        self._parts = [part for _, part in named[1:]]
        self._held = [part._modules for _, part in named]
        self._able = [
            (None if part is net else part, flag)
            for _, part in named
            for flag in CHECKPOINTING
            if hasattr(part, flag)
        ]
        self._children = self._now()

    def same(self) -> bool:
        """Whether no module was put in, taken out or exchanged."""
        return self._now() == self._children

    def modes(self, net: nn.Module) -> tuple[bool, ...]:
        """Which modules of the net are in training mode."""
        return tuple([net.training, *[part.training for part in self._parts]])

    def compiled(self, net: nn.Module) -> bool:
        """Whether the net, or a part of it, went through `torch.compile`."""
        if any("_orig_mod" in held for held in self._held):
            return True
        return any([part._compiled_call_impl is not None for part in (net, *self._parts)])

    def checkpointing(self, net: nn.Module) -> list[tuple[nn.Module, str]]:
        """The modules of the net that have activation checkpointing on, and what says so."""
        able = ((part or net, flag) for part, flag in self._able)
        return [(part, flag) for part, flag in able if getattr(part, flag) is True]

    def _now(self) -> list[tuple[nn.Module | None, ...]]:
        return [tuple(held.values()) for held in self._held]


def modules_of(net: nn.Module) -> Modules:
    """The modules of a net as it is now; the same object for as long as they are the same."""
    known = _KNOWN.get(net)
    if known is None or not known.same():
        known = _KNOWN[net] = Modules(net)
    return known


_KNOWN: WeakKeyDictionary[nn.Module, Modules] = WeakKeyDictionary()
