"""Terms on the gradient with respect to the pixels."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.guidance.base import TERMS, Term
from regard.guidance.forward_pass import ForwardPass
from regard.saliency.base import Need
from regard.saliency.outputs import precise


@dataclass(frozen=True)
class GradientTerm(Term):
    """A loss on a gradient with respect to the pixels, outside of the region."""

    @property
    def reads(self) -> frozenset[Need]:
        """The pixels."""
        return frozenset({"pixels"})

    def raw(self, seen: ForwardPass) -> Tensor:
        """The gradient (B, 3, H, W)."""
        with torch.enable_grad():
            return seen.gradient(self.explained(seen).sum())

    def losses(self, seen: ForwardPass) -> Tensor:
        """Losses (B,): of each colour of each pixel outside, added up."""
        gradient = self.raw(seen)
        return self.size(gradient, seen.outside(gradient.shape[2:])).sum((1, 2))

    @abstractmethod
    def explained(self, seen: ForwardPass) -> Tensor:
        """The numbers (B,) whose gradient it is."""

    @abstractmethod
    def size(self, gradient: Tensor, outside: Tensor) -> Tensor:
        """What counts of a gradient (B, 3, H, W), with `outside` in [0, 1]; both (B, H, W)."""


@TERMS.register("rrr")
@dataclass(frozen=True)
class RRR(GradientTerm):
    """Right for the right reasons: input gradients outside of the region, squared.

    sum ((1 - M) d(sum_k log p_k) / dx)^2

    over pixels and colours of the normalised input x: with inputs scaled by 1 / s the gradient
    is s times as large and the loss s^2 times. Needs a backward pass of a backward pass.

    Reference: Ross et al., Right for the Right Reasons, arXiv:1703.03717, equation 1 (there
    summed over the batch, as is its cross-entropy).
    """

    kind: ClassVar[str] = "rrr"

    def explained(self, seen: ForwardPass) -> Tensor:
        """The sum (B,) of the classes' log probabilities."""
        return F.log_softmax(precise(seen.logits), 1).sum(1)

    def size(self, gradient: Tensor, outside: Tensor) -> Tensor:
        """Squared."""
        return gradient.square().sum(1) * outside.square()


@TERMS.register("gradmask")
@dataclass(frozen=True)
class GradMask(GradientTerm):
    """Input gradients of the label's logit against the others', outside of the region.

    sum (1 - M) |d(y_c - mean of y_k over k != c) / dx|

    with two classes the gradient of y_0 - y_1. Needs a backward pass of a backward pass.

    Reference: Simpson et al., GradMask, arXiv:1904.07478 (its contrast, of two classes).
    """

    kind: ClassVar[str] = "gradmask"

    def explained(self, seen: ForwardPass) -> Tensor:
        """The label's logit (B,) less the mean of the others."""
        logits = precise(seen.logits)
        own = logits.gather(1, seen.labels[:, None])[:, 0]
        return own - (logits.sum(1) - own) / max(1, logits.shape[1] - 1)

    def size(self, gradient: Tensor, outside: Tensor) -> Tensor:
        """Its absolute value."""
        return gradient.abs().sum(1) * outside
