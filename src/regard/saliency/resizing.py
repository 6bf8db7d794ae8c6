"""Maps at another size, and the adjoint of that."""

from functools import lru_cache

import torch
from torch import Tensor, nn


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (B, h, w) at another size (H, W), bilinear.

    In a loss as products of matrices, for which a GPU needs no atomic sums in the backward pass: of
    a small map enlarged they take longer than the rest of the loss.
    """
    if maps.shape[1:] == size:
        return maps
    if maps.requires_grad:
        rows, columns = (
            _shares(old, new, maps.dtype, maps.device)
            for old, new in zip(maps.shape[1:], size, strict=True)
        )
        return rows @ maps @ columns.mT
    return nn.functional.interpolate(
        maps[:, None], size, mode="bilinear", align_corners=False
    ).squeeze(1)


def gathered(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values (B, H, W) summed up for the places of maps (B, h, w) that would be enlarged to them.

    The sum of a map at the size of the values, times these, is that of the map times what is
    gathered: the adjoint of `resize`.
    """
    if values.shape[1:] == size:
        return values
    rows, columns = (
        _shares(old, new, values.dtype, values.device)
        for old, new in zip(size, values.shape[1:], strict=True)
    )
    return rows.mT @ values @ columns


def pixels_by_place(size: tuple[int, int], like: Tensor) -> Tensor:
    """`gathered` of ones like these values (B, H, W): of one image, (h, w)."""
    return _pixels_by_place(size, like.shape[1:], like.dtype, like.device)


@lru_cache(maxsize=64)
def _pixels_by_place(
    size: tuple[int, int], full: torch.Size, dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return gathered(torch.ones(1, *full, dtype=dtype, device=device), size)[0]


@lru_cache(maxsize=64)
def _shares(old: int, new: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What of each of `old` places goes into each of `new` ones, (new, old)."""
    with torch.inference_mode(False), torch.no_grad():
        each = torch.eye(old, dtype=dtype, device=device)[None]
        return nn.functional.interpolate(each, new, mode="linear", align_corners=False)[0].mT
