"""Whether the positions of a layer lie where a map would draw them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointError

from regard.models.anatomy import Layer
from regard.saliency.attention_recorder import SOFTMAX
from regard.saliency.capture import Images, copied, evaluating, leaf, undisturbed, watch
from regard.saliency.observe import pixels_of, with_pixels

# Looked at along each side of the grid.
LOOKED_AT = 3


def lies_elsewhere(net: nn.Module, images: Images, layer: Layer) -> bool:
    """Whether most positions of a layer depend on the image, but not on it at their own place.

    That is seen with every attention giving nothing, so that a position learns of others by
    convolutions alone. Where all depends on all nothing is seen, and the answer is no.

    Args:
        net: left as it was.
        images: the first is looked at.
        layer: of the net.
    """
    first = copied(images, 1)
    start = leaf(pixels_of(first, None))
    with undisturbed(net), evaluating(net), torch.enable_grad(), _Apart():
        with watch({layer.name: layer.module}, cut=False) as seen:
            net(with_pixels(first, None, start.clone()))
        maps = layer.layout.maps(seen[layer.name])[0]
        try:
            found = [_is_away(maps, start, place) for place in _places(layer.layout.grid)]
        except CheckpointError:
            return False
    told = [away for away in found if away is not None]
    return 2 * sum(told) > len(told)


def _places(grid: tuple[int, int]) -> Iterator[tuple[int, int]]:
    rows, columns = (
        sorted({round(step * (side - 1) / (LOOKED_AT - 1)) for step in range(LOOKED_AT)})
        for side in grid
    )
    return ((row, column) for row in rows for column in columns)


def _is_away(maps: Tensor, pixels: Tensor, place: tuple[int, int]) -> bool | None:
    """Whether a position depends on pixels, but none around its own; None if on none at all."""
    values = maps[:, *place]
    # Weights that differ: the sum of what a norm gives depends on nothing.
    total = (values * torch.linspace(1, 2, len(values)).to(values)).sum()
    (gradient,) = torch.autograd.grad(total, pixels, retain_graph=True, allow_unused=True)
    if gradient is None or not bool(gradient.any()):
        return None
    rows, columns = (
        slice(max(0, (at - 1) * side // count), (at + 2) * side // count + 1)
        for at, side, count in zip(place, pixels.shape[2:], maps.shape[1:], strict=True)
    )
    return not bool(gradient[:, :, rows, columns].any())


class _Apart(TorchFunctionMode):
    """Lets every attention give zeros."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called in place of every function of torch."""
        answer = func(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention or func in SOFTMAX:
            return torch.zeros_like(answer)
        if func is F.multi_head_attention_forward:
            return torch.zeros_like(answer[0]), answer[1]
        return answer
