"""Eigen-CAM."""

from typing import ClassVar

import torch
from torch import Tensor

from regard.saliency.base import METHODS, Method
from regard.saliency.seen import Seen


@METHODS.register("eigencam")
class EigenCAM(Method):
    """Eigen-CAM: the activations projected on their first principal direction.

    relu(s A v),  A = U S V^T,  v the first column of V

    with A the activations as a matrix (positions, channels) of one image. The target plays no
    part: every class has the same map. The sign s is that which makes the projection agree
    with the channels' mean absolute activation (inner product over the positions at least 0);
    the decomposition leaves it open. Computed from the Gram matrix of the smaller side, in
    float64. In a loss it is differentiable wherever the first singular value is simple; the
    gradient goes to the parameters below the layer alone.

    Args:
        centre: subtract each channel's mean over the positions first. The paper does not, and
            nor does the default; the grad-cam package does, and leaves the sign to chance.

    Reference: Muhammad and Yeasin, Eigen-CAM, arXiv:2008.00299, equations 2 and 3; the ReLU and
    the sign are ours.
    """

    name: ClassVar[str] = "eigencam"
    gradients: ClassVar[bool] = False
    targeted: ClassVar[bool] = False
    reaches_head: ClassVar[bool] = False
    formula: ClassVar[str] = "relu(s A v), v the first right singular vector of A"
    passes: ClassVar[str] = "1 forward"
    blind_to: ClassVar[str] = "the class: it shows what is strongest, not what speaks for what"
    nets: ClassVar[str] = "all with positions: maps or tokens"
    reference: ClassVar[str] = "arXiv:2008.00299 eq. 2-3"

    def __init__(self, centre: bool = False) -> None:
        self.centre = centre

    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w)."""
        rows = seen.activations.flatten(2).transpose(1, 2).double()
        if self.centre:
            rows = rows - rows.mean(1, keepdim=True)
        projection = _first_projection(rows)
        with torch.no_grad():
            strength = seen.activations.abs().mean(1).flatten(1).double()
            sign = torch.where((projection * strength).sum(1, keepdim=True) < 0, -1.0, 1.0)
        maps = (sign * projection).relu().view(-1, *seen.activations.shape[2:])
        return maps.to(seen.activations.dtype)


def _first_projection(rows: Tensor) -> Tensor:
    """A v (B, N) of matrices A (B, N, C), up to sign."""
    wide = rows.shape[1] <= rows.shape[2]
    gram = rows @ rows.mT if wide else rows.mT @ rows
    vector = _first_vector(gram)
    if not wide:
        return (rows @ vector).squeeze(2)
    # A v = s u, and s^2 = u^T A A^T u.
    square = (vector.mT @ gram @ vector).squeeze(2)
    alive = square > 0
    return torch.where(alive, torch.where(alive, square, 1).sqrt() * vector.squeeze(2), 0)


def _first_vector(gram: Tensor) -> Tensor:
    """The eigenvector (B, n, 1) of the largest eigenvalue, with its own first derivative.

    `eigh` asks for all eigenvalues to differ before it can be differentiated, and those of dead
    positions do not. The first vector needs its own to be simple: dv = (l - G)^+ dG v.
    """
    with torch.no_grad():
        values, vectors = torch.linalg.eigh(gram)
        first, vector = values[:, -1:], vectors[..., -1:]
        gaps = first - values
        apart = gaps > 1e-12 * first
        inverse = torch.where(apart, 1 / torch.where(apart, gaps, 1), 0)
    if not gram.requires_grad:
        return vector
    residual = gram @ vector - first[..., None] * vector  # zero, and dG v in its derivative
    return vector + vectors @ (inverse[..., None] * (vectors.mT @ residual))
