"""The operations that terms on the maps of a layer come to, written down to be compiled."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, no_type_check

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from regard.data.regions import Regions
from regard.guidance.forward_pass import ForwardPass
from regard.guidance.maps import MapTerm
from regard.guidance.output import mean_where
from regard.models.anatomy import Layer
from regard.saliency.capture import constant, leaf, undisturbed
from regard.saliency.compiled import Keeper, eager
from regard.saliency.layers import find_layer, require_map
from regard.saliency.linear_heads import remembered_head
from regard.saliency.observe import Observed
from regard.saliency.outputs import logits_of
from regard.saliency.seen import Seen


class Whole(nn.Module):
    """A net that keeps its layers' outputs, and the arithmetic on them.

    Args:
        keeper: of the net.
        heads: above each layer.
        arithmetic: from the layers' outputs, the heads' weights, targets and regions to what the
            terms give.
    """

    def __init__(self, keeper: Keeper, heads: list[nn.Linear], arithmetic: nn.Module) -> None:
        super().__init__()
        self.keeper, self.heads, self.arithmetic = keeper, nn.ModuleList(heads), arithmetic

    @no_type_check  # a checker of types would be traced, too
    def forward(self, images: Tensor, targets: Tensor, *parts: Tensor) -> tuple[Any, Any]:
        """The net's answer, and what the arithmetic gives."""
        answer, outputs = self.keeper(images)
        heads = [head.weight for head in self.heads]
        with torch.autocast(images.device.type, enabled=False):
            return answer, self.arithmetic(*outputs, *heads, targets, *parts)


def whole_of(
    net: nn.Module,
    images: Tensor,
    targets: Tensor,
    parts: dict[str, Tensor],
    terms: Sequence[MapTerm],
) -> tuple[Whole, int] | None:
    """What is to be compiled, and the number of classes.

    None if a layer lies under another head than average pooling and one linear layer.

    Args:
        net: what `torch.compile` gave.
        images: (B, 3, H, W).
        targets: class indices (B,).
        parts: tensors of the regions, by the names that `Regions` has for them.
        terms: on maps.
    """
    compiled: Any = net
    with eager(net):
        layers = {term.read_layer: find_layer(net, images, term.read_layer) for term in terms}
        named = {layer.name: layer for layer in layers.values()}
        found = (remembered_head(net, images, layer) for layer in named.values())
        heads = [head for head in found if head is not None]
        if len(heads) < len(named):
            return None
        keeper = Keeper(compiled._orig_mod, tuple(named))
        with undisturbed(net), torch.no_grad():
            answer, outputs = keeper(images)
    for layer, output in zip(named.values(), outputs, strict=True):
        require_map(net, images, layer, output)
    logits = logits_of(answer)
    arithmetic = _arithmetic(net, images, logits, layers, tuple(parts), terms)
    leaves = [leaf(tensor) for tensor in (*outputs, *heads)]
    given = (*leaves, targets.to(images.device).long(), *parts.values())
    with torch.autocast(images.device.type, enabled=False):
        arithmetic(*given)  # what is remembered of sizes is made outside of the graph
        written = make_fx(arithmetic, _SIMPLER, pre_dispatch=True)(*given)
    written.graph.eliminate_dead_code()  # promoted types, at which a compiler would stop
    written.recompile()
    whole = Whole(keeper, [_holder(net, head) for head in heads], written)
    return whole, logits.shape[1]


def _arithmetic(
    net: nn.Module,
    images: Tensor,
    logits: Tensor,
    layers: Mapping[Any, Layer],
    parts: tuple[str, ...],
    terms: Sequence[MapTerm],
) -> Callable[..., tuple[Tensor, ...]]:
    """From the layers' outputs, their heads' weights, targets and regions to what terms give.

    All one after the other, and so is the answer: what takes lists apart would break the graph.
    """
    names = tuple(dict.fromkeys(layer.name for layer in layers.values()))

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        outputs, heads = (
            dict(zip(names, given[first:], strict=False)) for first in (0, len(names))
        )
        targets, *regions = given[2 * len(names) :]
        observed = Observed(logits, outputs, images, ())
        seen = Seen(net, images, observed, targets, create_graph=True, heads=heads)
        evidence = Regions(**dict(zip(parts, regions, strict=True))).of(targets)
        made = ForwardPass(seen, targets, evidence, layers)
        return tuple(chain.from_iterable(_told(term, made) for term in terms))

    return run


def _told(term: MapTerm, seen: ForwardPass) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    valid = term.valid(term.judged(seen))
    losses = torch.where(valid, term.losses(seen), 0)
    # Maps of which no gradient is asked for would be given one, of zeros.
    return constant(term.raw(seen)), losses, valid, mean_where(losses, valid)


def _products(one: Tensor, other: Tensor) -> Tensor:
    """A batch of products of matrices, written so that it becomes part of its neighbours."""
    if one.shape[1] > 1:
        return NotImplemented
    return (one.mT * other).sum(1, keepdim=True)


_SIMPLER = {torch.ops.aten.bmm.default: _products}


def _holder(net: nn.Module, weight: Tensor) -> nn.Linear:
    return next(m for m in net.modules() if isinstance(m, nn.Linear) and m.weight is weight)
