"""What a guidance term is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.registry import Registry
from regard.saliency.base import METHODS

TERMS: Registry[type["Term"]] = Registry("guidance term")


@dataclass(frozen=True)
class Term(ABC):
    """A differentiable loss on a map and a region, one number an image.

    Attributes:
        weight: factor of the term's mean in the total loss, finite and at least 0.
        method: makes the map, of the label's class.
        layer: that the method reads: None (found), a dotted name or a module.
        name: of the term among others; None takes the kind's own.
        contrast: the map is of the label's logit less the mean of all logits. Without it a net
            can keep its evidence out of sight, as evidence against the other classes: with
            two classes it does.
    """

    kind: ClassVar[str]
    extra_forwards: ClassVar[int] = 0

    weight: float = 1.0
    method: str = "gradcam"
    layer: str | nn.Module | None = None
    name: str | None = None
    contrast: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(
                f"term {self.title}",
                expected="a finite weight of 0 or more",
                found=f"{self.weight:g}",
                remedy="give a positive weight",
            )
        if not METHODS[self.method].differentiable:
            able = [name for name in METHODS if METHODS[name].differentiable]
            raise ConfigError(
                f"term {self.title}",
                expected="a differentiable method",
                found=self.method,
                remedy="choose one of: " + ", ".join(able),
            )

    @property
    def title(self) -> str:
        """Its own name, or its kind's."""
        return self.name or self.kind

    def valid(self, evidence: Evidence) -> Bool[Tensor, " B"]:
        """Which images the term can be computed for; known before any forward pass."""
        return evidence.partial

    @abstractmethod
    def loss(self, maps: Float[Tensor, "B H W"], evidence: Evidence) -> Float[Tensor, " B"]:
        """The loss of each image, of maps at least 0 and at the region's size."""
