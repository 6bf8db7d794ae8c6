"""RISE."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.options import at_least_one
from regard.saliency.outputs import precise_type
from regard.saliency.seen import Seen
from regard.saliency.variants import Asker, in_cache, portions


@METHODS.register("rise")
class RISE(Method):
    """RISE: the mean of random masks, weighted by the class's probability under each.

    1 / (N p) * sum over masks m of P(y | x * m) m

    with x the pixels, N the number of masks and p the share of cells that are kept. A mask is
    a grid of zeros and ones, enlarged bilinearly and moved by less than a cell at random. The
    masks are the same for all images and calls with a seed.

    Reference: Petsiuk et al., RISE, arXiv:1806.07421, equation 6 and section 3.2.

    Args:
        masks: how many, 1 or more.
        grid: cells a side, 1 or more.
        probability: that a cell is kept, above 0 and at most 1.
        seed: of the masks.
    """

    name: ClassVar[str] = "rise"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "sum over masks m of P(y | x m) m / (N p)"
    passes: ClassVar[str] = "1 forward, and one a mask"
    blind_to: ClassVar[str] = "detail below a cell; with few masks, all below their noise"
    nets: ClassVar[str] = "all"
    reference: ClassVar[str] = "arXiv:1806.07421 eq. 6"

    def __init__(
        self, *, masks: int = 1000, grid: int = 7, probability: float = 0.5, seed: int = 0
    ) -> None:
        at_least_one(self.name, masks=masks, grid=grid)
        if not 0 < probability <= 1:
            raise ConfigError(
                f"method {self.name}",
                expected="a probability above 0 and at most 1",
                found=str(probability),
                remedy="0.5 keeps half of the image",
            )
        self.masks, self.grid, self.probability, self.seed = masks, grid, probability, seed

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), at least 0."""
        pixels, generator = seen.pixels, torch.Generator().manual_seed(self.seed)
        height, width = pixels.shape[2:]
        total = torch.zeros_like(pixels[:, 0], dtype=precise_type(pixels))
        ask = Asker(seen, self.masks)
        for part in portions(self.masks, len(pixels), in_cache(pixels)):
            drawn = [self._mask(height, width, generator) for _ in part]
            masks = torch.stack(drawn).to(pixels.device)
            scores = ask(masks[:, None, None].to(pixels) * pixels, probability=True)
            total = total + torch.einsum("kb,khw->bhw", scores.to(total), masks.to(total))
        return (total / (self.masks * self.probability)).to(pixels.dtype)

    def _mask(self, height: int, width: int, generator: torch.Generator) -> Tensor:
        """One mask (H, W) in 0 to 1."""
        cells = (torch.rand(self.grid, self.grid, generator=generator) < self.probability).float()
        sides = [math.ceil(side / self.grid) for side in (height, width)]
        large = [(self.grid + 1) * side for side in sides]
        mask = F.interpolate(cells[None, None], large, mode="bilinear", align_corners=False)[0, 0]
        top, left = (int(torch.randint(side, (), generator=generator)) for side in sides)
        return mask[top : top + height, left : left + width]
