"""The operations that terms on the maps of a layer come to, written down to be compiled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, no_type_check

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from regard.guidance.forward_pass import NOTHING_SAID, ForwardPass
from regard.guidance.judged import Judged, Sloped, judging_of
from regard.guidance.maps import MapTerm
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
        making: from the layers' outputs, the heads' weights and targets to the terms' maps, and
            these as constants.
        judging: from constant maps, targets and regions to `Judged` of each term.
    """

    def __init__(
        self, keeper: Keeper, heads: list[nn.Linear], making: nn.Module, judging: nn.Module
    ) -> None:
        super().__init__()
        self.keeper, self.heads = keeper, nn.ModuleList(heads)
        self.making, self.judging = making, judging

    @no_type_check  # a checker of types would be traced, too
    def forward(self, images: Tensor, targets: Tensor, *parts: Tensor) -> tuple[Any, Any]:
        """The net's answer, and of each term its maps and `Judged`.

        Of that only the losses have a gradient: what had one and is not asked for it would be
        given one of zeros. Slopes that were not part of the answer would be computed again.
        """
        answer, outputs = self.keeper(images)
        heads = [head.weight for head in self.heads]
        with torch.autocast(images.device.type, enabled=False):
            made = self.making(*outputs, *heads, targets)
            terms = len(made) // 2
            judged = self.judging(*made[terms:], targets, *parts)
            found = []
            for place in range(terms):
                losses, slopes, *rest = judged[place * _SIZE : (place + 1) * _SIZE]
                losses = Sloped.apply(made[place], losses, slopes)
                found.append((made[terms + place], losses, slopes, *rest))
        return answer, found


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
    leaves = [leaf(tensor) for tensor in (*outputs, *heads)]
    classes = targets.to(images.device).long()
    observed = Observed(logits, dict(zip(named, outputs, strict=True)), images, ())
    seen = Seen(net, images, observed, classes, create_graph=True)
    making = _making(seen, layers, tuple(named), terms)
    with torch.autocast(images.device.type, enabled=False):
        maps = making(*leaves, classes)[len(terms) :]
        judging = judging_of(seen, layers, tuple(parts), terms)
        given = *maps, classes, *parts.values()
        judging(*given)  # what is remembered of sizes is made outside of the graph
        written = [
            make_fx(making, _SIMPLER, pre_dispatch=True)(*leaves, classes),
            make_fx(judging)(*given),
        ]
    for graph in written:
        graph.graph.eliminate_dead_code()  # promoted types, at which a compiler would stop
        graph.recompile()
    return Whole(keeper, [_holder(net, head) for head in heads], *written), logits.shape[1]


def _making(
    seen: Seen, layers: Mapping[Any, Layer], names: tuple[str, ...], terms: Sequence[MapTerm]
) -> Callable[..., list[Tensor]]:
    """From the layers' outputs, their heads' weights and targets to what `Whole` says."""

    def run(*given: Tensor) -> list[Tensor]:
        outputs, heads = (
            dict(zip(names, given[first:], strict=False)) for first in (0, len(names))
        )
        observed = replace(seen.observed, outputs=outputs)
        own = replace(seen, observed=observed, target=given[-1], heads=heads)
        made = ForwardPass(own, given[-1], NOTHING_SAID, layers)
        maps = [term.raw(made) for term in terms]
        return [*maps, *map(constant, maps)]

    return run


def _products(one: Tensor, other: Tensor) -> Tensor:
    """A batch of products of matrices, written so that it becomes part of its neighbours.

    What is summed up is summed up in parts, and these in the kernel that comes next: of few sums of
    much a compiler would make two kernels by itself, and the next one a third.
    """
    if one.shape[1] > 1:
        return NotImplemented
    products = one.mT * other
    parts = next(n for n in (4, 2, 1) if products.shape[1] % n == 0)
    return products.unflatten(1, (parts, -1)).sum(2).sum(1, keepdim=True)


_SIMPLER = {torch.ops.aten.bmm.default: _products}
_SIZE = len(Judged._fields)


def _holder(net: nn.Module, weight: Tensor) -> nn.Linear:
    return next(m for m in net.modules() if isinstance(m, nn.Linear) and m.weight is weight)
