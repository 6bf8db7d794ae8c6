"""A compiled net's pass and the terms on its maps, as one graph.

Beside a compiled pass the terms' own arithmetic is what costs on a GPU: some sixty kernels, each
started from Python. It is written down once, as the operations that it comes to, and compiled with
the net.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.data.regions import Regions
from regard.guidance.arithmetic import Whole, whole_of
from regard.guidance.base import Term
from regard.guidance.judged import Judged, Taken
from regard.guidance.maps import MapTerm
from regard.saliency.capture import Images
from regard.saliency.compiled import one_graph
from regard.saliency.modules import Modules, modules_of
from regard.saliency.outputs import logits_of

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
    graphs, modes = _graphs_of(net)
    key = (*map(_asked, terms), *parts, *forms, _cast(images), modes)
    if key not in graphs:
        if len(graphs) == MOST:
            return None
        maps = [term for term in terms if isinstance(term, MapTerm)]
        found = whole_of(net, images, targets, parts, maps)
        graphs[key] = found and Graph(net, *found)
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
        and all(isinstance(term, MapTerm) and term.analytic and term.separate for term in terms)
    )


class Graph:
    """One graph of a net and its terms.

    Args:
        net: what `torch.compile` gave.
        whole: of the net.
        classes: of the net.
    """

    def __init__(self, net: Any, whole: Whole, classes: int) -> None:
        self.keeper, self.classes = whole.keeper, classes
        self.run = net.dynamo_ctx(whole)

    def __call__(self, images: Tensor, targets: Tensor, parts: dict[str, Tensor]) -> Answer | None:
        """None where a target is no class: who has words for that, says so."""
        if targets.is_floating_point() or not _are_classes(targets, self.classes):
            return None
        self.keeper.follow()
        targets = targets.to(images.device, non_blocking=True).long()
        answer, found = self.run(images, targets, *parts.values())
        return Answer(logits_of(answer), [_of_term(maps, Judged(*rest)) for maps, *rest in found])


def _of_term(maps: Tensor, judged: Judged) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean = Taken.apply(judged.losses, judged.mean, judged.shares)
    return maps, judged.losses, judged.valid, mean


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


def _are_classes(targets: Tensor, classes: int) -> bool:
    """Whether all targets are; on a GPU they are not looked at, as regions are not."""
    if targets.device.type != "cpu" or not len(targets):
        return True
    low, high = targets.aminmax()
    return bool(low >= 0) and bool(high < classes)


def _graphs_of(net: nn.Module) -> tuple[dict[Any, Graph | None], tuple[bool, ...]]:
    """The graphs of a net as it is now, and the modes of its modules."""
    compiled: Any = net
    bare = compiled._orig_mod
    modules = modules_of(bare)
    known = _GRAPHS.get(net)
    if known is None or known[1] is not modules:
        known = _GRAPHS[net] = {}, modules
    return known[0], modules.modes(bare)


# Modules hold parts of the net that was compiled, and not what `torch.compile` gave, the key.
_GRAPHS: WeakKeyDictionary[nn.Module, tuple[dict[Any, Graph | None], Modules]] = WeakKeyDictionary()
