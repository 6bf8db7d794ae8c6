"""A compiled net's pass and the terms on its maps, as one graph.

Beside a compiled pass the terms' own arithmetic is what costs on a GPU: some sixty kernels, each
started from Python. It is written down once, as the operations that it comes to, and compiled with
the net.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any, no_type_check
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from regard.data.regions import Regions
from regard.guidance.base import Term
from regard.guidance.forward_pass import ForwardPass
from regard.guidance.maps import MapTerm
from regard.guidance.output import mean_where
from regard.models.anatomy import Layer
from regard.saliency.capture import Images, constant, leaf, undisturbed
from regard.saliency.compiled import Keeper, eager, one_graph
from regard.saliency.layers import find_layer, remembered_head, require_map
from regard.saliency.observe import Observed
from regard.saliency.outputs import logits_of
from regard.saliency.seen import Seen

# Of one net; each takes as long as compiling the net. Others run as two graphs and the rest.
MOST = 4


@dataclass(frozen=True)
class Answer:
    """What a graph gives.

    Attributes:
        logits: (B, K).
        terms: of each its maps, its losses (B,), where they are valid, and their mean there.
    """

    logits: Tensor
    terms: Sequence[Sequence[Tensor]]


def answer_of(
    net: nn.Module, images: Images, targets: Tensor, regions: Regions, terms: Sequence[Term]
) -> Answer | None:
    """The pass and the terms of one image one target; None where one graph cannot be.

    Args:
        net: what is run.
        images: (B, 3, H, W).
        targets: class indices (B,), on any device.
        regions: one an image.
        terms: of which the weights do not matter here.
    """
    if not _able(net, images, targets, regions, terms):
        return None
    assert isinstance(images, Tensor)
    parts = _parts(regions)
    forms = map(_form, (images, *parts.values()))
    key = (*map(_asked, terms), *parts, *forms, _cast(images), _made_of(net))
    graphs = _GRAPHS.setdefault(net, {})
    if key not in graphs:
        if len(graphs) == MOST:
            return None
        maps = [term for term in terms if isinstance(term, MapTerm)]
        graphs[key] = _graph(net, images, targets, parts, maps)
    graph = graphs[key]
    return graph and graph(images, targets, parts)


def _able(
    net: nn.Module, images: Images, targets: Tensor, regions: Regions, terms: Sequence[Term]
) -> bool:
    if not (terms and one_graph(net) and torch.is_grad_enabled() and isinstance(images, Tensor)):
        return False
    return (
        targets.shape == (len(images),)
        and len(regions) == len(images)
        and all(term.analytic for term in terms)
    )


class Graph:
    """One graph of a net and its terms.

    Args:
        net: what `torch.compile` gave.
        whole: of the net.
        classes: of the net.
    """

    def __init__(self, net: Any, whole: "Whole", classes: int) -> None:
        self.keeper, self.classes = whole.keeper, classes
        self.run = net.dynamo_ctx(whole)

    def __call__(self, images: Tensor, targets: Tensor, parts: dict[str, Tensor]) -> Answer | None:
        """None where a target is no class: who has words for that, says so."""
        # A look at what lies on a GPU; before the pass, in which it would have to wait.
        asked = targets.cpu()
        if asked.is_floating_point() or not bool(((asked >= 0) & (asked < self.classes)).all()):
            return None
        self.keeper.follow()
        targets = targets.to(images.device, non_blocking=True).long()
        answer, found = self.run(images, targets, *parts.values())
        return Answer(logits_of(answer), [found[i : i + 4] for i in range(0, len(found), 4)])


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


def _graph(
    net: nn.Module,
    images: Tensor,
    targets: Tensor,
    parts: dict[str, Tensor],
    terms: Sequence[MapTerm],
) -> Graph | None:
    """The graph; None if a layer lies under another head than pooling and one linear layer."""
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
    return Graph(net, whole, logits.shape[1])


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


@lru_cache(maxsize=256)
def _asked(term: Term) -> Term:
    """The term without its weight, which may be another in each step."""
    return replace(term, weight=1.0, warmup_epochs=0.0)


def _parts(regions: Regions) -> dict[str, Tensor]:
    """The tensors that regions are made of."""
    named = {name: getattr(regions, name) for name in ("attend", "avoid", "ignore", "present")}
    return {name: part for name, part in named.items() if part is not None}


def _form(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device


def _cast(images: Tensor) -> torch.dtype | None:
    device = images.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _made_of(net: nn.Module) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The modules and their modes; quicker than the names that `named_modules` puts together."""
    found = [net]
    for module in found:
        found += [child for child in module._modules.values() if child is not None]
    return tuple(map(id, found)), tuple(module.training for module in found)


_GRAPHS: WeakKeyDictionary[nn.Module, dict[Any, Graph | None]] = WeakKeyDictionary()
