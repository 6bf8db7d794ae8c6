"""How the positions of a layer's output lie: as a map, with channels last, or as tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

# A class token, a distillation token, registers: what stands before the patches.
MOST_PREFIX = 16
Kind = Literal["map", "channels last", "tokens"]
Grid = tuple[int, int]


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
    grid: Grid
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

    Positions lie on a known grid: one of the image's shape, that of a convolution before, or one
    of those halved as the stages of a net do it. Channels lie last where a layer over the last
    axis made the output, or where the first axes alone are a known grid. Tokens lie on the grid
    with as many positions, up to as few prefix tokens as there can be; where none is known that
    fits, on one of exactly the image's shape.

    Args:
        visit: of the module.
        visits: all of the pass, in order.
        size: (H, W) of the image.
    """
    shape = visit.shape
    if len(shape) == 4 and shape[0] == 1 and not isinstance(visit.module, nn.Softmax):
        return _plane(visit, visits, size)
    if len(shape) == 3 and shape[0] == 1 and shape[1] > 1:
        return _tokens(visit, visits, size)
    return None


def last_visits(visits: Sequence[Visit]) -> list[Visit]:
    """Of each module the last visit, in order; what is watched of a pass is that."""
    last = {visit.name: index for index, visit in enumerate(visits)}
    return [visit for index, visit in enumerate(visits) if last[visit.name] == index]


def _plane(visit: Visit, visits: Sequence[Visit], size: tuple[int, int]) -> Layout | None:
    """Of an output with four axes."""
    first, last, before = (visit.shape[1], visit.shape[2]), _grid(visit), _before(visit, visits)
    over_last = any(map(_over_last, _makers(visit, before)))
    if (over_last or not _is_known(last, before, size)) and _is_known(first, before, size):
        return _of_several(Layout("channels last", first))
    return None if over_last else _of_several(Layout("map", last))


def _of_several(layout: Layout) -> Layout | None:
    return layout if layout.grid[0] * layout.grid[1] > 1 else None


def _tokens(visit: Visit, visits: Sequence[Visit], size: tuple[int, int]) -> Layout | None:
    count, before = visit.shape[1], _before(visit, visits)
    makers = _makers(visit, before)
    if isinstance((makers or [visit])[-1].module, nn.Flatten):
        return None  # a map whose positions lie last
    fitting = [g for g in _known(before, size) if 0 <= count - g[0] * g[1] <= MOST_PREFIX]
    grid = max(fitting, key=lambda grid: grid[0] * grid[1], default=None)
    if grid is not None and grid[0] * grid[1] == count:
        return Layout("tokens", grid)
    # Of a map (B, C, h, w) before it (B, C, N) has the numbers.
    if any((v.shape[1], v.shape[2] * v.shape[3]) == visit.shape[1:] for v in _maps(before, size)):
        return None
    if grid is None:
        return _guessed(count, size)
    return Layout("tokens", grid, count - grid[0] * grid[1])


def _guessed(count: int, size: tuple[int, int]) -> Layout | None:
    """So many tokens on a grid of exactly the image's shape."""
    for prefix in range(MOST_PREFIX + 1):
        for height in range(1, count - prefix + 1):
            width, rest = divmod(count - prefix, height)
            if not rest and height * width > 1 and height * size[1] == width * size[0]:
                return Layout("tokens", (height, width), prefix)
    return None


def _before(visit: Visit, visits: Sequence[Visit]) -> Sequence[Visit]:
    return visits[: next(index for index, other in enumerate(visits) if other is visit)]


def _grid(visit: Visit) -> Grid:
    """The last two axes of an output with four."""
    return visit.shape[2], visit.shape[3]


def _is_known(grid: Grid, before: Sequence[Visit], size: tuple[int, int]) -> bool:
    return _of_image(grid, size) or grid in _known(before, size)


def _known(before: Sequence[Visit], size: tuple[int, int]) -> list[Grid]:
    """The grids of a pass so far: those of its maps, and of its convolutions' halved."""
    maps = _maps(before, size)
    convolved = dict.fromkeys(_grid(v) for v in maps if isinstance(v.module, nn.Conv2d))
    halved = [half for grid in convolved for half in _halves(grid)]
    return list(dict.fromkeys([*map(_grid, maps), *halved]))


def _maps(before: Sequence[Visit], size: tuple[int, int]) -> list[Visit]:
    """Maps of the image's shape, the last one first; then those of convolutions of any shape."""
    planes = [v for v in reversed(before) if len(v.shape) == 4 and v.shape[2] * v.shape[3] > 1]
    shaped = [v for v in planes if _of_image(_grid(v), size)]
    return [*shaped, *(v for v in planes if isinstance(v.module, nn.Conv2d) and v.shape[0] == 1)]


def _halves(grid: Grid) -> Iterator[Grid]:
    """The grid at half its sides, rounded up as padding does, again and again."""
    while grid[0] * grid[1] > 2:
        grid = (grid[0] + 1) // 2, (grid[1] + 1) // 2
        if grid[0] * grid[1] > 1:
            yield grid


def _of_image(grid: Grid, size: tuple[int, int]) -> bool:
    """Whether a grid has the image's shape, up to rounding."""
    height, width = grid
    return abs(height * size[1] - width * size[0]) <= max(size)


def _makers(visit: Visit, visits: Sequence[Visit]) -> list[Visit]:
    """The module itself, or those without parts in it that gave an output of its shape."""
    if _is_single(visit):
        return [visit]
    parts = set(visit.module.modules())
    return [v for v in visits if v.module in parts and _is_single(v) and v.shape == visit.shape]


def _is_single(visit: Visit) -> bool:
    return next(visit.module.children(), None) is None


def _over_last(visit: Visit) -> bool:
    """Whether a module is a linear layer, or a norm, over the last axis, which holds channels."""
    module, (_, first, *_, last) = visit.module, visit.shape
    if isinstance(module, nn.Linear):
        return True
    if getattr(module, "normalized_shape", None) not in (last, (last,), [last]):
        return False
    # A norm over the channels of a map may say the same of itself.
    return first != last or type(module).forward in (nn.LayerNorm.forward, nn.RMSNorm.forward)
