"""Expected gradients."""

from typing import ClassVar

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.options import at_least_one
from regard.saliency.outputs import precise_type
from regard.saliency.seen import Seen
from regard.saliency.variants import gradients, portions


@METHODS.register("expected_gradients")
class ExpectedGradients(Method):
    """Expected gradients: integrated gradients with baselines drawn from a set of images.

    sum over colours of the mean over (b, a) of (x - b) dy/dx at b + a (x - b)

    with x the pixels, y the target's logit, b drawn from the background and a uniform on 0 to
    1. Signed; the map sums to y(x) - mean over b of y(b), up to the error of so many draws.
    The draws are the same for all images and calls with a seed. This is what the
    GradientExplainer of SHAP estimates.

    Reference: Erion et al., Improving performance of deep learning models with axiomatic
    attribution priors and expected gradients, arXiv:1906.10670, section 2.2.

    Args:
        background: images (N, 3, H, W) as the net takes them.
        samples: draws, 1 or more.
        seed: of the draws.
    """

    name: ClassVar[str] = "expected_gradients"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    from_background: ClassVar[bool] = True
    formula: ClassVar[str] = (
        "sum over colours of mean over (b, a) of (x - b) dy/dx at b + a (x - b)"
    )
    passes: ClassVar[str] = "1 forward, and `samples` forwards and backwards to the pixels"
    blind_to: ClassVar[str] = "what the image shares with the whole background"
    nets: ClassVar[str] = "all with gradients to the pixels"
    reference: ClassVar[str] = "arXiv:1906.10670 sec. 2.2"

    def __init__(self, *, background: Tensor, samples: int = 64, seed: int = 0) -> None:
        if not isinstance(background, Tensor):
            raise ConfigError(
                f"method {self.name}",
                expected="a background of images as the net takes them, a tensor (N, 3, H, W)",
                found=type(background).__name__,
                remedy="pass run.transform([...]), or torch.from_numpy(...)",
            )
        at_least_one(self.name, samples=samples, background=len(background))
        self.background, self.samples, self.seed = background, samples, seed

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        pixels, generator = seen.pixels, torch.Generator().manual_seed(self.seed)
        background = self._fitting(pixels)
        picks = torch.randint(len(background), (self.samples,), generator=generator)
        places = torch.rand(self.samples, generator=generator)[:, None, None, None, None]
        total = torch.zeros_like(pixels, dtype=precise_type(pixels))
        for part in portions(self.samples, len(pixels)):
            start = background[picks[list(part)]][:, None].to(pixels)
            way = pixels - start
            found = gradients(seen, start + places[list(part)].to(pixels) * way)
            total = total + (way * found).to(total).sum(0)
        return (total / self.samples).sum(1).to(pixels.dtype)

    def _fitting(self, pixels: Tensor) -> Tensor:
        if self.background.shape[1:] == pixels.shape[1:]:
            return self.background
        raise ConfigError(
            f"method {self.name}",
            expected=f"a background (N, {', '.join(map(str, pixels.shape[1:]))})",
            found=str(tuple(self.background.shape)),
            remedy="pass images prepared as those that are explained",
        )
