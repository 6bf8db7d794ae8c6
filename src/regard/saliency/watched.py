"""One forward pass: what was watched of it, and its gradients."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.models.anatomy import Layer
from regard.saliency.capture import Images, constant
from regard.saliency.linear_heads import linear_head, remembered_head
from regard.saliency.observe import Observed
from regard.saliency.targets import PixelTarget, value


@dataclass(frozen=True)
class Watched:
    """One forward pass and what was watched of it.

    Attributes:
        net: the net.
        images: what it was given, a copy of the caller's.
        observed: logits, the layer's output, pixels and attention.
        target: class indices (B,), or a pixel target.
        layer: that was watched, for methods that need one.
        view: that methods of pixels explain.
        create_graph: whether maps have to be differentiable.
        contrast: explain the target's logit less the mean of all classes' logits. A softmax
            does not change when all logits move alike, so the plain logit leaves it open
            where evidence shows: against another class it is invisible. The contrast does not.
        stop: the gradients at a layer or at attention count as constants in a loss on the map.
        heads: by layers' names the weights (K, C) of heads that are known to be average pooling and
            one linear layer; others are looked for.
    """

    net: nn.Module
    images: Images
    observed: Observed
    target: Tensor | PixelTarget
    layer: Layer | None = None
    view: str | None = None
    create_graph: bool = False
    contrast: bool = False
    stop: bool = False
    heads: Mapping[str, Tensor] = field(default_factory=dict)

    # The pass itself

    @property
    def logits(self) -> Tensor:
        """(B, K), or (B, K, H, W) of a segmenter."""
        return self.observed.logits

    @property
    def pixels(self) -> Tensor:
        """(B, 3, H, W) of the explained view."""
        return self.observed.pixels

    @property
    def attention(self) -> tuple[Tensor, ...]:
        """Matrices (B, heads, N, M), in the order of the pass."""
        return self.observed.attention

    @cached_property
    def value(self) -> Tensor:
        """The number (B,) that is explained."""
        with torch.enable_grad():
            return self._value(self.logits, self.target)

    @cached_property
    def activations(self) -> Tensor:
        """(B, C, h, w) of the layer."""
        assert self.layer is not None
        with torch.set_grad_enabled(self.create_graph):
            return self.layer.layout.maps(self._output)

    @property
    def _output(self) -> Tensor:
        assert self.layer is not None
        return self.observed.outputs[self.layer.name]

    @property
    def steady(self) -> bool:
        """Whether an image's logits are its own: no layer is in training mode.

        What a container's mode is does not matter, only that of what it holds.
        """
        return not any(
            part.training for part in self.net.modules() if next(part.children(), None) is None
        )

    # Its gradients

    @cached_property
    def gradient(self) -> Tensor:
        """With respect to the activations, (B, C, h, w).

        Images of a batch do not mix in evaluation mode, so the gradient of the sum holds each
        image's own. The graph goes from the layer to the logits only; under a head of average
        pooling and one linear layer none is needed, and the head's weights are used.

        Raises:
            ModelError: the logits do not depend on the layer, or not differentiably.
        """
        assert self.layer is not None
        if self.class_weights is not None:
            positions = self.activations[0, 0].numel()
            weights = self.class_weights.to(self.activations.dtype) / positions
            return weights[:, :, None, None].expand_as(self.activations)
        (gradient,) = self._gradients([self._output])
        if gradient is None:
            raise ModelError(
                f"layer {self.layer.name!r}",
                expected="a layer that the logits depend on, differentiably",
                found="no gradient from the logits to it",
                remedy="choose another layer, or a net that keeps gradients on above it",
            )
        return self.layer.layout.maps(gradient)

    @cached_property
    def pixel_gradient(self) -> Tensor:
        """With respect to the pixels, (B, 3, H, W).

        Raises:
            ModelError: the logits do not depend on them differentiably.
        """
        (gradient,) = self._gradients([self.pixels])
        return self._from_pixels(gradient)

    @cached_property
    def attention_gradients(self) -> tuple[Tensor, ...]:
        """With respect to the attention matrices; zero where the logits do not depend on one."""
        found = self._gradients(list(self.attention))
        return tuple(
            torch.zeros_like(matrix) if gradient is None else gradient
            for matrix, gradient in zip(self.attention, found, strict=True)
        )

    def _gradients(self, inputs: list[Tensor]) -> tuple[Tensor | None, ...]:
        with torch.enable_grad():
            total = self.value.sum()
            if not total.requires_grad:
                return (None,) * len(inputs)
            return torch.autograd.grad(
                total,
                inputs,
                create_graph=self.create_graph and not self.stop,
                retain_graph=True,
                allow_unused=True,
            )

    def _from_pixels(self, gradient: Tensor | None) -> Tensor:
        if gradient is None:
            raise ModelError(
                f"net {type(self.net).__name__}",
                expected="logits that depend on the pixels, differentiably",
                found="no gradient from the logits to the pixels",
                remedy="explain with a method of layers, or a net that keeps gradients on",
            )
        return gradient

    # Its head

    @cached_property
    def class_weights(self) -> Tensor | None:
        """The target's row (B, C) of a head that is average pooling and linear, else None."""
        assert self.layer is not None
        if isinstance(self.target, PixelTarget):
            return None
        weight = self._head(self.layer)
        if weight is None:
            return None
        if self.contrast:
            weight = weight - weight.mean(0)
        return constant(weight[self.target]) if self.stop else weight[self.target]

    def _head(self, layer: Layer) -> Tensor | None:
        if layer.name in self.heads:
            return self.heads[layer.name]
        if self.create_graph:
            return remembered_head(self.net, self.images, layer)
        return linear_head(self.net, self.activations, self.logits)

    def _value(self, logits: Tensor, target: Tensor | PixelTarget) -> Tensor:
        if self.contrast:
            logits = logits - logits.mean(1, keepdim=True)
        return value(logits, target)
