"""What a method is."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from regard.registry import Registry
from regard.saliency.seen import Seen

METHODS: Registry[type["Method"]] = Registry("method")
Need = Literal["layer", "pixels", "attention"]


class Method(ABC):
    """Makes saliency maps from what was seen of a forward pass.

    Attributes:
        name: in the registry.
        needs: what it reads: a layer's activations, the pixels or their gradient, attention
            matrices; empty if the logits are enough.
        gradients: whether it asks for gradients of this pass.
        signed: whether maps may be negative.
        differentiable: whether maps can be part of a loss.
        extra_forwards: whether it runs the net again, on other pixels or activations.
        dear: whether it does so many times for an image.
        of_pixels: whether it explains the pixels of one view, so that a net of several views
            needs to be told which.
        from_background: whether it begins from other images, which its option `background` takes.
        to_pixels: whether it follows gradients down to the pixels, in this pass or in others.
        targeted: whether maps depend on the target.
        reaches_head: whether a loss on differentiable maps has a gradient to the parameters above
            the layer; where not, channel weights count as constants.
        formula: in one line.
        passes: cost of a batch, in words.
        blind_to: what it cannot see, in words.
        nets: which nets it reads, in words.
        reference: paper and equation.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset({"layer"})
    gradients: ClassVar[bool] = True
    signed: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    extra_forwards: ClassVar[bool] = False
    dear: ClassVar[bool] = False
    of_pixels: ClassVar[bool] = False
    from_background: ClassVar[bool] = False
    to_pixels: ClassVar[bool] = False
    targeted: ClassVar[bool] = True
    reaches_head: ClassVar[bool] = True
    formula: ClassVar[str]
    passes: ClassVar[str]
    blind_to: ClassVar[str]
    nets: ClassVar[str]
    reference: ClassVar[str]

    @property
    def reads(self) -> frozenset[Need]:
        """What this one reads: what its kind needs, unless it wraps another method."""
        return self.needs

    @classmethod
    def refuse(cls, seen: Seen) -> None:
        """Refuse a net that the method cannot read, by a pass of which everything was seen.

        Raises:
            ModelError: it cannot.
        """
        if cls.to_pixels:
            _ = seen.pixel_gradient
        if cls.gradients and "layer" in cls.needs:
            _ = seen.gradient

    @abstractmethod
    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w): at the layer's resolution, or at that of the pixels."""


def weighted_sum(weights: Tensor, activations: Tensor) -> Tensor:
    """relu(sum_k w_k A_k): weights (B, C) and activations (B, C, h, w) to maps (B, h, w)."""
    batch, channels, height, width = activations.shape
    flat = activations.reshape(batch, channels, height * width)
    return torch.bmm(weights[:, None], flat).view(batch, height, width).relu()
