"""Which layer an explanation reads, and whether the head above it is pooling and linear."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from regard.errors import ModelError
from regard.models.anatomy import Layer, last_spatial, named_layer, possible_layers
from regard.saliency.capture import Images, trace

_FOUND: WeakKeyDictionary[nn.Module, dict[int, str]] = WeakKeyDictionary()
# What the matrix products of a net in float32 may be rounded to.
_ROUNDING = {"highest": 0.0, "high": 2.0**-10, "medium": 2.0**-7}


def find_layer(net: nn.Module, images: Images, layer: str | nn.Module | None = None) -> Layer:
    """The layer to read: the one given, by name or itself, or the net's last spatial one.

    What was found is remembered by name, for the net's modules and the images' size, so the
    tracing pass runs once.

    Raises:
        ModelError: no such layer in the net; names the near or the possible ones.
    """
    if isinstance(layer, nn.Module):
        for name, module in net.named_modules():
            if module is layer:
                return Layer(name, module)
        raise ModelError(
            "layer",
            expected=f"a module of {type(net).__name__}",
            found=f"a {type(layer).__name__} that is not part of it",
            remedy="pass one of the net's own modules, or a dotted name",
        )
    if layer is None:
        known, key = _FOUND.setdefault(net, {}), _circumstances(net, images)
        if key not in known:
            known[key] = last_spatial(trace(net, images)).name
        layer = known[key]
    return named_layer(net, layer)


def _circumstances(net: nn.Module, images: Images) -> int:
    """What the last spatial layer depends on, as one number."""
    views = images.values() if isinstance(images, Mapping) else (images,)
    modules = tuple((name, type(module)) for name, module in net.named_modules())
    return hash((modules, *(view.shape[1:] for view in views)))


def require_map(net: nn.Module, images: Images, layer: Layer, output: Tensor | None) -> Tensor:
    """The layer's output, if it was reached and is a batch of feature maps.

    Raises:
        ModelError: it is not; names the possible layers.
    """
    if output is not None and output.ndim == 4:
        return output
    possible = possible_layers(trace(net, images))
    raise ModelError(
        f"layer {layer.name!r}",
        expected="a layer with feature maps (B, C, h, w)",
        found="one without a tensor in this pass" if output is None else f"{tuple(output.shape)}",
        remedy="choose one of: " + ", ".join(possible[:12]),
    )


def linear_head(net: nn.Module, activations: Tensor, logits: Tensor) -> Tensor | None:
    """The weights (K, C) of a head that is average pooling and one linear layer, else None.

    Such a head is recognised by its arithmetic: the linear layer applied to the mean
    activations has to give this very pass's logits. Dropout between them, a norm after the
    pooling or another pooling all fail that.
    """
    if logits.ndim != 2:
        return None
    shape = (logits.shape[1], activations.shape[1])
    for module in net.modules():
        if (
            isinstance(module, nn.Linear)
            and not is_parametrized(module)
            and module.weight.shape == shape
            and module.weight.device == activations.device
            and _gives(module, activations, logits)
        ):
            return module.weight
    return None


def _gives(head: nn.Linear, activations: Tensor, logits: Tensor) -> bool:
    """Whether the head gives these logits from the mean activations, but for rounding."""
    rounding = max(torch.finfo(t.dtype).eps for t in (logits, activations))
    rounding = max(rounding, _ROUNDING[torch.get_float32_matmul_precision()])
    with torch.no_grad(), torch.autocast(activations.device.type, enabled=False):
        weight, means = head.weight.float(), activations.float().mean((2, 3))
        bias = logits.new_zeros(()).float() if head.bias is None else head.bias.float()
        sums = means @ weight.T
        # Rounding errors of the summands add up like their squares. Those of a large bias are
        # allowed for as long as they do not hide the sums.
        scale = sums.abs() + (means.square() @ weight.square().T).sqrt()
        room = max(1e-4, 2 * rounding) * scale + (4 * rounding * bias.abs()).minimum(0.02 * scale)
        return bool(((sums + bias - logits.float()).abs() <= room).all())
