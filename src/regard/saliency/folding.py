"""Many passes of one net without gradients, quicker: norms and ReLUs within convolutions.

A function mode meets the convolutions and norms of a net of any make. What is gained is kept
only where the net's answer stays the same to 1e-5.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.saliency.folded import Activation, Folded, activation, fold

AGREEMENT = 1e-5
Answer = Callable[[Tensor, Tensor], Tensor]


def quicker(answer: Answer, pixels: Tensor, dtype: torch.dtype | None = None) -> Answer:
    """A quicker way to a net's answers, where there is one that agrees; else the same one.

    Tried on one image: folded norms with channels last, channels last alone.

    Args:
        answer: from pixels (n, 3, H, W) and rows (n,) to logits.
        pixels: (B, 3, H, W), of which the first is tried.
        dtype: for autocast; None is as the net runs.
    """
    row = torch.zeros(1, dtype=torch.long, device=pixels.device)
    with torch.no_grad(), Finder() as finder:
        expected = answer(pixels[:1].clone(), row)
    folds = finder.folds()
    for found in [folds, []] if any(folds) else [[]]:
        if _agrees(_folding(answer, found, None), pixels[:1], row, expected):
            return _folding(answer, found, dtype)
    return _autocasting(answer, dtype)


def _agrees(answer: Answer, pixels: Tensor, row: Tensor, expected: Tensor) -> bool:
    try:
        with torch.no_grad():
            found = answer(pixels.clone(), row)
    except RuntimeError:  # a view of what lies otherwise in memory
        return False
    return bool((found - expected).abs().max() <= AGREEMENT * expected.abs().max())


def _folding(answer: Answer, folds: "list[Folded | None]", dtype: torch.dtype | None) -> Answer:
    cast = [fold and fold.to(dtype) for fold in folds]
    inner = _autocasting(answer, dtype)

    def quick(pixels: Tensor, rows: Tensor) -> Tensor:
        with Folding(cast):
            return inner(pixels.contiguous(memory_format=torch.channels_last), rows)

    return quick


def _autocasting(answer: Answer, dtype: torch.dtype | None) -> Answer:
    def cast(pixels: Tensor, rows: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, dtype):
            return answer(pixels, rows)

    return answer if dtype is None else cast


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
        """Note what was done, if it was done to this."""
        given = list(_given(args, kwargs))
        if any(value is self.output for value in given):
            self.norms.append(_norm(*args, **kwargs) if func is F.batch_norm else None)
            self.normed = output
        elif self.normed is not None and any(value is self.normed for value in given):
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

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if not any(isinstance(value, Tensor) for value in _given((output,), {})):
            return output  # asking for a shape uses nothing
        for made in self._made:
            made.met(func, args, kwargs, output)
        if func is F.conv2d and isinstance(output, Tensor):
            self._made.append(_Made(_convolution(*args, **kwargs), output))
        return output

    def folds(self) -> list[Folded | None]:
        """Of each convolution in order; None where there is nothing to fold."""
        return [made.folded() for made in self._made]


class Folding(TorchFunctionMode):
    """Runs the folded convolutions, and skips the norms and activations that are in them."""

    def __init__(self, folds: list[Folded | None]) -> None:
        super().__init__()
        self._folds = iter(folds)
        self._norm: Tensor | None = None
        self._activation: Tensor | None = None

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        if func is F.conv2d and (folded := next(self._folds, None)) is not None:
            self._norm, fused = folded(args[0] if args else kwargs["input"])
            self._activation = self._norm if fused else None
            return self._norm
        if func is F.batch_norm and self._norm is not None:
            given = args[0] if args else kwargs["input"]
            if given is self._norm:
                self._norm = None
                return given
        if self._activation is not None and activation(func, args, kwargs):
            if (given := next(_given(args, kwargs))) is self._activation:
                self._activation = None
                return given
        return func(*args, **kwargs)


def _given(args: tuple, kwargs: dict[str, Any]) -> Iterator[Any]:
    for value in (*args, *kwargs.values()):
        if isinstance(value, list | tuple):
            yield from value
        else:
            yield value


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    return weight, bias, (stride, padding, dilation, groups)


def _norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Any, ...] | None:
    return None if training else (running_mean, running_var, weight, bias, eps)


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, as far as torch can say."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    ask = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or ask is None:
        return False
    return any(ask().get(unit) for unit in ("avx512_bf16", "amx_bf16", "bf16"))
