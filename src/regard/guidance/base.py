"""What a guidance term is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from regard.data.regions import Evidence
from regard.errors import ConfigError
from regard.guidance.forward_pass import ForwardPass
from regard.registry import Registry
from regard.saliency.base import Need

TERMS: Registry[type["Term"]] = Registry("guidance term")


@dataclass(frozen=True)
class Term(ABC):
    """A differentiable loss on where the net looks, one number an image.

    Attributes:
        kind: name in the registry.
        extra_forwards: whether the net runs again, on other images than the batch's.
        bounded: whether losses lie in [0, 1].
        lends: whether it takes pixels from other images of the batch.
        of_segmenters: whether it asks for no probability of one label, so that it can be computed
            of a segmenter, whose logits have positions, and of a net for sets of labels.
        of_mixed: whether it can be computed of an image mixed of two, where the other's part is
            ignored.
        weight: factor of the term's mean in the total loss, finite and at least 0.
        name: of the term among others; None takes the kind's own.
        warmup_epochs: epochs over which the weight rises linearly from 0.
    """

    kind: ClassVar[str]
    extra_forwards: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    lends: ClassVar[bool] = False
    of_segmenters: ClassVar[bool] = False
    of_mixed: ClassVar[bool] = True

    weight: float = 1.0
    name: str | None = None
    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        for option in ("weight", "warmup_epochs"):
            value = getattr(self, option)
            number = isinstance(value, int | float)
            if not number or not 0 <= value < float("inf"):
                raise ConfigError(
                    f"term {self.title}",
                    expected=f"a finite {option} of 0 or more",
                    found=f"{value:g}" if number else repr(value),
                    remedy=f"give a positive {option}",
                )

    @property
    def title(self) -> str:
        """Its own name, or its kind's."""
        return self.name or self.kind

    @property
    def reads(self) -> frozenset[Need]:
        """What it reads of the batch's forward pass, see `Method.needs`."""
        return frozenset()

    @property
    def analytic(self) -> bool:
        """Whether it needs no gradient of a gradient under a linear head, see `MapTerm`."""
        return False

    @property
    def read_layer(self) -> str | nn.Module | None:
        """The layer that it reads, if it reads one; None: the one that is found."""
        return None

    def valid(self, evidence: Evidence) -> Bool[Tensor, " B"]:
        """Which images the term can be computed for; known before any forward pass."""
        return evidence.partial

    def judged(self, seen: ForwardPass) -> Evidence:
        """The regions that losses, and `valid`, are computed with."""
        return seen.evidence

    @abstractmethod
    def losses(self, seen: ForwardPass) -> Float[Tensor, " B"]:
        """The loss of each image; whatever it is where the term is not valid."""

    @abstractmethod
    def raw(self, seen: ForwardPass) -> Tensor:
        """What the loss is made from, before a region comes into it, (B, ...)."""
