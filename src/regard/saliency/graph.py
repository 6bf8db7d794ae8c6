"""Where the graph of a gradient begins, where it ends, and which way it goes."""

from typing import Any

from torch import Tensor
from torch.autograd import Function


def leaf(tensor: Tensor) -> Tensor:
    """The tensor as the beginning of a graph."""
    return tensor.detach().requires_grad_()


def constant(tensor: Tensor) -> Tensor:
    """The same values as a constant: no loss on them reaches what they were made from."""
    return tensor.detach()


def valued(given: Tensor, values: Tensor) -> Tensor:
    """A tensor with the values of another that was computed in another way."""
    return _Valued.apply(given, values)


class _Valued(Function):
    """The second tensor; backward: g, to the first."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
