"""Integrated gradients."""

import warnings
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from regard.errors import ConfigError
from regard.saliency.base import METHODS, Method, Need
from regard.saliency.options import at_least_one
from regard.saliency.path import Path, look_along, refine
from regard.saliency.seen import Seen

# A smaller rise of the logit is judged as if it were this much.
LEAST_RISE = 0.1


@METHODS.register("integrated_gradients")
class IntegratedGradients(Method):
    """Integrated gradients: the gradient averaged on the way from a baseline to the image.

    sum over colours of (x - b) * integral over a from 0 to 1 of dy/dx at b + a (x - b)

    with x the pixels, b the baseline and y the target's logit. Signed; the map sums to
    y(x) - y(b). The Gauss-Legendre rule with `steps` nodes is enough for a smooth net. The
    gradient of a net of ReLUs jumps, most of all near the baseline, and the rule can miss by
    half (EfficientNet-lite0 on a photo, 32 steps: a tenth of the sum or more). An image whose
    sum misses by more than the tolerance is therefore followed further: the steps between
    nodes that miss their own rise y(end) - y(start) most are halved, until the sum is right.
    Where that cannot be, since the net jumps or `most` is too small, the map of the first rule is
    given, with a warning. (A ConvNeXt with fresh weights jumps at the image of zeros.)

    Reference: Sundararajan et al., Axiomatic Attribution for Deep Networks, arXiv:1703.01365,
    equation 1.

    Args:
        steps: nodes of the first rule, 1 or more.
        baseline: in the net's input, so that 0 is the mean colour; a number, or a tensor that
            broadcasts to (B, 3, H, W).
        tolerance: error of the sum, relative to |y(x) - y(b)|, or to 0.1 if that is more, and
            4 roundings of y on top; None: the first rule, whatever it gives, as for a net in
            training mode, whose y depends on the other images of a pass.
        most: nodes an image at most.
    """

    name: ClassVar[str] = "integrated_gradients"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = True
    dear: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    to_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "sum over colours of (x - b) mean over a of dy/dx at b + a (x - b)"
    passes: ClassVar[str] = (
        "1 forward, and `steps` forwards and backwards to the pixels; more where the sum "
        "is not right yet, `most` at most"
    )
    blind_to: ClassVar[str] = "pixels that equal the baseline"
    nets: ClassVar[str] = "all with gradients to the pixels"
    reference: ClassVar[str] = "arXiv:1703.01365 eq. 1"

    def __init__(
        self,
        *,
        steps: int = 32,
        baseline: float | Tensor = 0.0,
        tolerance: float | None = 0.005,
        most: int = 1024,
    ) -> None:
        at_least_one(self.name, steps=steps, most=most)
        if tolerance is not None and not 0 < tolerance < 1:
            raise ConfigError(
                f"method {self.name}",
                expected="a tolerance between 0 and 1, or None",
                found=str(tolerance),
                remedy="0.01 allows an error of 1%",
            )
        if not isinstance(baseline, int | float | Tensor):
            raise ConfigError(
                f"method {self.name}",
                expected="a baseline that is a number, or pixels as the net takes them",
                found=repr(baseline),
                remedy="0.0 is the mean colour where images are normalised",
            )
        self.steps, self.baseline, self.tolerance, self.most = steps, baseline, tolerance, most

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        pixels = seen.pixels
        start = seen.beside(self.baseline).expand_as(pixels)
        places, weights = (part.to(pixels.device) for part in gauss_legendre(self.steps))
        maps = [
            self._follow(seen, row, start[row], (pixels - start)[row], places, weights)
            for row in range(len(pixels))
        ]
        return torch.stack(maps).to(pixels.dtype)

    def _follow(
        self, seen: Seen, row: int, start: Tensor, way: Tensor, places: Tensor, weights: Tensor
    ) -> Tensor:
        """The map (H, W) of one image."""
        if self.tolerance is None or not seen.steady:
            return _sum(weights, look_along(seen, row, start, way, places)[1])
        ends = torch.tensor([0.0, 1.0]).to(places)
        inner = torch.cat((ends[:1], places, ends[1:]))
        path = Path.over(replace(seen, create_graph=False), row, start, way, inner)
        weights = torch.nn.functional.pad(weights, (1, 1))
        rise = float(path.heights[-1] - path.heights[0])
        rounding = 4 * torch.finfo(way.dtype).eps * float(path.heights.abs().max())
        allowed = self.tolerance * max(abs(rise), LEAST_RISE) + rounding
        first = float(_sum(weights, path.slopes).sum())
        places = path.places
        if abs(first - rise) > allowed:
            if refine(path, allowed, self.most):
                places, weights = path.places, path.weights()
            else:
                self._warn(row, first, rise, len(path.places))
        if not seen.create_graph and places is path.places:
            return _sum(weights, path.slopes)
        return _sum(weights, look_along(seen, row, start, way, places)[1])

    def _warn(self, row: int, found: float, rise: float, nodes: int) -> None:
        warnings.warn(
            f"{self.name}: expected a map of image {row} that sums to y(x) - y(b) = {rise:.4g}, "
            f"found {found:.4g} after {nodes} nodes; the net jumps on the way, or bends "
            f"too often: choose another baseline (or raise `most`, here {self.most})",
            stacklevel=2,
        )


def _sum(weights: Tensor, slopes: Tensor) -> Tensor:
    return torch.tensordot(weights.to(slopes), slopes, 1)


def gauss_legendre(steps: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights (steps,) on 0 to 1, float64: eigenvalues of a tridiagonal matrix.

    Golub and Welsch, Calculation of Gauss Quadrature Rules, 1969.
    """
    order = torch.arange(1, steps, dtype=torch.float64)
    beside = order / (4 * order.square() - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(beside.diag(1) + beside.diag(-1))
    return (nodes + 1) / 2, vectors[0].square()
