"""A segmenter run over large images in windows, and on their mirror images too."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from regard.errors import ConfigError, ModelError
from regard.images.size import Size

OVERLAP = 0.5


class Windows(nn.Module):
    """Answers of a segmenter to images of any size, averaged over windows and mirror images.

    The logits of a pixel are the weighted mean of those from the windows that hold it. The weight
    falls evenly from a window's centre to its edges, where a net sees padding in place of what
    lies beyond: (1 - |2y/h - 1|)(1 - |2x/w - 1|) at the pixel's centre, (y, x) of (h, w). So no
    seam is left where a window ends. With `flip` the outcome is averaged with that of the image
    mirrored left to right, mirrored back.

    Logits are averaged and not probabilities: one window that holds the whole image then gives
    the net's own logits, bit for bit, and the mean is again what a softmax or an enlargement
    to a mask's size may follow. (The softmax of mean logits is the normalised geometric mean.)

    Args:
        net: takes images (B, 3, h, w), gives logits (B, K, h, w) or an object with `.logits`.
        size: of the windows, height and width or the side of a square, pixels; where the image is
            smaller they are cut to it. None: one as large as the image.
        overlap: least share of its side that a window has in common with the next, in [0, 1).
        flip: ask about the mirrored image too.

    Shapes: images (B, 3, H, W) to logits (B, K, H, W).

    Raises:
        ConfigError: a window of no pixels, or an overlap outside [0, 1).

    Reference: Isensee et al., nnU-Net, arXiv:1904.08128, inference (there Gaussian weights of
    probabilities).

    Example:
        >>> net = Windows(nn.Conv2d(3, 5, 1), size=64)
        >>> net(torch.zeros(1, 3, 100, 150)).shape
        torch.Size([1, 5, 100, 150])
    """

    def __init__(
        self,
        net: nn.Module,
        size: int | Size | None,
        overlap: float = OVERLAP,
        flip: bool = False,
    ) -> None:
        super().__init__()
        self.net, self.overlap, self.flip = net, overlap, flip
        self.size = (size, size) if isinstance(size, int) else size
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(
                "window",
                expected="a side of 1 pixel or more",
                found=" x ".join(map(str, self.size)),
                remedy="take 256, say, or leave it out for the whole image",
            )
        if not 0 <= overlap < 1:
            raise ConfigError(
                "overlap",
                expected="a share of the window's side, 0 or more and below 1",
                found=f"{overlap:g}",
                remedy="take 0.5, say",
            )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W)."""
        found = self._slid(images)
        return (found + self._slid(images.flip(-1)).flip(-1)) / 2 if self.flip else found

    def _slid(self, images: Tensor) -> Tensor:
        whole = images.shape[2], images.shape[3]
        height, width = (min(pair) for pair in zip(whole, self.size or whole, strict=True))
        rows = window_starts(whole[0], height, self.overlap)
        columns = window_starts(whole[1], width, self.overlap)
        if len(rows) == len(columns) == 1:
            return self._logits(images)  # as they are, not divided by the weight again
        weight = _falling(height, images)[:, None] * _falling(width, images)
        total, weights = None, weight.new_zeros(whole)
        for row in rows:
            for column in columns:
                here = ..., slice(row, row + height), slice(column, column + width)
                own = self._logits(images[here]) * weight
                if total is None:
                    total = own.new_zeros(*own.shape[:2], *whole)
                total[here] += own
                weights[here] += weight
        assert total is not None
        return total / weights

    def _logits(self, images: Tensor) -> Tensor:
        output: Any = self.net(images)
        logits: Tensor = getattr(output, "logits", output)
        if logits.ndim != 4 or logits.shape[2:] != images.shape[2:]:
            raise ModelError(
                "net in windows",
                expected="logits (B, K, H, W) as large as the images",
                found=f"{tuple(logits.shape)} of images {tuple(images.shape)}",
                remedy="take a segmenter whose logits are enlarged to its input",
            )
        return logits


def window_starts(whole: int, part: int, overlap: float) -> list[int]:
    """Where windows begin along a side, so that they hold all of it and are spread evenly.

    The first begins at 0 and the last ends with the side; mirrored, the windows are the same.

    Args:
        whole: the side, pixels.
        part: the window's, no larger.
        overlap: least share of the window that it has in common with the next.
    """
    rest = whole - part
    if not rest:
        return [0]
    step = max(1, part - math.ceil(round(part * overlap, 6)))
    count = -(-rest // step) + 1
    # An odd number has one in the middle, which no whole pixel may be.
    count += (count % 2) * (rest % 2)
    # Rounded up, so that the gap in the middle is no wider than the others.
    first = [-(-i * rest // (count - 1)) for i in range((count + 1) // 2)]
    return first + [rest - start for start in reversed(first[: count // 2])]


def _falling(side: int, like: Tensor) -> Tensor:
    """Weights along a window's side, from the centre to the edges."""
    places = torch.arange(side, device=like.device, dtype=torch.float32) + 0.5
    return 1 - (2 * places / side - 1).abs()
