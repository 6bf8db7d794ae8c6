"""What a net answers with."""

from typing import Any

from torch import Tensor

from regard.errors import ModelError


def logits_of(output: Any) -> Tensor:
    """The logits in a net's output: the tensor itself, or its `.logits`."""
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise ModelError(
            "net",
            expected="logits as a tensor, or an object with .logits",
            found=type(output).__name__,
            remedy="wrap the net so that it returns logits",
        )
    return logits
