"""`regard.explain`: one call for every method, which leaves everything as it was."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import ConfigError, DataError
from regard.models.anatomy import Layer
from regard.saliency.base import METHODS, Method
from regard.saliency.capture import Images, copied, undisturbed, without_checkpointing
from regard.saliency.compiled import eager
from regard.saliency.layers import find_layer, is_map, require_map
from regard.saliency.misfits import misfits_told
from regard.saliency.observe import Observed, Request, observe
from regard.saliency.options import bare_net, refuse_images, refuse_one_logit, refuse_options
from regard.saliency.resizing import resize
from regard.saliency.seen import Seen
from regard.saliency.targets import Targets, is_empty, resolve


def explain(
    net: nn.Module,
    images: Images,
    targets: Targets = None,
    method: str = "gradcam",
    *,
    layer: str | nn.Module | None = None,
    view: str | None = None,
    size: tuple[int, int] | None = None,
    create_graph: bool = False,
    contrast: bool = False,
    **options: Any,
) -> Float[Tensor, "B h w"]:
    """Saliency maps: where the net looks for the target.

    Maps are computed in the net's current mode. Mode, `.grad`s, buffers, hooks, the random
    state and the caller's tensors are as before, after success and after an exception.

    Args:
        net: returns logits (B, K) or (B, K, H, W), or an object with `.logits`.
        images: (B, 3, H, W) as the net takes them, or a dict of them for several views.
        targets: class indices (B,); None is the predicted class. A segmenter needs a
            `PixelTarget`.
        method: a name of `regard.saliency.methods()`.
        layer: the layer to read, for a method that reads one: None (found), a dotted name, or
            the module. Of no meaning for the others.
        view: the view that methods of pixels explain, for a net of several.
        size: None for the resolution of the layer, the tokens or the pixels, or (H, W):
            bilinear, align_corners=False.
        create_graph: keep maps differentiable with respect to the net's parameters.
        contrast: explain the target's logit less the mean of all logits, so that evidence
            against the other classes shows too.
        options: of the method.

    Returns:
        Maps (B, h, w), at least 0 unless the method, or its base, is signed.

    Raises:
        ConfigError: an unknown method or option, or a size that is none.
        ModelError: no net, no such layer, a net that the method cannot read, or a contrast of one
            logit.
        TargetError: targets that do not fit the batch or the net.
        DataError: an empty batch, pixels that are no floats or not finite, or of a type, a device
            or channels on which the net fails.

    Example:
        >>> import regard, torch
        >>> net = regard.build_model("regard:cnn2", classes=3).eval()
        >>> regard.explain(net, torch.rand(2, 3, 96, 96)).shape
        torch.Size([2, 6, 6])
    """
    net = bare_net(net)
    _check_images(images)
    _check_size(size)
    technique = build_method(method, **options)
    with (
        torch.inference_mode(False),
        undisturbed(net),
        without_checkpointing(net),
        eager(net),
        misfits_told(net, images),
    ):
        seen = look(
            net,
            copied(images),
            targets,
            technique,
            layer=layer,
            view=view,
            create_graph=create_graph,
            contrast=contrast,
        )
        maps = maps_of(technique, seen)
        return maps if size is None else resize(maps, size)


def build_method(method: str, **options: Any) -> Method:
    """The method of that name with its options.

    Raises:
        ConfigError: unknown name or option.
    """
    kind = METHODS[method]
    refuse_options(f"method {method}", kind, options, beside=OF_EXPLAIN)
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigError(
            f"method {method}",
            expected="options of the kind that it takes",
            found=str(error),
            remedy=f"see help(regard.saliency.METHODS[{method!r}])",
        ) from error


# Options of `explain` that are no method's own.
OF_EXPLAIN = ("contrast", "layer", "size", "view", "create_graph")


def look(
    net: nn.Module,
    images: Images,
    targets: Targets,
    method: Method,
    *,
    layer: str | nn.Module | None = None,
    view: str | None = None,
    create_graph: bool = False,
    contrast: bool = False,
) -> Seen:
    """Run one forward pass and see of it what the method needs."""
    _check_view(images, view, method)
    where = find_layer(net, images, layer) if "layer" in method.reads else None
    observed = _observed(net, images, where, method, view, create_graph)
    if where is not None and not is_map(images, where, observed.outputs.get(where.name)):
        # The net goes another way than when the layer was found.
        where = find_layer(net, images, layer, anew=True)
        observed = _observed(net, images, where, method, view, create_graph)
        require_map(net, images, where, observed.outputs.get(where.name))
    if contrast:
        refuse_one_logit(observed.logits, "a contrast")
    target = resolve(targets, observed.logits)
    return Seen(net, images, observed, target, where, view, create_graph, contrast)


def _observed(
    net: nn.Module,
    images: Images,
    where: Layer | None,
    method: Method,
    view: str | None,
    create_graph: bool,
) -> Observed:
    request = Request(
        layers={} if where is None else {where.name: where.module},
        pixels="pixels" in method.needs,
        attention="attention" in method.needs,
        graph=method.gradients,
    )
    # The net may change what it is given, which other passes begin from.
    given = copied(images) if method.extra_forwards else images
    return observe(net, given, request, view=view, create_graph=create_graph)


def maps_of(method: Method, seen: Seen) -> Tensor:
    """The method's maps (B, h, w), with a graph if that was asked for; 0 for an empty target."""
    with torch.set_grad_enabled(seen.create_graph):
        maps = method.maps(seen)
        empty = is_empty(seen.target)
        if empty is None:
            return maps
        return torch.where(empty.to(maps.device)[:, None, None], 0, maps)


def _check_images(images: Images) -> None:
    refuse_images(images)
    for view in images.values() if isinstance(images, Mapping) else (images,):
        if not bool(torch.isfinite(view).all()):
            raise DataError(
                "images",
                expected="finite pixels",
                found="NaN or infinity",
                remedy="check the decoding and the normalisation",
            )


def _check_size(size: tuple[int, int] | None) -> None:
    sides = () if size is None else tuple(size) if isinstance(size, list | tuple) else (size,)
    if size is not None and (len(sides) != 2 or any(type(s) is not int or s < 1 for s in sides)):
        raise ConfigError(
            "size",
            expected="None, or a height and a width of 1 pixel or more",
            found=repr(size),
            remedy="pass (H, W)",
        )


def _check_view(images: Images, view: str | None, method: Method) -> None:
    """A net of several views needs to be told which of them a method of pixels explains."""
    views = list(images) if isinstance(images, Mapping) else []
    of_pixels = method.of_pixels or "pixels" in method.reads or not method.reads
    if (view is None and len(views) > 1 and of_pixels) or (view is not None and view not in views):
        raise ConfigError(
            "view",
            expected="one of " + ", ".join(views) if views else "None for a net of one image",
            found=repr(view),
            remedy=f"name the view that {method.name} explains" if views else "leave view out",
        )
