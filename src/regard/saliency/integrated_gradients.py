"""Integrated gradients."""

from typing import ClassVar

import torch
from torch import Tensor

from regard.saliency.base import METHODS, Method, Need
from regard.saliency.options import at_least_one
from regard.saliency.seen import Seen
from regard.saliency.variants import gradients, portions, precise


@METHODS.register("integrated_gradients")
class IntegratedGradients(Method):
    """Integrated gradients: the gradient averaged on the way from a baseline to the image.

    sum over colours of (x - b) * integral over a from 0 to 1 of dy/dx at b + a (x - b)

    with x the pixels, b the baseline and y the target's logit. Signed; the map sums to
    y(x) - y(b), but for the error of the Gauss-Legendre rule: small for a smooth net, and about
    as 1 / steps for one of ReLUs, whose gradient jumps (EfficientNet-lite0 on a photo: a tenth
    of the sum with 32 steps). The sum tells how many it takes.

    Reference: Sundararajan et al., Axiomatic Attribution for Deep Networks, arXiv:1703.01365,
    equation 1.

    Args:
        steps: nodes of the rule, 1 or more.
        baseline: in the net's input, so that 0 is the mean colour; a number, or a tensor that
            broadcasts to (B, 3, H, W).
    """

    name: ClassVar[str] = "integrated_gradients"
    needs: ClassVar[frozenset[Need]] = frozenset()
    gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = True
    of_pixels: ClassVar[bool] = True
    formula: ClassVar[str] = "sum over colours of (x - b) mean over a of dy/dx at b + a (x - b)"
    passes: ClassVar[str] = "1 forward, and `steps` forwards and backwards to the pixels"
    blind_to: ClassVar[str] = "pixels that equal the baseline"
    nets: ClassVar[str] = "all with gradients to the pixels"
    reference: ClassVar[str] = "arXiv:1703.01365 eq. 1"

    def __init__(self, *, steps: int = 32, baseline: float | Tensor = 0.0) -> None:
        at_least_one(self.name, steps=steps)
        self.steps, self.baseline = steps, baseline

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, H, W), signed."""
        pixels = seen.pixels
        start = torch.as_tensor(self.baseline).to(pixels)
        way = pixels - start
        places, weights = (part.to(pixels.device) for part in gauss_legendre(self.steps))
        total = torch.zeros_like(pixels, dtype=precise(pixels))
        for part in portions(self.steps, len(pixels)):
            shares = places[list(part), None, None, None, None].to(pixels)
            found = gradients(seen, start + shares * way)
            total = total + torch.tensordot(weights[list(part)].to(total), found.to(total), 1)
        return (way * total).sum(1).to(pixels.dtype)


def gauss_legendre(steps: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights (steps,) on 0 to 1, float64: eigenvalues of a tridiagonal matrix.

    Golub and Welsch, Calculation of Gauss Quadrature Rules, 1969.
    """
    order = torch.arange(1, steps, dtype=torch.float64)
    beside = order / (4 * order.square() - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(beside.diag(1) + beside.diag(-1))
    return (nodes + 1) / 2, vectors[0].square()
