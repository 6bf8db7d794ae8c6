"""A batch norm whose second derivatives are written out.

Torch composes them of some thirty operations on whole tensors. Here they are three reductions, one
of torch's own kernels, and a sum of three tensors with factors for each channel.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def normalise(
    given: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `torch.nn.functional.batch_norm`; there is no third derivative."""
    return _Normalised.apply(
        given, weight, bias, running_mean, running_var, training, momentum, eps
    )


class _Normalised(Function):
    """y = w n + b,  n = (x - mean) s,  s = 1 / sqrt(var + eps)."""

    @staticmethod
    def forward(
        ctx: Any,
        given: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        running = (running_mean, running_var)
        answer, mean, scale = torch.native_batch_norm(
            given, weight, bias, *running, training, momentum, eps
        )
        if not training:
            assert running_mean is not None
            assert running_var is not None
            mean, scale = running_mean.clone(), (running_var + eps).rsqrt()
        ctx.save_for_backward(given, weight, mean, scale)
        ctx.training = training
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given, weight, mean, scale = ctx.saved_tensors
        found, *sums = _Gradient.apply(gradients[0], given, weight, mean, scale, ctx.training)
        wanted = (weight is not None, ctx.needs_input_grad[2])
        sums = (each if want else None for each, want in zip(sums, wanted, strict=True))
        return found, *sums, None, None, None, None, None


class _Gradient(Function):
    """g to its gradients with respect to x, w and b.

    In training w s (g - <g> - n <g n>), with <> the mean of a channel; else w s g. Then the sums
    of g n and of g over a channel.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gradient: Tensor,
        given: Tensor,
        weight: Tensor | None,
        mean: Tensor,
        scale: Tensor,
        training: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        found, of_weight, of_bias = _back(gradient, given, weight, mean, scale, training)
        ctx.save_for_backward(gradient, given, weight, mean, scale, of_weight, of_bias)
        ctx.training = training
        return found, of_weight, of_bias

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        g, x, weight, mean, scale, sum_gn, sum_g = ctx.saved_tensors
        outer, of_weight, of_bias = gradients
        w = torch.ones_like(mean) if weight is None else weight
        count = x.numel() // x.shape[1]
        v = torch.zeros_like(x) if outer is None else outer
        of_gradient, sum_vn, sum_v = _back(v, x, weight, mean, scale, ctx.training)
        sum_vg = _sums(v, g, mean)
        if ctx.training:
            g_mean, gn_mean, v_mean, vn_mean = (
                each / count for each in (sum_g, sum_gn, sum_v, sum_vn)
            )
            along = sum_vg / count - v_mean * g_mean - vn_mean * gn_mean
            factor = -w * scale.square()
            # dx = of_v v + of_g g + of_n n + rest
            of_v, of_g = factor * gn_mean, factor * vn_mean
            of_n = factor * (along - 2 * vn_mean * gn_mean)
            rest = -factor * (v_mean * gn_mean + g_mean * vn_mean)
            of_w = scale * along * count
        else:
            of_v = of_g = of_n = rest = g_mean = gn_mean = torch.zeros_like(mean)
            of_w = scale * sum_vg
        if of_weight is not None:
            of_g = of_g + of_weight * scale
            of_n, rest = of_n - of_weight * scale * gn_mean, rest - of_weight * scale * g_mean
            of_gradient = of_gradient + _affine(x, of_weight * scale, -of_weight * scale * mean)
        if of_bias is not None:
            of_gradient = of_gradient + _wide(of_bias, x)
        of_x = None
        if ctx.training or of_weight is not None:
            of_x = _affine(x, of_n * scale, rest - of_n * scale * mean)
            of_x = of_x.addcmul_(v, _wide(of_v, v)).addcmul_(g, _wide(of_g, g)).to(x.dtype)
        of_w = None if weight is None else of_w.to(weight.dtype)
        return of_gradient.to(g.dtype), of_x, of_w, None, None, None


def _back(
    gradient: Tensor,
    given: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    scale: Tensor,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    weight = torch.ones_like(mean) if weight is None else weight.to(mean.dtype)
    if training:
        return _kernel(gradient, given, weight, mean, scale, [True, True, True])
    found = (gradient * _wide(weight * scale, gradient)).to(gradient.dtype)
    return found, *_kernel(gradient, given, weight, mean, scale, [False, True, True])[1:]


def _sums(one: Tensor, other: Tensor, like: Tensor) -> Tensor:
    """The sum of the product over each channel, without a tensor for the product."""
    zeros, ones = torch.zeros_like(like), torch.ones_like(like)
    return _kernel(one, other, ones, zeros, ones, [False, True, False])[1]


def _kernel(
    gradient: Tensor, given: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, mask: list[bool]
) -> tuple[Any, Any, Any]:
    """What the mask asks for, of the gradient of the input and the two sums; else None."""
    if gradient.stride() != given.stride():
        gradient = torch.empty_like(given, dtype=gradient.dtype).copy_(gradient)
    return torch.ops.aten.native_batch_norm_backward(
        gradient, given, weight, None, None, mean, scale, True, 0.0, mask
    )


def _affine(given: Tensor, factor: Tensor, summand: Tensor) -> Tensor:
    return torch.addcmul(_wide(summand, given), given, _wide(factor, given))


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """Values (C,) of channels, to go with a tensor (B, C, ...)."""
    return values.view(-1, *(1,) * (like.ndim - 2))
