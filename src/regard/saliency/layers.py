"""Which layer an explanation reads, and whether the head above it is pooling and linear."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.models.anatomy import Layer, last_spatial, named_layer, possible_layers
from regard.models.heads import find_classifier
from regard.saliency.capture import Images, trace

_FOUND: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def find_layer(net: nn.Module, images: Images, layer: str | nn.Module | None = None) -> Layer:
    """The layer to read: the one given, by name or itself, or the net's last spatial one.

    What was found is remembered for the net by name, so the tracing pass runs once.

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
        layer = _FOUND.get(net)
    if layer is None:
        layer = _FOUND[net] = last_spatial(trace(net, images)).name
    return named_layer(net, layer)


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
        found="one that the pass does not reach" if output is None else f"{tuple(output.shape)}",
        remedy="choose one of: " + ", ".join(possible[:12]),
    )


def linear_head(net: nn.Module, activations: Tensor, logits: Tensor) -> Tensor | None:
    """The weights (K, C) of a head that is average pooling and one linear layer, else None.

    Such a head is recognised by its arithmetic: the linear layer applied to the mean
    activations has to give this very pass's logits. Dropout between them, a norm after the
    pooling or another pooling all fail that.
    """
    found = find_classifier(net)
    if found is None or not isinstance(found[1], nn.Linear):
        return None
    weight, bias = found[1].weight, found[1].bias
    if weight.shape != (logits.shape[-1], activations.shape[1]) or logits.ndim != 2:
        return None
    with torch.no_grad(), torch.autocast(activations.device.type, enabled=False):
        expected = nn.functional.linear(
            activations.mean((2, 3)).float(), weight.float(), None if bias is None else bias.float()
        )
        coarse = max(torch.finfo(t.dtype).eps for t in (logits, activations)) > 1e-4
        room = (0.05 if coarse else 1e-4) * expected.abs().amax().clamp_min(1e-6)
        exact = (expected - logits.float()).abs().amax() <= room
    return weight if bool(exact) else None
