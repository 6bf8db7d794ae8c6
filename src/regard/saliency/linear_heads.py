"""Whether the head above a layer is average pooling and one linear layer."""

from collections.abc import Mapping
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrize import is_parametrized

from regard.models.anatomy import Layer
from regard.saliency.capture import Images, copied, undisturbed, watch
from regard.saliency.layers import circumstances, filled, require_map
from regard.saliency.outputs import logits_of

_HEADS: WeakKeyDictionary[nn.Module, dict[tuple, str | None]] = WeakKeyDictionary()
# What the matrix products of a net in float32 may be rounded to.
_ROUNDING = {"highest": 0.0, "high": 2.0**-10, "medium": 2.0**-7}


def linear_head(net: nn.Module, activations: Tensor, logits: Tensor) -> Tensor | None:
    """The weights (K, C) of a head that is average pooling and one linear layer, else None.

    Such a head is recognised by its arithmetic: the linear layer applied to the mean
    activations has to give this very pass's logits. Dropout between them, a norm after the
    pooling or another pooling all fail that.
    """
    name = _head_of(net, activations, logits, {})
    return None if name is None else cast(nn.Linear, net.get_submodule(name)).weight


def _head_of(
    net: nn.Module, activations: Tensor, logits: Tensor, others: Mapping[str, Tensor]
) -> str | None:
    """The head's name; `others` are parameters that the pass had in place of the net's own."""
    if logits.ndim != 2:
        return None
    shape = (logits.shape[1], activations.shape[1])
    for name, module in net.named_modules():
        if (
            isinstance(module, nn.Linear)
            and not is_parametrized(module)
            and module.weight.shape == shape
            and module.weight.device == activations.device
        ):
            weight = others.get(f"{name}.weight", module.weight)
            bias = others.get(f"{name}.bias", module.bias)
            if _gives(weight, bias, activations, logits):
                return name
    return None


def remembered_head(net: nn.Module, images: Images, layer: Layer) -> Tensor | None:
    """`linear_head` found once on a noisy pass, then looked up by the head's name.

    For the steps of a training, in which a look at this very pass's numbers would have a GPU wait.
    Parameters that are zero all over are noise in that pass: a head that starts at zero would pass
    for one of any pooling.
    """
    known, key = _HEADS.setdefault(net, {}), (circumstances(net, images, modes=True), layer.name)
    if key not in known:
        known[key] = _head_name(net, images, layer)
    name = known[key]
    return None if name is None else cast(nn.Linear, net.get_submodule(name)).weight


def _head_name(net: nn.Module, images: Images, layer: Layer) -> str | None:
    noise, few = filled(net), _noisy(copied(images, 2))
    with undisturbed(net), torch.no_grad(), watch({layer.name: layer.module}, cut=False) as seen:
        logits = logits_of(functional_call(net, noise, (copied(few),)))
    maps = layer.layout.maps(require_map(net, few, layer, seen.get(layer.name)))
    return _head_of(net, maps, logits, noise)


def _noisy(images: Images) -> Images:
    """The images with noise on them: on blank ones heads of any pooling look alike."""
    if isinstance(images, Mapping):
        return {view: cast(Tensor, _noisy(pixels)) for view, pixels in images.items()}
    generator = torch.Generator().manual_seed(0)
    return images + torch.randn(images.shape, generator=generator).to(images)


def _gives(weight: Tensor, bias: Tensor | None, activations: Tensor, logits: Tensor) -> bool:
    """Whether the head gives these logits from the mean activations, but for rounding."""
    rounding = max(torch.finfo(t.dtype).eps for t in (logits, activations))
    rounding = max(rounding, _ROUNDING[torch.get_float32_matmul_precision()])
    with torch.no_grad(), torch.autocast(activations.device.type, enabled=False):
        weight, means = weight.float(), activations.float().mean((2, 3))
        bias = logits.new_zeros(()).float() if bias is None else bias.float()
        sums = means @ weight.T
        # Rounding errors of the summands add up like their squares. Those of a large bias are
        # allowed for as long as they do not hide the sums.
        scale = sums.abs() + (means.square() @ weight.square().T).sqrt()
        room = max(1e-4, 2 * rounding) * scale + (4 * rounding * bias.abs()).minimum(0.02 * scale)
        return bool(((sums + bias - logits.float()).abs() <= room).all())
