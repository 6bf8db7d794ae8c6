"""Functions exchanged for ones that have a second derivative, or have it more quickly."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from regard.saliency.convolution import convolve
from regard.saliency.graph import valued
from regard.saliency.normalisation import normalise


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Within, gradients have gradients also where torch's quickest functions would have none.

    The fused kernels of attention have no second derivative, nor has the hard sigmoid. Those of
    convolutions and batch norms are made more quickly than by torch, and are the same.
    """
    with sdpa_kernel(SDPBackend.MATH), _SecondDerivatives():
        yield


class _SecondDerivatives(TorchFunctionMode):
    """Exchanges hard sigmoids, convolutions and batch norms."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        exchange = EXCHANGES.get(func)
        given = args[0] if args else kwargs.get("input")
        if exchange is None or not isinstance(given, Tensor):
            return func(*args, **kwargs)
        other, suits = exchange
        if suits is not None and not (
            torch.is_grad_enabled()
            and given.requires_grad
            and not _recomputed()
            and suits(*args, **kwargs)
        ):
            return func(*args, **kwargs)
        return other(*args, **kwargs)


def _recomputed() -> bool:
    """Whether what is saved goes through hooks, as under activation checkpointing.

    It runs the functions again in the backward pass, outside of any mode, and wants the same.
    """
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)  # type: ignore[attr-defined]
    return hooks is not None


def _hard_sigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    manual = (input / 6 + 0.5).clamp(0, 1)
    with torch.no_grad():
        answer = F.hardsigmoid(input)
    answer = valued(manual, answer)
    return input.copy_(answer) if inplace else answer


def _ordinary_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> bool:
    """Of a batch, and not one that torch refuses."""
    strided = stride not in (1, (1, 1), [1, 1])
    refused = isinstance(padding, str) and padding != "valid" and (padding != "same" or strided)
    return input.ndim == 4 and _plain(input, weight, bias) and not refused


def _ordinary_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    *_: float,
    **__: float,
) -> bool:
    """Of several values a channel, and not one that torch refuses."""
    statistics = (running_mean, running_var)
    several = input.ndim > 1 and input.numel() > input.shape[1]
    known = training or (running_mean is not None and running_var is not None)
    return several and known and _plain(input, weight, bias, *statistics)


def _plain(*tensors: Tensor | None) -> bool:
    return all(
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.is_floating_point()
        and tensor.layout == torch.strided
        for tensor in tensors
        if tensor is not None
    )


# By torch's function: the other one, and when it takes its place (None: always).
EXCHANGES: dict[Any, tuple[Callable, Callable[..., bool] | None]] = {
    F.hardsigmoid: (_hard_sigmoid, None),
    F.conv2d: (convolve, _ordinary_convolution),
    F.batch_norm: (normalise, _ordinary_norm),
}
