"""Many passes of one net without gradients, quicker: norms and ReLUs within convolutions.

A function mode meets the convolutions and norms of a net of any make. What is gained is kept
only where the net's answer stays the same to 1e-5, and in passes that go the way of the first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from regard.saliency.capture import constant
from regard.saliency.folded import IN_PLACE, Activation, Folded, activation, fold

AGREEMENT = 1e-5
Answer = Callable[[Tensor, Tensor], Tensor]


def quicker(
    answer: Answer, pixels: Tensor, dtype: torch.dtype | None = None, *, steady: bool = True
) -> Answer:
    """A quicker way to a net's answers, where there is one that agrees; else the same one.

    Tried on the first and the last image: folded norms with channels last, channels last alone.

    Args:
        answer: from pixels (n, 3, H, W) and rows (n,) to logits.
        pixels: (B, 3, H, W).
        dtype: for autocast; None is as the net runs.
        steady: whether an image's logits are its own; where not, nothing can be tried.
    """
    if not steady:
        return _autocasting(answer, dtype)
    # Two: of one image alone, channels last can be viewed in ways that those of a batch cannot.
    rows = torch.tensor([0, len(pixels) - 1], device=pixels.device)
    with torch.no_grad(), Finder() as finder:
        expected = answer(pixels[rows], rows).clone()
    folds = finder.folds()
    for found in [folds, []] if any(folds) else [[]]:
        if _agrees(_folding(answer, found, None), pixels[rows], rows, expected):
            return _folding(answer, found, dtype)
    return _autocasting(answer, dtype)


def _agrees(answer: Answer, pixels: Tensor, rows: Tensor, expected: Tensor) -> bool:
    try:
        with torch.no_grad():
            found = answer(pixels, rows)
    except Exception:  # a view of what lies otherwise in memory, a net that asks how it lies
        return False
    return bool((found - expected).abs().max() <= AGREEMENT * expected.abs().max())


def _folding(answer: Answer, folds: "list[Folded | None]", dtype: torch.dtype | None) -> Answer:
    cast = [fold and fold.to(dtype) for fold in folds]
    inner = _autocasting(answer, dtype)

    def quick(pixels: Tensor, rows: Tensor) -> Tensor:
        try:
            with Folding(cast) as folding:
                found = inner(pixels.clone(memory_format=torch.channels_last), rows)
            if not folding.waits_for(found):
                return found
        except Strayed:
            pass
        cast.clear()
        return quick(pixels, rows)

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
        if not _used(output):
            return output
        for made in self._made:
            made.met(func, args, kwargs, output)
        if func is F.conv2d and isinstance(output, Tensor):
            self._made.append(_Made(_convolution(*args, **kwargs), output))
        return output

    def folds(self) -> list[Folded | None]:
        """Of each convolution in order; None where there is nothing to fold."""
        return [made.folded() for made in self._made]


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
        for given in _given(args, kwargs):
            if self.waits_for(given):
                return self._go_on(given, func, args, kwargs)
        if func is F.conv2d and (folded := next(self._folds, None)) is not None:
            if _alike(_convolution(*args, **kwargs), folded.convolution):
                output, fused = folded(args[0] if args else kwargs["input"])
                self._due[output] = _Due(folded.norm, folded.activation if fused else None)
                return output
        return func(*args, **kwargs)

    def waits_for(self, value: Any) -> bool:
        """Whether it is an output with more in it than in the net's own."""
        return isinstance(value, Tensor) and value in self._due

    def _go_on(self, given: Tensor, func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        due = self._due[given]
        if due.norm and func is F.batch_norm and _alike(_norm(*args, **kwargs), due.norm):
            return self._next(given, due.activation)
        if not due.norm and due.activation and activation(func, args, kwargs) == due.activation:
            if any(flag is True for flag in (*args, *kwargs.values())) or func in IN_PLACE:
                del self._due[given]
                return given
            return self._next(given, None)
        if _used(output := func(*args, **kwargs)):
            raise Strayed
        return output

    def _next(self, given: Tensor, follows: Activation | None) -> Tensor:
        """The same under another name: the one that was given is not used again."""
        self._due[given] = _Due()
        output = constant(given)
        if follows:
            self._due[output] = _Due(activation=follows)
        return output


def _used(output: Any) -> bool:
    """Whether a call that gave this used what it was given; asking for a shape does not."""
    return output is None or any(isinstance(value, Tensor) for value in _given((output,), {}))


def _alike(these: tuple[Any, ...] | None, those: tuple[Any, ...]) -> bool:
    """Whether they are the same tensors and equal numbers."""
    return these is not None and all(
        this is that if isinstance(this, Tensor) or isinstance(that, Tensor) else this == that
        for this, that in zip(these, those, strict=True)
    )


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
