"""What a net wants to be fed."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class InputSpec:
    """Size and normalisation of a net's input; the defaults are ImageNet's.

    Attributes:
        size: (H, W), pixels.
        mean, std: of the channels, for pixels in 0..1.
        interpolation: that the weights were trained with.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"


def input_spec(net: nn.Module) -> InputSpec:
    """What the net wants, from its own `input_spec` or timm's configuration; else ImageNet's."""
    own = getattr(net, "input_spec", None)
    if isinstance(own, InputSpec):
        return own
    cfg: dict[str, Any] = getattr(net, "pretrained_cfg", None) or {}
    if not cfg:
        return InputSpec()
    height, width = cfg["input_size"][-2:]
    mode = cfg.get("interpolation", "bilinear")
    return InputSpec(
        (height, width),
        tuple(cfg["mean"]),
        tuple(cfg["std"]),
        mode if mode in ("bilinear", "bicubic") else "bilinear",
    )
