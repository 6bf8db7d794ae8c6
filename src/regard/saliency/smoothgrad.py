"""SmoothGrad, of any method."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.explain import OF_EXPLAIN, build_method
from regard.saliency.options import at_least_one, refuse_options
from regard.saliency.outputs import precise
from regard.saliency.seen import Seen
from regard.saliency.variants import portions, rows_of


@METHODS.register("smoothgrad")
class SmoothGrad(Method):
    """SmoothGrad: another method's maps averaged over noisy copies of the image.

    mean over n of M(x + s r n)

    with M the map of the base, n standard normal noise, s the option `sigma` and r the range
    (largest less smallest value) of the image's pixels. The noise is the same for all images
    and calls with a seed. Maps have the base's sign and resolution. With base `saliency` the mean
    is of |g|, g the gradient; the paper averages the signed gradient.

    Reference: Smilkov et al., SmoothGrad, arXiv:1706.03825, section 2.2.

    Args:
        base: the method whose maps are averaged.
        samples: noisy copies, 1 or more.
        sigma: the noise's standard deviation, as a share of the pixels' range.
        seed: of the noise.
        options: of the base.
    """

    name: ClassVar[str] = "smoothgrad"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "mean over noise n of M(x + sigma range(x) n)"
    passes: ClassVar[str] = "1 forward, and `samples` times the base's"
    blind_to: ClassVar[str] = "what its base cannot see; detail that the noise drowns"
    nets: ClassVar[str] = "those of its base"
    reference: ClassVar[str] = "arXiv:1706.03825 sec. 2.2"

    def __init__(
        self,
        *,
        base: str = "saliency",
        samples: int = 16,
        sigma: float = 0.15,
        seed: int = 0,
        **options: Any,
    ) -> None:
        at_least_one(self.name, samples=samples)
        if not 0 <= sigma < float("inf"):
            raise ConfigError(
                self.name,
                expected="a finite sigma of 0 or more",
                found=f"{sigma:g}",
                remedy="0.15 is the default",
            )
        own = "base", "samples", "sigma", "seed"
        refuse_options(f"method {self.name}", METHODS[base], options, beside=OF_EXPLAIN, taken=own)
        self.base = build_method(base, **options)
        self.samples, self.sigma, self.seed = samples, sigma, seed

    @property
    def reads(self) -> frozenset[Need]:
        """What the base reads, of the noisy passes."""
        return self.base.reads & {"layer"}

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w) as the base's."""
        pixels, sums = seen.pixels, []
        spread = self.sigma * (pixels.amax((1, 2, 3)) - pixels.amin((1, 2, 3)))
        generator = torch.Generator().manual_seed(self.seed)
        for part in portions(self.samples, len(pixels)):
            noise = torch.stack([torch.randn(pixels.shape[1:], generator=generator) for _ in part])
            noisy = pixels + spread[:, None, None, None] * noise[:, None].to(pixels)
            found = self._of_base(seen, noisy)
            sums.append(precise(found).sum(0))
        return (torch.stack(sums).sum(0) / self.samples).to(pixels.dtype)

    def _of_base(self, seen: Seen, noisy: Tensor) -> Tensor:
        again = seen.again(
            self.base.reads, noisy.flatten(0, 1), rows_of(noisy), gradients=self.base.gradients
        )
        return self.base.maps(again).unflatten(0, noisy.shape[:2])
