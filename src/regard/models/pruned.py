"""Nets that keep only some of the channels that their spec gives them, as a table of what is kept.

The table is JSON: of each tensor that is smaller than the spec's, by axis, the places kept.
Nothing else is needed to build such a net again: it is built whole and cut.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from regard.errors import ModelError
from regard.files.atomic import write_atomically

# By tensor, axis by axis, the places that are kept, ascending.
Kept = Mapping[str, Mapping[int, Sequence[int]]]


def write_kept(kept: Kept, path: Path) -> None:
    """Write the table in one atomic step."""
    text = json.dumps(kept, separators=(",", ":"))
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_kept(path: Path) -> Kept:
    """The table in a file that `regard prune` wrote.

    Raises:
        ModelError: no such file, or another content.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: {int(a): own for a, own in axes.items()} for name, axes in values.items()}
        lists = [own for axes in kept.values() for own in axes.values()]
        sound = all(isinstance(place, int) for own in lists for place in own)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise _wrong(str(path), "no such file" if missing else "something else") from error
    if not sound:
        raise _wrong(str(path), "places that are no whole numbers")
    return kept


def cut(net: nn.Module, kept: Kept, where: str = "model.pruned") -> nn.Module:
    """Cut a net down to what is kept, in place; its own weights at these places stay.

    Layers are told their new numbers of channels. A convolution of as many groups as channels
    stays one; other groups keep their number, each with fewer channels.

    Args:
        net: as its spec gives it.
        kept: of the tensors that lose something.
        where: names the table in an error.

    Returns:
        The net.

    Raises:
        ModelError: the table is not of this net.
    """
    tensors = {**dict(net.named_parameters(remove_duplicate=False)), **dict(net.named_buffers())}
    _refuse_other_net(tensors, kept, where)
    made: dict[int, Tensor] = {}  # tensors that two layers share stay shared
    depthwise = {part for part in net.modules() if _is_depthwise(part)}
    changed: set[nn.Module] = set()
    for name, axes in kept.items():
        old = tensors[name]
        if id(old) not in made:
            made[id(old)] = _sliced(old, axes)
        place, _, leaf = name.rpartition(".")
        part = net.get_submodule(place)
        if isinstance(old, nn.Parameter):
            setattr(part, leaf, made[id(old)])
        else:
            part._buffers[leaf] = made[id(old)]
        changed.add(part)
    for part in changed:
        _tell(part, depthwise=part in depthwise)
    return net


def of_first(first: Kept, then: Kept) -> Kept:
    """What is kept of a net that was cut twice, in the places of the whole net.

    Args:
        first: of the whole net.
        then: of the net that was cut by `first`.
    """
    found: dict[str, dict[int, Sequence[int]]] = {n: dict(axes) for n, axes in first.items()}
    for name, axes in then.items():
        own = found.setdefault(name, {})
        for axis, places in axes.items():
            before = own.get(axis)
            own[axis] = places if before is None else [before[place] for place in places]
    return found


def _refuse_other_net(tensors: Mapping[str, Tensor], kept: Kept, where: str) -> None:
    for name, axes in kept.items():
        tensor = tensors.get(name)
        if tensor is None:
            raise _wrong(where, f"{name!r}, which the net lacks")
        for axis, places in axes.items():
            own = list(places)
            if not 0 <= axis < tensor.ndim or not own or own != sorted(set(own)):
                raise _wrong(where, f"places of {name!r}, axis {axis}, that are none")
            if own[0] < 0 or own[-1] >= tensor.shape[axis]:
                raise _wrong(where, f"place {own[-1]} of {tensor.shape[axis]} of {name!r}")


def _sliced(tensor: Tensor, axes: Mapping[int, Sequence[int]]) -> Tensor:
    values = tensor.detach()
    for axis, places in axes.items():
        values = values.index_select(axis, torch.tensor(places, device=values.device))
    values = values.contiguous()
    return (
        nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values
    )


def _is_depthwise(part: nn.Module) -> bool:
    return isinstance(part, _ConvNd) and part.groups == part.in_channels == part.out_channels > 1


def _tell(part: nn.Module, *, depthwise: bool) -> None:
    """Set what a layer says of its own size; torch reads the groups, the norms' shapes too."""
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor):
        return
    first, second = weight.shape[0], weight.shape[1] if weight.ndim > 1 else 1
    if isinstance(part, _ConvNd):
        part.groups = first if depthwise else part.groups
        ends = (first, second * part.groups)
        transposed = isinstance(part, _ConvTransposeNd)  # whose kernels lie input first
        part.in_channels, part.out_channels = ends if transposed else ends[::-1]
    elif isinstance(part, nn.Linear):
        part.out_features, part.in_features = first, second
    elif isinstance(part, _BatchNorm):
        part.num_features = first
    elif isinstance(part, nn.LayerNorm):
        part.normalized_shape = tuple(weight.shape)
    elif isinstance(part, nn.GroupNorm):
        part.num_channels = first
    elif isinstance(part, nn.PReLU):
        part.num_parameters = first


def _wrong(where: str, found: str) -> ModelError:
    return ModelError(
        where,
        expected="a table of kept channels of this very net, as regard prune writes it",
        found=found,
        remedy="take pruned.json of the pruned run's folder, beside its own model.spec and options",
    )
