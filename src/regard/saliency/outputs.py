"""What a net answers with, and the type that its answers are computed with."""

from typing import Any

import torch
from torch import Tensor

from regard.errors import ModelError


def logits_of(output: Any) -> Tensor:
    """The logits in a net's output: the tensor itself, or its `.logits`.

    Raises:
        ModelError: no tensor, and none at `.logits`.
    """
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise ModelError(
            "net",
            expected="logits as a tensor, or an object with .logits",
            found=type(output).__name__,
            remedy="wrap the net so that it returns logits",
        )
    return logits


def precise_type(values: Tensor) -> torch.dtype:
    """float32, or float64 for values in float64: what sums are kept in."""
    return torch.promote_types(values.dtype, torch.float32)


def precise(values: Tensor) -> Tensor:
    """The values in their `precise_type`."""
    return values.to(precise_type(values))
