"""What a net is made of, read off a trace of one forward pass: the last spatial layer."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from regard.errors import ModelError, near

# Layers that only pass on what they get: the one before them is meant.
PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


@dataclass(frozen=True)
class Visit:
    """One module's output in a forward pass, in order of completion.

    Attributes:
        name: dotted name in the net.
        module: the module itself.
        shape: of its output tensor.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """The layer whose activations an explanation reads.

    Attributes:
        name: dotted name.
        module: the module.
        grid: (h, w) of the positions in its output, None when not traced.
    """

    name: str
    module: nn.Module
    grid: tuple[int, int] | None = None


def last_spatial(visits: Sequence[Visit]) -> Layer:
    """The last layer whose output still has positions: (B, C, h, w) with more than one.

    Of modules that end with the same tensor (a block and the stage around it) the outermost.

    Raises:
        ModelError: the net has no such layer, or mixes positions as tokens after it.
    """
    spatial = [
        (order, visit)
        for order, visit in enumerate(visits)
        if _is_map(visit) and not isinstance(visit.module, PASSING)
    ]
    last = max((order for order, _ in spatial), default=-1)
    tokens = [v for v in visits[last + 1 :] if len(v.shape) == 3 and v.shape[1] > 1]
    if not spatial or tokens:
        raise ModelError(
            "layer",
            expected="a net whose last layers are feature maps (B, C, h, w)",
            found=f"tokens at {tokens[0].name!r}" if tokens else "no layer with positions",
            remedy="pass layer= a dotted name or a module with such an output",
        )
    visit = spatial[-1][1]
    if _channels_last(visit):
        raise ModelError(
            "layer",
            expected="feature maps (B, C, h, w)",
            found=f"channels last, {visit.shape}, at {visit.name!r}",
            remedy="pass layer= a dotted name or a module with channels first",
        )
    return Layer(visit.name, visit.module, (visit.shape[2], visit.shape[3]))


def possible_layers(visits: Sequence[Visit]) -> list[str]:
    """Names of the layers that a map can be read from, last first."""
    return [visit.name for visit in reversed(visits) if _is_map(visit)]


def _is_map(visit: Visit) -> bool:
    return len(visit.shape) == 4 and visit.shape[2] * visit.shape[3] > 1 and visit.name != ""


def _channels_last(visit: Visit) -> bool:
    """Whether a layer over the last axis made it: (B, h, w, C), as in Swin."""
    match visit.module:
        case nn.LayerNorm(normalized_shape=(channels,)) | nn.Linear(out_features=channels):
            return visit.shape[3] == channels != visit.shape[1]
    return False


def named_layer(net: nn.Module, name: str) -> Layer:
    """The layer of a dotted name, with or without the wrappers of DDP and torch.compile.

    Raises:
        ModelError: no such layer; names the near ones.
    """
    modules = dict(net.named_modules(remove_duplicate=False))
    if name in modules:
        return Layer(name, modules[name])
    for full, module in modules.items():
        if name and _bare(full) == _bare(name):
            return Layer(name, module)
    raise ModelError(
        "layer",
        expected=f"a layer of {type(net).__name__}",
        found=repr(name),
        remedy=near(name, [n for n in modules if n]),
    )


def _bare(name: str) -> str:
    return ".".join(p for p in name.split(".") if p not in ("module", "_orig_mod"))
