"""What a net is made of, read off a trace of one forward pass: the last layer with positions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from regard.errors import ModelError, near
from regard.models.layout import Layout, Visit, last_visits, layout_of

# Layers that only pass on what they get: the one before them is meant.
PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
# What a segmenter's backbone is called.
ENCODERS = {"encoder", "backbone"}
Placed = tuple[Visit, Layout]
Matters = Callable[[Sequence[Placed]], list[bool]]


@dataclass(frozen=True)
class Layer:
    """The layer whose activations an explanation reads.

    Attributes:
        name: dotted name.
        module: the module.
        layout: how the positions of its output lie.
    """

    name: str
    module: nn.Module
    layout: Layout


def last_spatial(visits: Sequence[Visit], size: tuple[int, int], matters: Matters) -> Layer:
    """The last layer that has positions which the logits depend on.

    In a net that ends with maps it is the last one with more than one position; of modules
    that end with the same tensor (a block and the stage around it) the outermost. In a segmenter
    it is the last one of its encoder: further up the maps are the segmentation itself. In a net of
    tokens or of channels that lie last it is the last norm, or block with a norm, whose
    patches still matter: with class-token pooling the last block's first norm. A module that is
    called several times counts at its last call.

    Args:
        visits: of a forward pass of one image.
        size: (H, W) of the image.
        matters: whether the logits' gradient at the patches is other than zero, for each.

    Raises:
        ModelError: the net has no such layer.
    """
    placed = [
        (visit, layout)
        for visit in last_visits(visits)
        if visit.name and not isinstance(visit.module, PASSING)
        for layout in [layout_of(visit, visits, size)]
        if layout is not None
    ]
    if visits and not visits[-1].name and len(visits[-1].shape) == 4:
        placed = _below_logits(placed, visits[-1].shape[1])
    if placed and placed[-1][1].kind == "map":
        placed = _up_to_last(placed, matters)
        if placed[-1][1].kind == "map":
            return _layer(*placed[-1])
    tokens = [(v, layout) for v, layout in placed if layout.kind != "map"]
    told = dict(zip((v.name for v, _ in tokens), matters(tokens) if tokens else (), strict=True))
    left = [(v, layout) for v, layout in tokens if told[v.name] and _is_stream(v.module)]
    # Without norms of tokens: blocks of any make, or a head that attends to the last map.
    left = left or [(v, layout) for v, layout in tokens if told[v.name] and _is_block(v.module)]
    left = left or _up_to_last([(v, own) for v, own in placed if own.kind == "map"], matters)
    if not left:
        raise ModelError(
            "layer",
            expected="a net with positions: feature maps (B, C, h, w) or tokens (B, N, C)",
            found=f"tokens at {placed[-1][0].name!r}" if placed else "no layer with positions",
            remedy="pass layer= a dotted name or a module with such an output",
        )
    return _layer(*left[-1])


def _up_to_last(placed: list[Placed], matters: Matters) -> list[Placed]:
    """The layers up to the last one that matters: after it, another output is made.

    Of a net that is dead everywhere any layer is as good as another.
    """
    if not placed or matters(placed[-1:])[0]:
        return placed
    told = matters(placed)
    return placed[: len(told) - told[::-1].index(True)] if any(told) else placed


def _below_logits(placed: list[Placed], classes: int) -> list[Placed]:
    """The layers of a segmenter's encoder; of one without, those before the logits."""
    inside = [(v, layout) for v, layout in placed if ENCODERS & set(v.name.split(".")[:3])]
    if inside:
        return inside
    while placed and placed[-1][0].shape[1] == classes:
        placed = placed[:-1]
    return placed


def _layer(visit: Visit, layout: Layout) -> Layer:
    return Layer(visit.name, visit.module, layout)


def _is_stream(module: nn.Module) -> bool:
    """Whether a module gives what flows through the net: a norm of tokens, or a block around one.

    Queries, keys and values, too, are tokens, but no method is defined on them.
    """
    return any(_is_norm(part) for part in module.modules())


def _is_block(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def _is_norm(module: nn.Module) -> bool:
    """Whether it is a norm over channels that lie last, by its class or by what it is called."""
    called = type(module).__name__.lower()
    return called.endswith(("layernorm", "rmsnorm")) or isinstance(
        module, nn.LayerNorm | nn.RMSNorm
    )


def possible_layers(visits: Sequence[Visit], size: tuple[int, int]) -> list[str]:
    """Names of the layers that a map can be read from, last first."""
    return [
        visit.name
        for visit in reversed(last_visits(visits))
        if visit.name and layout_of(visit, visits, size) is not None
    ]


def named_module(net: nn.Module, name: str) -> tuple[str, nn.Module]:
    """The module of a dotted name, with or without the wrappers of DDP and torch.compile.

    Raises:
        ModelError: no such layer; names the near ones.
    """
    modules = dict(net.named_modules(remove_duplicate=False))
    if name in modules:
        return name, modules[name]
    for full, module in modules.items():
        if name and bare(full) == bare(name):
            return name, module
    raise ModelError(
        "layer",
        expected=f"a layer of {type(net).__name__}",
        found=repr(name),
        remedy=near(name, [n for n in modules if n]),
    )


def bare(name: str) -> str:
    """A dotted name without the wrappers of DDP and torch.compile."""
    return ".".join(p for p in name.split(".") if p not in ("module", "_orig_mod"))
