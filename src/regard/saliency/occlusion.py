"""Occlusion."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.options import at_least_one
from regard.saliency.outputs import precise_type
from regard.saliency.seen import Seen
from regard.saliency.variants import Asker, in_cache, portions


@METHODS.register("occlusion")
class Occlusion(Method):
    """Occlusion: how much the logit falls when a window of the image is covered.

    mean over the windows w that cover the pixel of y(x) - y(x with w replaced)

    with x the pixels and y the target's logit. Signed. Windows begin at the multiples of the
    stride until the border is covered, where the last ones end.

    Reference: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks,
    arXiv:1311.2901, section 4.2, which maps the class's probability by the occluder's position;
    the fall of the logit, averaged over the windows that cover a pixel, is ours.

    Args:
        window: its side, in pixels.
        stride: from one window to the next, in pixels; at most the window's side.
        value: in place of the covered pixels, in the net's input: 0 is the mean colour. A
            number, or a tensor that broadcasts to (B, 3, H, W).
    """

    name: ClassVar[str] = "occlusion"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "mean over windows of y(x) - y(x with the window replaced)"
    passes: ClassVar[str] = "1 forward, and one a window"
    blind_to: ClassVar[str] = "evidence that is there twice: covering one copy changes little"
    nets: ClassVar[str] = "all"
    reference: ClassVar[str] = "arXiv:1311.2901 sec. 4.2"

    def __init__(self, *, window: int = 32, stride: int = 16, value: float | Tensor = 0.0) -> None:
        at_least_one(self.name, window=window, stride=stride)
        if stride > window:
            raise ConfigError(
                f"method {self.name}",
                expected="a stride of at most the window's side, so that every pixel is covered",
                found=f"stride {stride} and window {window}",
                remedy="make the stride smaller or the window larger",
            )
        self.window, self.stride, self.value = window, stride, value

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        pixels = seen.pixels
        rows, columns = (self._begins(side, pixels) for side in pixels.shape[2:])
        total = torch.zeros_like(pixels[:, 0], dtype=precise_type(pixels))
        covered = torch.zeros_like(total[0])
        fill = seen.beside(self.value)
        count = len(rows) * len(columns)
        ask = Asker(seen, count)
        whole = ask(pixels[None].clone())
        for part in portions(count, len(pixels), in_cache(pixels)):
            places = torch.tensor(part, device=pixels.device)
            down, across = rows[places // len(columns)], columns[places % len(columns)]
            hidden = down[:, :, None] & across[:, None]
            variants = torch.where(hidden[:, None, None], fill, pixels)
            # Of an image alone or among others a net's answers differ by rounding.
            same = (variants == pixels).flatten(2).all(2)
            falls = (whole - ask(variants)).to(total).masked_fill(same, 0)
            total = total + torch.einsum("kb,khw->bhw", falls, hidden.to(total))
            covered = covered + hidden.sum(0)
        return (total / covered).to(pixels.dtype)

    def _begins(self, side: int, pixels: Tensor) -> Tensor:
        """Which pixels of a side each window covers, bool (windows, side)."""
        count = 1 + max(0, math.ceil((side - self.window) / self.stride))
        first = self.stride * torch.arange(count, device=pixels.device)[:, None]
        place = torch.arange(side, device=pixels.device)
        return (place >= first) & (place < first + self.window)
