"""Many passes of one net without gradients, quicker: batch norms folded into convolutions.

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
class Folded:
    """A convolution with the norm after it folded in."""

    weight: Tensor
    bias: Tensor
    rest: tuple[Any, ...]

    def to(self, dtype: torch.dtype | None) -> "Folded":
        """With channels last, and in that type."""
        weight = self.weight.contiguous(memory_format=torch.channels_last)
        return (
            Folded(weight.to(dtype), self.bias.to(dtype), self.rest)
            if dtype
            else Folded(weight, self.bias, self.rest)
        )


@dataclass
class _Made:
    """A convolution of the pass that is looked at, and what its output went into."""

    call: tuple[Any, ...]
    output: Tensor
    used: list[tuple[Any, ...] | None] = field(default_factory=list)


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
        if getattr(func, "__name__", "") != "__get__":  # asking for a shape uses nothing
            for made in self._made:
                if any(value is made.output for value in _given(args, kwargs)):
                    norm = _norm(*args, **kwargs) if func is F.batch_norm else None
                    made.used.append(norm)
        output = func(*args, **kwargs)
        if func is F.conv2d:
            self._made.append(_Made(_convolution(*args, **kwargs), output))
        return output

    def folds(self) -> list[Folded | None]:
        """Of each convolution in order; None where there is nothing to fold."""
        return [
            _fold(made.call, made.used[0]) if len(made.used) == 1 and made.used[0] else None
            for made in self._made
        ]


class Folding(TorchFunctionMode):
    """Runs the folded convolutions, and skips the norms that were folded in."""

    def __init__(self, folds: list[Folded | None]) -> None:
        super().__init__()
        self._folds = iter(folds)
        self._waiting: Tensor | None = None

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        kwargs = kwargs or {}
        if func is F.conv2d and (fold := next(self._folds, None)) is not None:
            given = args[0] if args else kwargs["input"]
            self._waiting = F.conv2d(given, fold.weight, fold.bias, *fold.rest)
            return self._waiting
        if func is F.batch_norm and self._waiting is not None:
            given = args[0] if args else kwargs["input"]
            if given is self._waiting:
                self._waiting = None
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


def _fold(convolution: tuple[Any, ...], norm: tuple[Any, ...]) -> Folded:
    weight, bias, rest = convolution
    mean, variance, scale, shift, eps = norm
    factor = (variance.double() + eps).rsqrt() * (1 if scale is None else scale.double())
    centre = -mean.double() if bias is None else bias.double() - mean.double()
    offset = centre * factor + (0 if shift is None else shift.double())
    folded = (weight.double() * factor[:, None, None, None]).to(weight.dtype)
    return Folded(folded, offset.to(weight.dtype), rest)


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, as far as torch can say."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    ask = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or ask is None:
        return False
    return any(ask().get(unit) for unit in ("avx512_bf16", "amx_bf16", "bf16"))
