"""Calls of torch's functions, as a function mode sees them."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor


def used(output: Any) -> bool:
    """Whether a call that gave this used what it was given; asking for a shape does not."""
    return output is None or any(isinstance(value, Tensor) for value in given_to((output,), {}))


def alike(these: tuple[Any, ...] | None, those: tuple[Any, ...]) -> bool:
    """Whether they are the same tensors and equal numbers."""
    return these is not None and all(
        this is that if isinstance(this, Tensor) or isinstance(that, Tensor) else this == that
        for this, that in zip(these, those, strict=True)
    )


def given_to(args: tuple, kwargs: dict[str, Any]) -> Iterator[Any]:
    """The arguments, and what is in lists of them."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    """Of a call of `conv2d`: weight, bias and how it moves."""
    return weight, bias, (stride, padding, dilation, groups)


def norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Any, ...] | None:
    """Of a call of `batch_norm`: what it computes with; None in training."""
    return None if training else (running_mean, running_var, weight, bias, eps)
