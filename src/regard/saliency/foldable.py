"""Which batch norms and activations of a net can be folded into the convolutions before them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.saliency.calls import convolution, given_to, norm, used
from regard.saliency.folded import Activation, Folded, activation, fold


@dataclass
class _Made:
    """A convolution of the pass that is looked at, and what became of its output.

    Attributes:
        call: weight, bias and the rest.
        output: of the convolution.
        norms: its uses; None is one that is no batch norm.
        normed: what the norm gave.
        acts: uses of that, until one changed it in place; None is one that cannot be fused.
    """

    call: tuple[Any, ...]
    output: Tensor
    norms: list[tuple[Any, ...] | None] = field(default_factory=list)
    normed: Tensor | None = None
    acts: list[Activation | None] = field(default_factory=list)

    def met(self, func: Callable, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        """Note what was done to this: to the convolution's output, or to what the norm gave."""
        if any(value is self.output for value in given_to(args, kwargs)):
            self.norms.append(norm(*args, **kwargs) if func is F.batch_norm else None)
            self.normed = output
        elif self.normed is not None:
            self.acts.append(activation(func, args, kwargs))
            if output is self.normed:  # changed in place, it is no longer what the norm gave
                self.normed = None

    def folded(self) -> Folded | None:
        """With the norm folded in; None where there is none, or others use the output too."""
        if len(self.norms) != 1 or not self.norms[0]:
            return None
        return fold(self.call, self.norms[0], self.acts[0] if len(self.acts) == 1 else None)


class Finder(TorchFunctionMode):
    """Finds in a pass the convolutions whose output goes into a batch norm and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[_Made] = []
        # Which of them an output, or what a norm gave, is of; kept, so that an id stays its own.
        self._of: dict[int, _Made] = {}
        self._kept: list[Tensor] = []

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if not used(output):
            return output
        met = (self._of.get(id(value)) for value in given_to(args, kwargs))
        for made in {id(made): made for made in met if made}.values():
            made.met(func, args, kwargs, output)
            self._know(made.normed, made)
        if func is F.conv2d and isinstance(output, Tensor):
            self._made.append(_Made(convolution(*args, **kwargs), output))
            self._know(output, self._made[-1])
        return output

    def _know(self, value: Any, made: _Made) -> None:
        if isinstance(value, Tensor) and id(value) not in self._of:
            self._of[id(value)] = made
            self._kept.append(value)

    def folds(self) -> list[Folded | None]:
        """Of each convolution in order; None where there is nothing to fold."""
        return [made.folded() for made in self._made]
