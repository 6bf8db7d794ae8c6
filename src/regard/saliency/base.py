"""What a method is, and what it is given: one forward pass, seen at a layer."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.registry import Registry
from regard.saliency.capture import Images
from regard.saliency.layers import linear_head
from regard.saliency.targets import PixelTarget, value

METHODS: Registry[type["Method"]] = Registry("method")


@dataclass(frozen=True)
class Seen:
    """One forward pass and what was watched of it.

    Attributes:
        net: the net.
        images: what it was given.
        logits: (B, K), or (B, K, H, W) of a segmenter.
        target: class indices (B,), or a pixel target.
        activations: (B, C, h, w) of the layer.
        create_graph: whether maps have to be differentiable.
        contrast: explain the target's logit less the mean of all classes' logits. A softmax
            does not change when all logits move alike, so the plain logit leaves it open
            where evidence shows: against another class it is invisible. The contrast does not.
    """

    net: nn.Module
    images: Images
    logits: Tensor
    target: Tensor | PixelTarget
    activations: Tensor
    create_graph: bool = False
    contrast: bool = False

    @cached_property
    def value(self) -> Tensor:
        """The number (B,) that is explained."""
        with torch.enable_grad():
            logits = self.logits
            if self.contrast:
                logits = logits - logits.mean(1, keepdim=True)
            return value(logits, self.target)

    @cached_property
    def gradient(self) -> Tensor:
        """Its gradient with respect to the activations, (B, C, h, w).

        Images of a batch do not mix in evaluation mode, so the gradient of the sum holds each
        image's own. The graph goes from the layer to the logits only.

        Raises:
            ModelError: the logits do not depend on the layer, or not differentiably.
        """
        gradient = None
        with torch.enable_grad():
            total = self.value.sum()
            if total.requires_grad:
                (gradient,) = torch.autograd.grad(
                    total,
                    self.activations,
                    create_graph=self.create_graph,
                    retain_graph=True,
                    allow_unused=True,
                )
        if gradient is None:
            raise ModelError(
                "layer",
                expected="a layer that the logits depend on, differentiably",
                found="no gradient from the logits to it",
                remedy="choose another layer, or a net that keeps gradients on above it",
            )
        return gradient

    @cached_property
    def class_weights(self) -> Tensor | None:
        """The target's row (B, C) of a head that is average pooling and linear, else None."""
        weight = linear_head(self.net, self.activations, self.logits)
        if weight is None or isinstance(self.target, PixelTarget):
            return None
        if self.contrast:
            weight = weight - weight.mean(0)
        return weight[self.target]


class Method(ABC):
    """Makes saliency maps from what was seen of a forward pass.

    Attributes:
        name: in the registry.
        signed: whether maps may be negative.
        differentiable: whether maps can be part of a loss.
        passes: cost, in words.
        blind_to: what it cannot see, in words.
        reference: paper and equation.
    """

    name: ClassVar[str]
    signed: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    passes: ClassVar[str]
    blind_to: ClassVar[str]
    reference: ClassVar[str]

    @abstractmethod
    def maps(self, seen: Seen) -> Tensor:
        """Maps (B, h, w) at the layer's resolution."""


def weighted_sum(weights: Tensor, activations: Tensor) -> Tensor:
    """relu(sum_k w_k A_k): weights (B, C) and activations (B, C, h, w) to maps (B, h, w)."""
    batch, channels, height, width = activations.shape
    flat = activations.reshape(batch, channels, height * width)
    return torch.bmm(weights[:, None], flat).view(batch, height, width).relu()
