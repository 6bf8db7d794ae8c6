"""Which layer an explanation reads."""

import math
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from regard.errors import ModelError
from regard.models.anatomy import Layer, Placed, last_spatial, named_module, possible_layers
from regard.models.layout import Layout, last_visits, layout_of
from regard.saliency.capture import Images, copied, evaluating, trace, undisturbed, watch
from regard.saliency.compiled import eager
from regard.saliency.modules import modules_of
from regard.saliency.order import lies_elsewhere
from regard.saliency.outputs import logits_of

Found = dict[tuple[int, str | None], tuple[str, Layout]]
_FOUND: WeakKeyDictionary[nn.Module, Found] = WeakKeyDictionary()
# Numbers in the outputs of all modules whose gradients are asked for at once.
_ROOM = 2**28


def find_layer(
    net: nn.Module,
    images: Images,
    layer: str | nn.Module | None = None,
    *,
    anew: bool = False,
) -> Layer:
    """The layer to read: the one given, by name or itself, or the net's last spatial one.

    What was found is remembered by name, for the net's modules and the images' size, so the
    tracing pass runs once; `anew` forgets it.

    Raises:
        ModelError: no such layer in the net, or one without positions; names the near or the
            possible ones. Or one whose positions lie in another order than in the image.
    """
    if isinstance(layer, nn.Module):
        layer = name_of(net, layer)
    if not isinstance(layer, str | None):
        remedy = "pass its dotted name, the module itself, or None for the last one"
        raise ModelError("layer", expected="a layer", found=repr(layer), remedy=remedy)
    known, key = _FOUND.setdefault(net, {}), (circumstances(net, images), layer)
    if anew or key not in known:
        with torch.inference_mode(False), eager(net):  # gradients tell what matters
            found = _last(net, images) if layer is None else _named(net, images, layer)
        known[key] = found.name, found.layout
    name, layout = known[key]
    return Layer(name, _at(net, name), layout)


def _at(net: nn.Module, name: str) -> nn.Module:
    """The module of a name that was found before; the quick way first."""
    try:
        return net.get_submodule(name)
    except AttributeError:  # with the wrappers of DDP and torch.compile, or without
        return named_module(net, name)[1]


def name_of(net: nn.Module, module: nn.Module) -> str:
    """The dotted name of one of the net's own modules.

    Raises:
        ModelError: it is not.
    """
    for name, part in net.named_modules():
        if part is module:
            return name
    raise ModelError(
        "layer",
        expected=f"a module of {type(net).__name__}",
        found=f"a {type(module).__name__} that is not part of it",
        remedy="pass one of the net's own modules, or a dotted name",
    )


def _named(net: nn.Module, images: Images, layer: str) -> Layer:
    name, module = named_module(net, layer)
    visits, size = trace(net, images), image_size(images)
    own = [visit for visit in visits if visit.module is module]
    layout = layout_of(own[-1], visits, size) if own else None
    if layout is None:
        found = str(own[-1].shape) if own else "one without a tensor in this pass"
        raise _no_map(net, images, layer, found)
    place = Layer(name, module, layout)
    if layout.kind != "map" and lies_elsewhere(net, images, place):
        raise ModelError(
            f"layer {layer!r}",
            expected="positions row by row, as they lie in the image",
            found=f"{own[-1].shape} in another order, as within the units of Hiera",
            remedy="choose a later layer, or leave layer out",
        )
    return place


def _last(net: nn.Module, images: Images) -> Layer:
    def matters(placed: Sequence[Placed]) -> list[bool]:
        return _matter(net, images, placed)

    return last_spatial(trace(net, images), image_size(images), matters)


