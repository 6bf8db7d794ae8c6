"""What follows from the maps of terms and from regions, gradients included, as one function.

Gradients of losses with respect to maps are computed in the forward pass, where they fuse with
their neighbours: the backward pass has one kernel to start then in place of several.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, no_type_check

import torch
from torch import Tensor

from regard.data.regions import Regions
from regard.errors import ModelError
from regard.guidance.forward_pass import ForwardPass
from regard.guidance.maps import MapTerm
from regard.models.anatomy import Layer
from regard.saliency.base import Method
from regard.saliency.capture import constant, leaf
from regard.saliency.seen import Seen


class Judged(NamedTuple):
    """What follows from a term's maps and regions.

    Attributes:
        losses: (B,), 0 where not valid.
        slopes: (B, h, w), the gradient of their sum with respect to the maps.
        valid: bool (B,).
        mean: of the valid ones.
        shares: (B,), of each in the mean.
    """

    losses: Tensor
    slopes: Tensor
    valid: Tensor
    mean: Tensor
    shares: Tensor


class Sloped(torch.autograd.Function):
    """Numbers whose slopes are known already."""

    @staticmethod
    @no_type_check
    def forward(ctx: Any, source: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
        """The values as they are.

        Args:
            ctx: of torch.
            source: maps (B, h, w).
            values: of each image, constants (B,).
            slopes: of the values with respect to the maps, (B, h, w).
        """
        ctx.save_for_backward(slopes)
        return values.clone()  # a view could not be changed in place

    @staticmethod
    @no_type_check
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the source."""
        (slopes,) = ctx.saved_tensors
        return slopes * gradient[:, None, None], None, None


class Taken(torch.autograd.Function):
    """The same of one number that nobody else has: it need not be copied."""

    @staticmethod
    @no_type_check
    def forward(ctx: Any, source: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
        """The value () itself; arguments as those of `Sloped`, of source and slopes (B,)."""
        ctx.save_for_backward(slopes)
        ctx.mark_dirty(values)
        return values

    @staticmethod
    @no_type_check
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the source.

        Raises:
            ModelError: with `create_graph`, for a compiled net has no second derivative.
        """
        if torch.is_grad_enabled():
            raise ModelError(
                "backward(create_graph=True)",
                expected="a net that is not compiled, for a second derivative",
                found="a compiled one",
                remedy="pass the net itself, without torch.compile",
            )
        (slopes,) = ctx.saved_tensors
        return slopes * gradient, None, None


def judging_of(
    seen: Seen, layers: Mapping[Any, Layer], parts: tuple[str, ...], terms: Sequence[MapTerm]
) -> Callable[..., list[Tensor]]:
    """From the terms' maps, targets and regions to `Judged` of each, one after the other.

    All in one list, for what takes lists apart would break the graph.
    """

    def run(*given: Tensor) -> list[Tensor]:
        maps, (targets, *regions) = given[: len(terms)], given[len(terms) :]
        evidence = Regions(**dict(zip(parts, regions, strict=True))).of(targets)
        found: list[Tensor] = []
        for term, made in zip(terms, maps, strict=True):
            found += _judged(term, Given(seen, targets, evidence, layers, given=leaf(made)))
        return found

    return run


@dataclass
class Given(ForwardPass):
    """A forward pass of which the maps are given."""

    given: Tensor | None = None

    def maps(self, method: Method, key: Any, layer: Any, **how: Any) -> Tensor:
        """These, whatever makes them."""
        assert self.given is not None
        return self.given


def _judged(term: MapTerm, seen: Given) -> Judged:
    maps = term.raw(seen)
    valid = term.valid(term.judged(seen))
    losses = torch.where(valid, term.losses(seen), 0)
    (slopes,) = torch.autograd.grad(losses.sum(), maps, materialize_grads=True)
    losses, count = constant(losses), valid.sum().clamp_min(1)
    shares = (1 / count.to(losses.dtype)).expand_as(losses).clone()
    return Judged(losses, slopes, valid, losses.sum() / count, shares)
