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
        maps: (P, h, w) at the layer's resolution, differentiable, of the terms that make one.
        losses: (P,), unweighted, 0 where the term is not valid.
        valid: bool (P,), whether there is a region that says something.
        weights: of the terms.
    """

    logits: Float[Tensor, "B K *pixels"]
    maps: dict[str, Float[Tensor, "P h w"]] = field(default_factory=dict)
    losses: dict[str, Float[Tensor, " P"]] = field(default_factory=dict)
    valid: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

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
        total = self.logits.new_zeros((), dtype=torch.float32)
        for name, losses in self.losses.items():
            total = total + self.weights[name] * losses.sum() / self.valid[name].sum().clamp_min(1)
        return total


def joined(parts: Sequence[GuidedOutput], order: Tensor, logits: Tensor) -> GuidedOutput:
    """The parts one after the other, and then in this order."""
    output = GuidedOutput(logits, weights=parts[0].weights)
    for name in ("maps", "losses", "valid"):
        for title in getattr(parts[0], name):
            values = torch.cat([getattr(part, name)[title] for part in parts])
            getattr(output, name)[title] = values[order.to(values.device)]
    return output
