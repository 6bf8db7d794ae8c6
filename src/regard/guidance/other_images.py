"""Terms that show the net its images with another outside."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import ConfigError
from regard.guidance.base import TERMS, Term
from regard.guidance.forward_pass import ForwardPass
from regard.images.backgrounds import blurred, emptied, mean_outside
from regard.saliency.base import Need


@dataclass(frozen=True)
class OutsideTerm(Term):
    """The cross-entropy of the image with another outside, - log p_c(x M + (1 - M) z).

    Of an image of several views that of each is exchanged.
    """

    extra_forwards: ClassVar[bool] = True
    of_mixed: ClassVar[bool] = False

    def raw(self, seen: ForwardPass) -> Tensor:
        """The logits (B, K) of the changed images."""

        def change(pixels: Tensor, inside: Tensor, view: str | None) -> Tensor:
            return inside * pixels + (1 - inside) * self.other(seen, pixels, inside, view)

        return seen.logits_at(seen.exchanged(change))

    def losses(self, seen: ForwardPass) -> Tensor:
        """Cross-entropies (B,)."""
        return F.cross_entropy(self.raw(seen), seen.labels, reduction="none")

    @abstractmethod
    def other(self, seen: ForwardPass, pixels: Tensor, inside: Tensor, view: str | None) -> Tensor:
        """z, (B, 3, H, W), for a view of that shape and its regions (B, 1, H, W)."""


@TERMS.register("masked_input")
@dataclass(frozen=True)
class MaskedInput(OutsideTerm):
    """The cross-entropy of the image with its outside replaced.

    - log p_c(x M + (1 - M) r)

    No map comes into it: the simple way that guidance must beat. Ignored areas stay as they are.

    Attributes:
        fill: what the outside becomes: `mean`, its mean colour; `blur`, itself blurred; `zero`, the
            zero of the net's input.
    """

    kind: ClassVar[str] = "masked_input"

    fill: Literal["mean", "blur", "zero"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fill not in ("mean", "blur", "zero"):
            raise ConfigError(
                f"term {self.title}",
                expected="a fill of mean, blur or zero",
                found=repr(self.fill),
                remedy="choose one of them",
            )

    def other(self, seen: ForwardPass, pixels: Tensor, inside: Tensor, view: str | None) -> Tensor:
        """The filling, r."""
        if self.fill == "zero":
            return torch.zeros_like(pixels)
        if self.fill == "mean":
            return mean_outside(pixels, inside)
        return blurred(emptied(pixels, inside))


@TERMS.register("background_swap")
@dataclass(frozen=True)
class BackgroundSwap(OutsideTerm):
    """The cross-entropy of the image with the outside of another image of the batch.

    - log p_c(x M + (1 - M) z)

    What lies outside of the region is exchanged for what lies there in z, the next image that
    has a region, whose own inside is first filled with its outside's mean colour. An image that is
    the only one with a region in its step has no partner, and is not counted.

    Reference: Xiao et al., Noise or Signal, arXiv:2006.09994 (Mixed-Rand, there for testing).
    """

    kind: ClassVar[str] = "background_swap"
    lends: ClassVar[bool] = True

    def other(self, seen: ForwardPass, pixels: Tensor, inside: Tensor, view: str | None) -> Tensor:
        """The lenders' images, their regions emptied."""
        assert seen.donors is not None
        return seen.donors.emptied(view)


@TERMS.register("actdiff")
@dataclass(frozen=True)
class ActDiff(Term):
    """How far the activations of the image are from those of the region alone.

    mean over channels and positions of (A(x) - A(x M))^2

    with A the layer's activations and 0 the zero of the net's input. No second derivative is
    needed. The activations can also be made alike by making all of them small. Of an image of
    several views each is masked.

    Reference: Viviano et al., Saliency is a Possible Red Herring When Diagnosing Poor
    Generalization, arXiv:1910.00199 (there the distance, summed over layers).

    Attributes:
        layer: whose activations: None (found), a dotted name or a module.
    """

    kind: ClassVar[str] = "actdiff"
    extra_forwards: ClassVar[bool] = True
    of_segmenters: ClassVar[bool] = True

    layer: str | nn.Module | None = None

    @property
    def reads(self) -> frozenset[Need]:
        """The layer."""
        return frozenset({"layer"})

    @property
    def read_layer(self) -> str | nn.Module | None:
        """The layer."""
        return self.layer

    def raw(self, seen: ForwardPass) -> Tensor:
        """The differences (B, C, h, w)."""
        alone = seen.exchanged(lambda pixels, inside, _: inside * pixels)
        return seen.activations(self.layer) - seen.activations_at(alone, self.layer)

    def losses(self, seen: ForwardPass) -> Tensor:
        """Losses (B,), at least 0."""
        return self.raw(seen).square().mean((1, 2, 3))
