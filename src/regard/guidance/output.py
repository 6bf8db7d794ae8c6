"""What a guided forward pass gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass
class GuidedOutput:
    """What a guided forward pass gives, by the names of the terms.

    One loss an image, or one a pair of image and class where `rows` was given: P is B then.

    Attributes:
        logits: (B, K); of a segmenter (B, K, H, W).
        maps: (P, h, w) at the layer's resolution, of the terms that make one; differentiable, but
            for those of a compiled net that makes them in one graph with their losses.
        losses: (P,), unweighted, 0 where the term is not valid.
        valid: bool (P,), whether there is a region that says something.
        weights: of the terms.
        means: of the losses over what is valid, where they are known already.
    """

    logits: Float[Tensor, "B K *pixels"]
    maps: dict[str, Float[Tensor, "P h w"]] = field(default_factory=dict)
    losses: dict[str, Float[Tensor, " P"]] = field(default_factory=dict)
    valid: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    means: dict[str, Tensor] = field(default_factory=dict)

    def at(self, rows: Tensor) -> "GuidedOutput":
        """The maps and losses of some images (P,); the logits stay."""
        rows = rows.to(self.logits.device)
        chosen = (
            {name: values[rows] for name, values in part.items()}
            for part in (self.maps, self.losses, self.valid)
        )
        return GuidedOutput(self.logits, *chosen, weights=self.weights)

    def loss(self) -> Tensor:
        """The weighted sum of the terms' means over what is valid; 0 without any."""
        means = ((self._mean(name), weight) for name, weight in self.weights.items())
        parts = [mean if weight == 1 else weight * mean for mean, weight in means]
        return sum(parts[1:], parts[0]) if parts else self.logits.new_zeros((), dtype=torch.float32)

    def _mean(self, name: str) -> Tensor:
        mean = self.means.get(name)
        return mean_where(self.losses[name], self.valid[name]) if mean is None else mean


def mean_where(losses: Tensor, valid: Tensor) -> Tensor:
    """The mean of losses (P,) that are 0 where not valid (P,); 0 without any."""
    return losses.sum() / valid.sum().clamp_min(1)


def joined(parts: Sequence[GuidedOutput], order: Tensor, logits: Tensor) -> GuidedOutput:
    """The parts one after the other, and then in this order."""
    output = GuidedOutput(logits, weights=parts[0].weights)
    for name in ("maps", "losses", "valid"):
        for title in getattr(parts[0], name):
            values = torch.cat([getattr(part, name)[title] for part in parts])
            getattr(output, name)[title] = values[order.to(values.device)]
    return output
