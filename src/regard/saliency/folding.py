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
from torch.utils.weak import WeakTensorKeyDictionary

from regard.saliency.calls import alike, convolution, given_to, norm, used
from regard.saliency.capture import constant
from regard.saliency.folded import IN_PLACE, Activation, Folded, activation


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
        self._due = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        for given in given_to(args, kwargs):
            if self.waits_for(given):
                return self._go_on(given, func, args, kwargs)
        if func is F.conv2d and (folded := next(self._folds, None)) is not None:
            if alike(convolution(*args, **kwargs), folded.convolution):
                output, fused = folded(args[0] if args else kwargs["input"])
                self._due[output] = _Due(folded.norm, folded.activation if fused else None)
                return output
        return func(*args, **kwargs)

    def waits_for(self, value: Any) -> bool:
        """Whether it is an output with more in it than in the net's own."""
        return isinstance(value, Tensor) and value in self._due

    def _go_on(self, given: Tensor, func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        due = self._due[given]
        if due.norm and func is F.batch_norm and alike(norm(*args, **kwargs), due.norm):
            return self._next(given, due.activation)
        if not due.norm and due.activation and activation(func, args, kwargs) == due.activation:
            if any(flag is True for flag in (*args, *kwargs.values())) or func in IN_PLACE:
                del self._due[given]
                return given
            return self._next(given, None)
        if used(output := func(*args, **kwargs)):
            raise Strayed
        return output

    def _next(self, given: Tensor, follows: Activation | None) -> Tensor:
        """The same under another name: the one that was given is not used again."""
        self._due[given] = _Due()
        output = constant(given)
        if follows:
            self._due[output] = _Due(activation=follows)
        return output
