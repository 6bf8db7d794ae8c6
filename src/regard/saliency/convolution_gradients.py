"""A convolution and its two gradients, each other's derivatives, of whatever order.

Torch makes the gradient of a convolution's gradient with respect to the weight by a convolution of
transposed tensors, which is several times slower than the kernel of first derivatives, used here.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function


class Geometry(NamedTuple):
    """How a kernel moves."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def convolved(given: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry) -> Tensor:
    """The convolution of images (B, C, H, W), with quick gradients of every order."""
    answer = _Convolution.apply(given, weight, bias, how)
    if not weight.requires_grad and not (bias is not None and bias.requires_grad):
        return answer
    return _Joined.apply(answer, _OfParameters.apply(weight, bias, [given], how, answer.shape))


class _Convolution(Function):
    """The convolution, for the gradient of its input alone.

    A backward function in Python is not told which gradients are asked for. That of the weight is
    left to a node of its own, so that the gradient of the pixels does not pay for it.
    """

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, weight: Tensor, bias: Tensor | None, how: Geometry
    ) -> Tensor:
        ctx.save_for_backward(given, weight)
        ctx.how = how
        with torch.autocast(given.device.type, enabled=False):
            return torch.conv2d(given, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given, weight = ctx.saved_tensors
        return _OfInput.apply(gradients[0], weight, given, ctx.how), None, None, None


class _OfParameters(Function):
    """Zeros that take no memory; backward: the gradients of the weight and the bias.

    The input comes in a list: it is kept with its graph, but no gradient for it is expected here.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor | None,
        given: list[Tensor],
        how: Geometry,
        shape: torch.Size,
    ) -> Tensor:
        ctx.save_for_backward(*given, weight)
        ctx.how = how
        return weight.new_zeros(()).expand(shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given, weight = ctx.saved_tensors
        of_weight, of_bias = ctx.needs_input_grad[:2]
        return (
            _OfWeight.apply(given, gradients[0], weight, ctx.how) if of_weight else None,
            gradients[0].sum((0, 2, 3)) if of_bias else None,
            None,
            None,
            None,
        )


class _Joined(Function):
    """The first of two tensors; both get its gradient."""

    @staticmethod
    def forward(ctx: Any, answer: Tensor, zeros: Tensor) -> Tensor:
        # Not a view, which a rectifier could not change in place.
        ctx.mark_dirty(answer)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        return gradients[0], gradients[0]


class _OfInput(Function):
    """The gradient with respect to the input: linear in the output's gradient and the weight."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, given: Tensor, how: Geometry) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.how = how
        return _kernel(gradient, given, weight, how, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        (outer,) = gradients
        of_gradient, of_weight = ctx.needs_input_grad[:2]
        return (
            _Convolution.apply(outer, weight, None, ctx.how) if of_gradient else None,
            _OfWeight.apply(outer, gradient, weight, ctx.how) if of_weight else None,
            None,
            None,
        )


class _OfWeight(Function):
    """The gradient with respect to the weight: linear in the input and the output's gradient."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, gradient: Tensor, weight: Tensor, how: Geometry) -> Tensor:
        ctx.save_for_backward(given, gradient)
        ctx.how = how
        return _kernel(gradient, given, weight, how, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given, gradient = ctx.saved_tensors
        (outer,) = gradients
        of_input, of_gradient = ctx.needs_input_grad[:2]
        return (
            _OfInput.apply(gradient, outer, given, ctx.how) if of_input else None,
            _Convolution.apply(given, outer, None, ctx.how) if of_gradient else None,
            None,
            None,
        )


def _kernel(gradient: Tensor, given: Tensor, weight: Tensor, how: Geometry, which: int) -> Tensor:
    mask = [position == which for position in range(3)]
    *moves, groups = how
    return torch.ops.aten.convolution_backward(
        gradient, given, weight, None, *moves, False, [0, 0], groups, mask
    )[which]
