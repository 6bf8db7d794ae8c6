"""How the positions of a layer's output lie: as a map, with channels last, or as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

# A class token, a distillation token, registers: what stands before the patches.
MOST_PREFIX = 16
Kind = Literal["map", "channels last", "tokens"]


@dataclass(frozen=True)
class Visit:
    """One module's output in a forward pass, in order of completion.

    Attributes:
        name: dotted name in the net.
        module: the module itself.
        shape: of its output tensor.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The way from a layer's output to feature maps (B, C, h, w).

    Attributes:
        kind: `map` for (B, C, h, w), `channels last` for (B, h, w, C), `tokens` for (B, N, C).
        grid: (h, w).
        prefix: tokens before those of the patches.
    """

    kind: Kind
    grid: tuple[int, int]
    prefix: int = 0

    def maps(self, output: Tensor) -> Tensor:
        """The output as maps (B, C, h, w), without the prefix tokens."""
        if self.kind == "map":
            return output
        if self.kind == "channels last":
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.prefix :]
        return patches.transpose(1, 2).unflatten(2, self.grid)

    def output(self, maps: Tensor, like: Tensor) -> Tensor:
        """The inverse of `maps`; prefix tokens are those of `like`."""
        if self.kind == "map":
            return maps
        if self.kind == "channels last":
            return maps.permute(0, 2, 3, 1)
        return torch.cat([like[:, : self.prefix], maps.flatten(2).transpose(1, 2)], 1)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether an output of this shape lies so."""
        height, width = self.grid
        if self.kind == "tokens":
            return len(shape) == 3 and shape[1] == self.prefix + height * width
        places = shape[2:] if self.kind == "map" else shape[1:3]
        return len(shape) == 4 and tuple(places) == self.grid


def layout_of(visit: Visit, visits: Sequence[Visit], size: tuple[int, int]) -> Layout | None:
    """How a module's output lies; None if it has no positions, or one only.

    Tokens lie on the grid of the convolution that made them: the map before them with as many
    positions, up to as few prefix tokens as there can be. Without one, on a grid of the image's
    shape.

    Args:
        visit: of the module.
        visits: all of the pass, in order.
        size: (H, W) of the image.
    """
    shape = visit.shape
    if len(shape) == 4 and shape[0] == 1 and not isinstance(visit.module, nn.Softmax):
        if _lies_last(visit, visits):
            return (
                Layout("channels last", (shape[1], shape[2])) if shape[1] * shape[2] > 1 else None
            )
        return Layout("map", (shape[2], shape[3])) if shape[2] * shape[3] > 1 else None
    if len(shape) == 3 and shape[0] == 1 and shape[1] > 1:
        return _tokens(visit, visits, size)
    return None


def _tokens(visit: Visit, visits: Sequence[Visit], size: tuple[int, int]) -> Layout | None:
    count = visit.shape[1]
    before = visits[: visits.index(visit)]
    grids = [v.shape[2:] for v in reversed(before) if len(v.shape) == 4 and _of_image(v, size)]
    fitting = [g for g in grids if g[0] * g[1] > 1 and 0 <= count - g[0] * g[1] <= MOST_PREFIX]
    if fitting:
        height, width = max(fitting, key=lambda grid: grid[0] * grid[1])
        return Layout("tokens", (height, width), count - height * width)
    for prefix in range(MOST_PREFIX + 1):
        for height in range(1, count - prefix + 1):
            width, rest = divmod(count - prefix, height)
            if not rest and height * width > 1 and height * size[1] == width * size[0]:
                return Layout("tokens", (height, width), prefix)
    return None


def _of_image(visit: Visit, size: tuple[int, int]) -> bool:
    """Whether a map has the image's shape, up to rounding."""
    height, width = visit.shape[2:]
    return abs(height * size[1] - width * size[0]) <= max(size)


def _lies_last(visit: Visit, visits: Sequence[Visit]) -> bool:
    """Whether the last axis holds the channels: a layer over that axis made the output."""
    if any(True for _ in visit.module.children()):
        inside = (
            v for v in visits if v.name.startswith(visit.name + ".") and v.shape == visit.shape
        )
        return any(_over_last(v) for v in inside)
    return _over_last(visit)


def _over_last(visit: Visit) -> bool:
    match visit.module:
        case nn.LayerNorm(normalized_shape=(channels,)) | nn.Linear(out_features=channels):
            return visit.shape[-1] == channels != visit.shape[1]
    return False
