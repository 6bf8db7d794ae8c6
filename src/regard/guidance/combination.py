"""How the cross-entropy and the terms become one loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.data.regions import Regions
from regard.errors import ConfigError
from regard.guidance.base import Term
from regard.guidance.output import GuidedOutput

Combining = Literal["sum", "product", "quotient", "uncertainty"]
# What a quotient divides by, at the least.
LEAST = 1e-3


@dataclass(frozen=True)
class Divisors:
    """What sums over the whole effective batch are divided by, known before any pass.

    Where nothing was counted, 1 takes its place: there is nothing to divide then.

    Attributes:
        cross_entropy: sum of the class weights of the labels.
        terms: valid images by term.
        images: of the effective batch.
        told: images of which something is said, so that an answer is right or wrong; None: all.
    """

    cross_entropy: float
    terms: dict[str, int]
    images: int
    told: int | None = None

    @property
    def judged(self) -> int:
        """Images whose answers are right or wrong."""
        return self.images if self.told is None else self.told

    def of(self, part: str) -> float:
        """What a part of the loss is the mean over: `cross_entropy`, `loss` or `loss.TERM`."""
        if part in ("loss", "cross_entropy"):
            return self.cross_entropy
        return self.terms.get(part.removeprefix("loss."), self.images)

    @classmethod
    def together(cls, parts: Sequence["Divisors"]) -> "Divisors":
        """Of the union of parts, each counted by itself; the first knows all terms."""
        names = parts[0].terms
        return cls(
            sum(part.cross_entropy for part in parts),
            {name: sum(part.terms.get(name, 0) for part in parts) for name in names},
            sum(part.images for part in parts),
            sum(part.judged for part in parts),
        )


def divisors(
    labels: Tensor,
    regions: Regions | None,
    terms: Sequence[Term],
    weights: Tensor | None = None,
) -> Divisors:
    """The divisors of an effective batch, from its labels and regions."""
    total = float(len(labels)) if weights is None else float(weights[labels].sum())
    if regions is None or not terms:
        return Divisors(total, {}, len(labels))
    evidence = regions.of(labels)
    valid = {term.title: int(term.valid(evidence).sum()) for term in terms}
    return Divisors(total, valid, len(labels))


class Combination(nn.Module):
    """One loss of the cross-entropy CE and the terms' losses T_i with weights k_i.

    - `sum`: k CE + sum of k_i T_i, each a mean.
    - `product`: k times CE of each image times its T_i^k_i.
    - `quotient`: k times CE of each image over its (1 - T_i)^k_i, at least one thousandth.
    - `uncertainty`: exp(-s) k CE + s / 2 + sum of (exp(-s_i) k_i T_i + s_i / 2), where the log
      variances s are learned. A loss that goes to 0 gets an ever greater weight. Both parts of a
      term's sum rise with its warm-up, and neither is there in a step of no image with a region.

    In a product or a quotient an image without a region counts with its cross-entropy alone.

    References: Kendall et al., Multi-Task Learning Using Uncertainty, arXiv:1705.07115,
    equation 10 for uncertainty.

    Args:
        kind: one of these.
        terms: to combine.
        cross_entropy: k.

    Raises:
        ConfigError: an unknown kind, or a product or quotient with a loss that is not in [0, 1].
    """

    def __init__(
        self, kind: str = "sum", terms: Sequence[Term] = (), *, cross_entropy: float = 1.0
    ) -> None:
        super().__init__()
        _refuse(kind, terms)
        self.kind, self.names, self.k = kind, [term.title for term in terms], cross_entropy
        self.full = {term.title: term.weight for term in terms}
        if kind == "uncertainty":
            self.log_variances = nn.Parameter(torch.zeros(1 + len(terms)))

    def forward(
        self, entropies: Float[Tensor, " B"], output: GuidedOutput, by: Divisors
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A part's share of the loss of the effective batch, and of its components' means.

        Args:
            entropies: of the part's images, times their class weights.
            output: of the part.
            by: of the effective batch.
        """
        told = by.cross_entropy or 1.0
        parts = {"cross_entropy": entropies.sum() / told}
        for name, losses in output.losses.items():
            parts[f"loss.{name}"] = losses.sum() / max(1, by.terms[name])
        if self.kind == "uncertainty":
            return self._uncertain(parts, output, by), parts
        if self.kind != "sum":
            return self.k * (entropies * self._factor(output)).sum() / told, parts
        total = self.k * parts["cross_entropy"]
        for name in output.losses:
            total = total + output.weights[name] * parts[f"loss.{name}"]
        return total, parts

    def state(self) -> list[float]:
        """What was learned, for a file."""
        return self.log_variances.tolist() if self.kind == "uncertainty" else []

    def restore(self, state: list[float]) -> None:
        """The inverse of `state`."""
        if self.kind == "uncertainty":
            with torch.no_grad():
                self.log_variances.copy_(torch.tensor(state))

    def _factor(self, output: GuidedOutput) -> Tensor:
        factor = torch.ones((), device=output.logits.device)
        for name, losses in output.losses.items():
            if output.weights[name] == 0:
                continue
            own = losses if self.kind == "product" else 1 / (1 - losses).clamp_min(LEAST)
            # A power of zero has no gradient.
            own = own if output.weights[name] == 1 else own.clamp_min(1e-12) ** output.weights[name]
            factor = factor * torch.where(output.valid[name], own, 1)
        return factor

    def _uncertain(self, parts: dict[str, Tensor], output: GuidedOutput, by: Divisors) -> Tensor:
        share = len(output.logits) / by.images
        variances = self.log_variances.to(parts["cross_entropy"].device)
        precisions, offsets = (-variances).exp(), variances / 2
        total = precisions[0] * self.k * parts["cross_entropy"] + share * offsets[0]
        for name, weight in output.weights.items():
            place, full = 1 + self.names.index(name), self.full[name]
            # The part's share of the images that the term is the mean of, and the warm-up's.
            own = int(output.valid[name].sum()) / max(1, by.terms[name]) * weight / (full or 1)
            found = precisions[place] * weight * parts[f"loss.{name}"]
            total = total + found + own * offsets[place]
        return total


def _refuse(kind: str, terms: Sequence[Term]) -> None:
    if kind not in get_args(Combining):
        raise ConfigError(
            "guidance.combine",
            expected=", ".join(get_args(Combining)),
            found=repr(kind),
            remedy="choose one of them",
        )
    loose = [term.title for term in terms if not term.bounded]
    if kind in ("product", "quotient") and loose:
        raise ConfigError(
            "guidance.combine",
            expected=f"losses between 0 and 1 for a {kind}",
            found=f"term {loose[0]}, which has no such bound",
            remedy="set combine: sum",
        )