def _matter(net: nn.Module, images: Images, placed: Sequence[Placed]) -> list[bool]:
    """Whether the first image's logits have a gradient at the positions of each layer."""
    layers = {str(i): visit.module for i, (visit, _) in enumerate(placed)}
    with undisturbed(net), evaluating(net), torch.enable_grad(), watch(layers, cut=False) as seen:
        total = telling_number(net, images)
        if not total.requires_grad:
            return [False] * len(placed)
        outputs = [seen[key] for key in layers]
        gradients = torch.autograd.grad(total, outputs, allow_unused=True)
    return [
        gradient is not None and layout.fits(gradient.shape) and bool(layout.maps(gradient).any())
        for gradient, (_, layout) in zip(gradients, placed, strict=True)
    ]


def readable_layers(net: nn.Module, images: Images) -> list[str]:
    """Names of the layers that a map of the logits can be read from, last first.

    Left out is what the logits do not depend on, unless a pass makes so many numbers that the
    gradients of all layers at once would take too much memory.
    """
    visits, size = trace(net, images), image_size(images)
    last = [visit for visit in last_visits(visits) if visit.name]
    found = [(visit, layout_of(visit, visits, size)) for visit in reversed(last)]
    placed = [(visit, layout) for visit, layout in found if layout is not None]
    if sum(math.prod(visit.shape) for visit in visits) > _ROOM:
        return [visit.name for visit, _ in placed]
    with eager(net):
        told = _matter(net, images, placed) if placed else []
    kept = [visit.name for (visit, _), matters in zip(placed, told, strict=True) if matters]
    # Of a net that is dead everywhere any layer is as good as another.
    return kept or [visit.name for visit, _ in placed]


def telling_number(net: nn.Module, images: Images) -> Tensor:
    """One number whose gradient is zero only at what no logit of the first image depends on."""
    logits = logits_of(functional_call(net, filled(net), (copied(images, 1),)))
    # Weights that differ, or the classes' gradients may cancel, as under a softmax.
    weights = torch.linspace(1, 2, logits[0].numel(), device=logits.device, dtype=logits.dtype)
    return (logits.flatten() * weights).sum()


def filled(net: nn.Module) -> dict[str, Tensor]:
    """Noise for parameters that are zero all over: a head before training hides what matters.

    Biases hide nothing, and noise in them would: a head in bfloat16 is told by its small sums.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return {
            name: torch.randn(p.shape, generator=generator).to(p)
            for name, p in net.named_parameters()
            if p.is_floating_point() and not name.endswith("bias") and not bool(p.any())
        }


def image_size(images: Images) -> tuple[int, int]:
    """(H, W) of the images; of several views, of the first."""
    first = next(iter(images.values())) if isinstance(images, Mapping) else images
    return first.shape[-2], first.shape[-1]


def circumstances(net: nn.Module, images: Images, *, modes: bool = False) -> int:
    """What the layers' outputs depend on, as one number; `modes`: also whether they train."""
    views = images.values() if isinstance(images, Mapping) else (images,)
    modules = modules_of(net)
    told = modules.modes(net) if modes else None
    return hash((modules.structure, told, *(view.shape[1:] for view in views)))


def is_map(images: Images, layer: Layer, output: Tensor | None) -> bool:
    """Whether the layer was reached, and its output lies as it did when it was found."""
    first = next(iter(images.values())) if isinstance(images, Mapping) else images
    return output is not None and len(output) == len(first) and layer.layout.fits(output.shape)


def require_map(net: nn.Module, images: Images, layer: Layer, output: Tensor | None) -> Tensor:
    """The layer's output, if it was reached and lies as it did when it was found.

    Raises:
        ModelError: it is not; names the possible layers.
    """
    if output is not None and is_map(images, layer, output):
        return output
    found = "one without a tensor in this pass" if output is None else f"{tuple(output.shape)}"
    raise _no_map(net, images, layer.name, found)


def _no_map(net: nn.Module, images: Images, layer: str, found: str) -> ModelError:
    possible = possible_layers(trace(net, images), image_size(images))
    return ModelError(
        f"layer {layer!r}",
        expected="a layer with positions: (B, C, h, w) or tokens (B, N, C)",
        found=found,
        remedy="choose one of: " + ", ".join(possible[:12])
        if possible
        else "pass the net as it was written: of a traced or scripted one no layer is seen",
    )
