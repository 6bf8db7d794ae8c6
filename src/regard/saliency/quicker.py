"""Many passes of one net without gradients, quicker: norms and ReLUs within convolutions.

What is gained is kept only where the net's answer stays the same to 1e-5.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from regard.saliency.foldable import Finder
from regard.saliency.folded import Folded
from regard.saliency.folding import Folding, Strayed

AGREEMENT = 1e-5
Answer = Callable[[Tensor, Tensor], Tensor]


def quicker(
    answer: Answer,
    pixels: Tensor,
    dtype: torch.dtype | None = None,
    *,
    logits: Tensor | None = None,
    steady: bool = True,
) -> Answer:
    """A quicker way to a net's answers, where there is one that agrees; else the same one.

    Tried on the first and the last image: folded norms with channels last, channels last alone.

    Args:
        answer: from pixels (n, 3, H, W) and rows (n,) to logits.
        pixels: (B, 3, H, W).
        dtype: for autocast; None is as the net runs.
        logits: of the pixels, where they are known already.
        steady: whether an image's logits are its own; where not, nothing can be tried.
    """
    if not steady:
        return _autocasting(answer, dtype)
    # Two: of one image alone, channels last can be viewed in ways that those of a batch cannot.
    rows = torch.tensor([0, len(pixels) - 1], device=pixels.device)
    asked = rows if logits is None else rows[:1]
    with torch.no_grad():
        with Finder() as finder:
            found = answer(pixels[asked], asked)
        expected = found.clone() if logits is None else logits[rows]
    folds = finder.folds()
    for tried in [folds, []] if any(folds) else [[]]:
        if _agrees(_folding(answer, tried, None), pixels[rows], rows, expected):
            return _folding(answer, tried, dtype)
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


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, as far as torch can say."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    ask = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or ask is None:
        return False
    return any(ask().get(unit) for unit in ("avx512_bf16", "amx_bf16", "bf16"))
