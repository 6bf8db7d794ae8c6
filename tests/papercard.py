"""A second device made of paper: the processor's own memory under another device's name.

Within `papercard()` tensors and nets can be put on `card:0`. Each such tensor holds one of the
processor, with which its operations are computed, so that all numbers are the processor's; but as
on a GPU an operation of tensors of both is refused, and so is NumPy. What passes here leaves no
tensor on the wrong side.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "card"


class _Module(_DummyBackendModule):
    """`torch.card`."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


# Once in a process, before anything is differentiated: torch counts devices then.
_setup_privateuseone_for_python_backend(NAME, _Module())
aten = torch.ops.aten
# These take tensors of both, as on a GPU: a copy, and indices that lie on the processor.
_MIXED = {
    aten._to_copy.default,
    aten.copy_.default,
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
_TO_PYTHON = {aten._local_scalar_dense.default, aten.equal.default}


class OnCard(Tensor):
    """A tensor of the card; `inner` is the processor's that it is computed with."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnCard":
        own = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        own.inner = inner
        return own

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """Python's numbers go through the processor, both ways; memory is that of `inner`."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is Tensor.tolist:
            return func(args[0].cpu())
        if func in (Tensor.data_ptr, Tensor.untyped_storage) and isinstance(args[0], OnCard):
            return func(args[0].inner)
        if func not in (torch.tensor, torch.as_tensor) or kwargs.get("device") is None:
            return func(*args, **kwargs)
        device = kwargs.pop("device")
        return func(*args, **kwargs).to(device)


class _Card(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


def _computed(func, args, kwargs):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    card = [tensor for tensor in tensors if isinstance(tensor, OnCard)]
    # A number in a tensor may come from the processor.
    others = [t for t in tensors if not isinstance(t, OnCard) and t.dim() > 0]
    if card and others and func not in _MIXED:
        raise RuntimeError(f"{func}: expected all tensors on one device, found {NAME}:0 and cpu")
    device = kwargs.get("device")
    onto = bool(card) if device is None else torch.device(device).type == NAME
    if func is aten.copy_.default:
        onto = isinstance(args[0], OnCard)
    args, kwargs = tree_map(_inner, (args, kwargs))
    if device is not None:
        kwargs["device"] = "cpu"
    with _disable_current_modes():
        found = func(*args, **kwargs)
    if not onto or func in _TO_PYTHON:
        return found
    same = {id(tensor.inner): tensor for tensor in card}
    return tree_map(
        lambda t: (same[id(t)] if id(t) in same else OnCard(t)) if isinstance(t, Tensor) else t,
        found,
    )


def _inner(leaf):
    return leaf.inner if isinstance(leaf, OnCard) else leaf


@contextmanager
def papercard() -> Iterator[str]:
    """Within, this machine has the device that it yields."""
    with _Made(), _Card():
        yield f"{NAME}:0"
