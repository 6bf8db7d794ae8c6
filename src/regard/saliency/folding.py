"""Passes of a net with norms and activations within its convolutions.

A function mode meets the convolutions and norms of a net of any make. A pass counts only where it
goes the way of the one in which they were found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.saliency.calls import alike, convolution, given_to, norm, used
from regard.saliency.capture import constant
from regard.saliency.folded import IN_PLACE, Activation, Folded, activation

# Where a tensor keeps what is due; it goes with the tensor, and is found faster than in a table.
_DUE = "_regard_due"


class Strayed(Exception):
    """The net goes another way than in the pass that was looked at."""


@dataclass(frozen=True)
class _Due:
    """What the net has to do next with an output, which is in it already; nothing else may be."""

    norm: tuple[Any, ...] | None = None
    activation: Activation | None = None


class Folding(TorchFunctionMode):
    """Runs the folded convolutions, and skips the norms and activations that are in them.

    A convolution with other weights than were folded is run as it is.

    Raises:
        Strayed: an output is not used as it was when it was looked at.
    """

    def __init__(self, folds: list[Folded | None]) -> None:
        super().__init__()
        self._folds = iter(folds)

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        for given in given_to(args, kwargs):
            if isinstance(given, Tensor) and hasattr(given, _DUE):
                return self._go_on(given, func, args, kwargs)
        if func is F.conv2d and (folded := next(self._folds, None)) is not None:
            if alike(convolution(*args, **kwargs), folded.convolution):
                output, fused = folded(args[0] if args else kwargs["input"])
                return _marked(output, folded.norm, folded.activation if fused else None)
        return func(*args, **kwargs)

    def waits_for(self, value: Any) -> bool:
        """Whether it is an output with more in it than in the net's own."""
        return isinstance(value, Tensor) and hasattr(value, _DUE)

    def _go_on(self, given: Tensor, func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        due: _Due = getattr(given, _DUE)
        if due.norm and func is F.batch_norm and alike(norm(*args, **kwargs), due.norm):
            return self._next(given, due.activation)
        if not due.norm and due.activation and activation(func, args, kwargs) == due.activation:
            if any(flag is True for flag in (*args, *kwargs.values())) or func in IN_PLACE:
                delattr(given, _DUE)
                return given
            return self._next(given, None)
        if used(output := func(*args, **kwargs)):
            raise Strayed
        return output

    def _next(self, given: Tensor, follows: Activation | None) -> Tensor:
        """The same under another name: the one that was given is not used again."""
        output = constant(given)
        _marked(given)
        return _marked(output, activation=follows) if follows else output


def _marked(
    output: Tensor, norm: tuple[Any, ...] | None = None, activation: Activation | None = None
) -> Tensor:
    """The output, with a note of what the net has to do with it next."""
    setattr(output, _DUE, _Due(norm, activation))
    return output
