"""A convolution with the batch norm after it folded in, and where it can be the ReLU too."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# The name that oneDNN knows it by, and its numbers.
Activation = tuple[str, tuple[float, ...]]
IN_PLACE = (torch.relu_, Tensor.relu_)
_RELUS = (F.relu, torch.relu, Tensor.relu, *IN_PLACE)


@dataclass
class Folded:
    """Runs a convolution and the norm after it as one.

    Attributes:
        weight, bias: of both.
        convolution: weight, bias and the rest: stride, padding, dilation and groups.
        norm: mean, variance, scale, shift and eps.
        activation: that follows, and on a CPU is run with them; None: there is none, or it is left
            to the net.
        packed: the weight as oneDNN wants it, after the first run on a CPU.
    """

    weight: Tensor
    bias: Tensor
    convolution: tuple[Any, ...]
    norm: tuple[Any, ...]
    activation: Activation | None = None
    packed: Tensor | None = None

    def to(self, dtype: torch.dtype | None) -> "Folded":
        """With channels last, and in that type; autocast leaves float64 as it is."""
        weight = self.weight.contiguous(memory_format=torch.channels_last)
        if dtype and weight.dtype != torch.float64:
            weight = weight.to(dtype)
        made = replace(self, weight=weight, packed=None)
        made.bias = self.bias.to(made.weight.dtype)
        return made

    @property
    def rest(self) -> tuple[Any, ...]:
        """Stride, padding, dilation and groups."""
        return self.convolution[2]

    @cached_property
    def one_call(self) -> bool:
        """Whether PyTorch has one call for all of it."""
        on_cpu = self.weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
        if not (on_cpu and hasattr(torch.ops.mkldnn, "_convolution_pointwise")):
            return False
        if self.weight.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        known = self.weight.dtype in (torch.float32, torch.bfloat16)
        return known and not isinstance(self.rest[1], str)  # padding of a fixed width

    def __call__(self, given: Tensor) -> tuple[Tensor, bool]:
        """The output, and whether the activation is in it."""
        if not self.one_call:
            return F.conv2d(given, self.weight, self.bias, *self.rest), False
        stride, padding, dilation = (_pair(value) for value in self.rest[:3])
        given = given.to(self.weight.dtype)
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, padding, stride, dilation, self.rest[3], list(given.shape)
            )
        name, numbers = self.activation or ("none", ())
        fixed = (padding, stride, dilation, self.rest[3], name, list(numbers), "")
        output = torch.ops.mkldnn._convolution_pointwise(given, self.packed, self.bias, *fixed)
        return output, self.activation is not None


def fold(convolution: tuple[Any, ...], norm: tuple[Any, ...], follows: Activation | None) -> Folded:
    """A convolution (weight, bias, rest) and a norm (mean, variance, scale, shift, eps) as one."""
    weight, bias, _ = convolution
    mean, variance, scale, shift, eps = norm
    factor = (variance.double() + eps).rsqrt() * (1 if scale is None else scale.double())
    centre = -mean.double() if bias is None else bias.double() - mean.double()
    offset = centre * factor + (0 if shift is None else shift.double())
    folded = (weight.double() * factor[:, None, None, None]).to(weight.dtype)
    return Folded(folded, offset.to(weight.dtype), convolution, norm, follows)


def activation(func: Callable, args: tuple, kwargs: dict[str, Any]) -> Activation | None:
    """The activation that a call of a function of torch is, if it is one of the ReLUs."""
    if func in _RELUS:
        return "relu", ()
    if func is F.relu6:
        return "hardtanh", (0.0, 6.0)
    if func is F.hardtanh:
        named = dict(zip(("input", "min_val", "max_val", "inplace"), args, strict=False)) | kwargs
        return "hardtanh", (float(named.get("min_val", -1)), float(named.get("max_val", 1)))
    return None


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
