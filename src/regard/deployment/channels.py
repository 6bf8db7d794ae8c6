"""Which channels of a net can go, by Torch-Pruning's graph of what depends on what."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from regard.errors import MissingExtraError, ModelError
from regard.models.heads import find_classifiers
from regard.models.pruned import Kept, cut
from regard.saliency.capture import Images
from regard.saliency.outputs import logits_of

Importance = Literal["magnitude", "taylor", "random"]
# Of the largest logit, by which two ways of computing the same may differ.
TOLERANCE = 1e-3
_HEADS = ("num_heads", "num_attention_heads")
# Norms over channels: with fewer of them the others change.
_ACROSS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)


def kept_channels(
    net: nn.Module,
    images: Images,
    *,
    share: float,
    importance: Importance = "magnitude",
    gradients: Mapping[str, Tensor] | None = None,
    multiple: int = 8,
    seed: int = 0,
) -> Kept:
    """The channels that stay when every layer loses the least important share of its own.

    Layers that depend on each other (a residual stream, a convolution and its norm and whoever
    reads them) lose the same channels; the importance of a channel is the mean over them (Fang et
    al., DepGraph, arXiv:2301.12900, section 3.3), each over its own mean: the norm of its weights
    (`magnitude`), or the sum over its weights of |weight x gradient|, what the loss changes to
    first order without each (`taylor`, Molchanov et al., arXiv:1906.10771, equation 8, there
    of squares). The classifier keeps its outputs.

    What is found is checked before it is given: the net that is cut so answers as Torch-Pruning's,
    and, but for norms over channels, as the whole net with what was read of these channels set to
    zero.

    Args:
        net: on the CPU; left as it was.
        images: as it takes them; two will do.
        share: of each layer's channels that goes, above 0 and below 1.
        importance: `magnitude`, `taylor`, or `random` as a control.
        gradients: by parameter, of the loss, for `taylor`.
        multiple: what is left of a layer is the nearest multiple of that, one at the least.
        seed: of `random`.

    Raises:
        MissingExtraError: without the extra `prune`.
        ModelError: the net has attention, its channels cannot be followed, or too few of them.
    """
    _refuse_attention(net)
    with _quiet():
        tp = _library()
        found = _history(tp, net, images, share, importance, gradients or {}, multiple, seed)
        if not found[1]:
            raise ModelError(
                f"prune {type(net).__name__}",
                expected=f"a layer that can lose {share:g} of its channels, in steps of {multiple}",
                found="none",
                remedy="raise --share, or lower --multiple",
            )
        kept = _places(tp, net, images, found[1])
    _check(net, images, kept, found[0])
    return kept


def _history(
    tp: ModuleType,
    net: nn.Module,
    images: Images,
    share: float,
    importance: Importance,
    gradients: Mapping[str, Tensor],
    multiple: int,
    seed: int,
) -> tuple[nn.Module, list[Any]]:
    """A copy that Torch-Pruning has cut, and what it did: root layers and their places."""

    class Nearest(tp.pruner.BasePruner):
        """Rounds to the nearest multiple, where the library always rounds down."""

        def _round_to(self, n_pruned: int, current_channels: int, round_to: int) -> int:
            kept = max(1, round((current_channels - n_pruned) / round_to)) * round_to
            return max(current_channels - kept, 0)

    copy = deepcopy(net).eval()
    for name, parameter in copy.named_parameters():
        parameter.requires_grad_(True)
        parameter.grad = gradients.get(name, torch.zeros_like(parameter)).clone()
    measure = {
        "magnitude": tp.importance.GroupMagnitudeImportance,
        "taylor": tp.importance.GroupTaylorImportance,
        "random": tp.importance.RandomImportance,
    }[importance]()
    with torch.random.fork_rng(devices=[]), _followed(net):
        torch.manual_seed(seed)
        pruner = Nearest(
            copy,
            images,
            importance=measure,
            pruning_ratio=share,
            round_to=multiple,
            ignored_layers=list(find_classifiers(copy).values()),
            forward_fn=_answer,
        )
        pruner.step()
        logits = _answer(copy, images)
    if logits.shape != _answer(net, images).shape:
        raise _not_followed(net, f"logits of shape {tuple(logits.shape)} afterwards")
    return copy, [step for step in pruner.pruning_history() if step[2]]


def _places(tp: ModuleType, net: nn.Module, images: Images, history: list[Any]) -> Kept:
    """The same pruning of a net whose numbers are their own places, read off what is left."""
    tagged = deepcopy(net).eval().double()  # exact to 2^53
    shapes = {name: value.shape for name, value in tagged.state_dict().items()}
    for parameter in tagged.parameters():
        parameter.requires_grad_(True)
    graph = tp.DependencyGraph().build_dependency(tagged, _doubled(images), forward_fn=_answer)
    for value in tagged.state_dict().values():
        value.copy_(torch.arange(value.numel()).view(value.shape))
    graph.load_pruning_history(history)
    found: dict[str, dict[int, list[int]]] = {}
    for name, value in tagged.state_dict().items():
        if value.shape == shapes[name]:
            continue
        places = torch.unravel_index(value.long(), shapes[name])
        found[name] = {
            axis: own.unique().tolist()
            for axis, own in enumerate(places)
            if value.shape[axis] != shapes[name][axis]
        }
    return found


def _check(net: nn.Module, images: Images, kept: Kept, wanted: nn.Module) -> None:
    """Raise where cutting by the table is not what was meant, or does more than leave out."""
    made = cut(deepcopy(net).eval(), kept)
    own = _answer(made, images)
    if not _close(own, _answer(wanted, images)):
        raise _not_followed(net, "other answers than Torch-Pruning's own")
    if any(isinstance(part, _ACROSS) for part in net.modules()):
        return
    if not _close(own, _answer(without_readers(net, kept), images)):
        raise _not_followed(net, "channels that do more than what reads them")


def without_readers(net: nn.Module, kept: Kept) -> nn.Module:
    """A copy of the whole net, in evaluation mode, that reads no channel but the kept ones."""
    whole = deepcopy(net).eval()
    parts = dict(whole.named_modules())
    with torch.no_grad():
        for name, axes in kept.items():
            place, _, leaf = name.rpartition(".")
            part = parts[place]
            axis = 0 if isinstance(part, _ConvTransposeNd) else 1  # of the inputs
            if leaf == "weight" and axis in axes and isinstance(part, nn.Linear | _ConvNd):
                lost = torch.ones(part.weight.shape[axis], dtype=torch.bool)
                lost[list(axes[axis])] = False
                part.weight.index_fill_(axis, lost.nonzero().flatten(), 0)
    return whole


def _close(one: Tensor, other: Tensor) -> bool:
    one, other = one.detach(), other.detach()
    return bool((one - other).abs().max() <= TOLERANCE * max(1.0, float(other.abs().max())))


def _answer(net: nn.Module, images: Any) -> Tensor:
    """With a graph, which the library reads."""
    return logits_of(net(images))


def _doubled(images: Images) -> Images:
    if isinstance(images, Tensor):
        return images.double()
    return {view: pixels.double() for view, pixels in images.items()}


def _refuse_attention(net: nn.Module) -> None:
    for name, part in net.named_modules():
        if isinstance(part, nn.MultiheadAttention) or any(hasattr(part, own) for own in _HEADS):
            raise ModelError(
                f"prune {type(net).__name__}",
                expected="a net of convolutions and linear layers",
                found=f"attention, {name}, whose heads have a fixed width",
                remedy="take a convolutional net, or distil into a smaller one: regard distil",
            )


@contextmanager
def _followed(net: nn.Module) -> Iterator[None]:
    """Within, whatever the library raises at a net that it cannot follow is one line."""
    try:
        yield
    except Exception as error:  # of many kinds, by what the net does
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise _not_followed(net, found) from error


def _not_followed(net: nn.Module, found: str) -> ModelError:
    return ModelError(
        f"prune {type(net).__name__}",
        expected="a net whose channels Torch-Pruning can follow",
        found=found,
        remedy="take another net, or distil into a smaller one: regard distil",
    )


def _library() -> ModuleType:
    try:
        import torch_pruning
    except ImportError as error:
        raise MissingExtraError("regard prune", "prune") from error
    return torch_pruning


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, what the library tells of parameters that it finds by itself is not the user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
