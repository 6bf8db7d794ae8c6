"""Activation functions of a net of any make, changed in their gradient."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# As torch's modules, as functions and as methods; torch's ReLU6 is a hardtanh.
RECTIFIERS = {
    *(F.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_),
    *(F.relu6, F.hardtanh, F.hardtanh_, F.leaky_relu, F.leaky_relu_, F.elu, F.elu_),
    *(F.gelu, F.silu, F.hardswish),
}


class GuidedRectifiers(TorchFunctionMode):
    """Lets only positive gradients through rectifiers, and only where their input is positive.

    g * 1[g > 0] * 1[x > 0] at a ReLU. At the others, ReLU6 (any hardtanh), leaky ReLU, ELU, GELU,
    SiLU and hard swish, the factor of the gradient stays theirs: f'(x) relu(g) 1[x > 0]. Outputs
    are those of the plain net. Functions composed of others (a sigmoid times x) are not met.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = dict(kwargs or {})
        if func not in RECTIFIERS:
            return func(*args, **kwargs)
        given = kwargs.pop("input") if "input" in kwargs else args[0]
        # The copy is for functions that work in place.
        inner = _FromPositive.apply(given).clone()
        answer = _OfPositive.apply(func(inner, *args[1:], **kwargs))
        flags = [flag for flag in (*args[1:], *kwargs.values()) if isinstance(flag, bool)]
        in_place = any(flags) or func.__name__.endswith("_")
        return given.copy_(answer) if in_place else answer


class _FromPositive(Function):
    """The input itself; backward: g 1[x > 0]."""

    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        ctx.save_for_backward(given > 0)
        return given.view_as(given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return gradients[0] * positive


class _OfPositive(Function):
    """The input itself; backward: relu(g)."""

    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        return given.view_as(given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return torch.where(gradients[0] > 0, gradients[0], 0)
