"""Which methods cannot read a net, found out before anyone asks for a map."""

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.models.anatomy import Layer
from regard.saliency.base import METHODS
from regard.saliency.capture import Images, copied, evaluating, undisturbed
from regard.saliency.compiled import eager
from regard.saliency.layers import find_layer, require_map
from regard.saliency.observe import Request, observe
from regard.saliency.seen import Seen
from regard.saliency.targets import PixelTarget, resolve


def unfit_methods(
    net: nn.Module,
    images: Images,
    *,
    layer: str | nn.Module | None = None,
    view: str | None = None,
) -> dict[str, ModelError]:
    """The methods that refuse this net, and why; two passes tell it of all of them.

    The net is left as it was, and is asked in evaluation mode.

    Args:
        net: as `explain` takes it.
        images: (1, 3, H, W) or a dict of them. Noise tells more than a blank image, on which heads
            of any pooling look alike.
        layer: that maps are read from; None: found.
        view: that methods of pixels explain, for a net of several.

    Returns:
        By the method's name, in the order of the registry.
    """
    found: dict[str, ModelError] = {}
    with torch.inference_mode(False), undisturbed(net), evaluating(net), eager(net):
        where = _layer(net, images, layer)
        place = where if isinstance(where, Layer) else None
        ways = {way: _seen(net, images, place, view, attention=way) for way in (False, True)}
        for name, kind in METHODS.items():
            try:
                if isinstance(where, ModelError) and "layer" in kind.needs:
                    raise where
                kind.refuse(ways["attention" in kind.needs])
            except ModelError as error:
                found[name] = error
    return found


def _layer(net: nn.Module, images: Images, layer: str | nn.Module | None) -> Layer | ModelError:
    """The layer, or why there is none."""
    try:
        return find_layer(net, images, layer)
    except ModelError as error:
        return error


def _seen(
    net: nn.Module, images: Images, where: Layer | None, view: str | None, *, attention: bool
) -> Seen:
    """A pass with its attention, or with all else."""
    layers = {} if where is None or attention else {where.name: where.module}
    request = Request(layers=layers, pixels=not attention, attention=attention)
    observed = observe(net, copied(images), request, view=view, create_graph=False)
    if where is not None and layers:
        require_map(net, images, where, observed.outputs.get(where.name))
    target = resolve(_target(observed.logits), observed.logits)
    return Seen(net, images, observed, target, None if attention else where, view)


def _target(logits: Tensor) -> PixelTarget | None:
    """The predicted class; of a segmenter some class where it may be."""
    if logits.ndim == 2:
        return None
    return PixelTarget(0, (logits.shape[2] // 2, logits.shape[3] // 2))
