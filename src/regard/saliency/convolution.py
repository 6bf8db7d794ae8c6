"""A convolution whose second derivatives take torch's quick kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.saliency.convolution_gradients import Geometry, convolved


def convolve(
    given: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """As `torch.conv2d`, of images (B, C, H, W)."""
    given, weight, bias = _cast(given, weight, bias)
    dilations = _pair(dilation)
    if isinstance(padding, str):
        given, padding = _padded(given, weight, padding, dilations)
    how = Geometry(_pair(stride), _pair(padding), dilations, groups)
    return convolved(given, weight, bias, how)


def _pair(value: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value, value)
    return (*value,) * 2 if len(value) == 1 else (*value,)


def _padded(
    given: Tensor, weight: Tensor, padding: str, dilation: Sequence[int]
) -> tuple[Tensor, tuple[int, int]]:
    """The input and the padding that is left for both sides, of padding `same` or `valid`."""
    if padding == "valid":
        return given, (0, 0)
    height, width = (d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True))
    if height % 2 or width % 2:
        given = F.pad(given, (0, width % 2, 0, height % 2))
    return given, (height // 2, width // 2)


def _cast(
    given: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As autocast does it, in sight of the graph."""
    device = given.device.type
    if not torch.is_autocast_enabled(device):
        return given, weight, bias
    kind = torch.get_autocast_dtype(device)
    return _lower(given, kind), _lower(weight, kind), None if bias is None else _lower(bias, kind)


def _lower(tensor: Tensor, kind: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.to(kind)
