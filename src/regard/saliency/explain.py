"""`regard.explain`: one call for every method, which leaves everything as it was."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import ConfigError, DataError, ModelError
from regard.models.anatomy import Layer
from regard.saliency.base import METHODS, Method, Seen
from regard.saliency.capture import Images, copied, undisturbed, watch
from regard.saliency.layers import find_layer, require_map
from regard.saliency.targets import Targets, resolve


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
        layer: the layer to read: None (found), a dotted name, or the module.
        view: the view that methods of pixels explain, for a net of several.
        size: None for the layer's resolution, or (H, W): bilinear, align_corners=False.
        create_graph: keep maps differentiable with respect to the net's parameters.
        contrast: explain the target's logit less the mean of all logits, so that evidence
            against the other classes shows too.
        options: of the method.

    Returns:
        Maps (B, h, w), at least 0 unless the method is signed.

    Raises:
        ConfigError: an unknown method or option.
        ModelError: no such layer, or a net that the method cannot read.
        TargetError: targets that do not fit the batch or the net.
        DataError: an empty batch, or pixels that are not finite.

    Example:
        >>> import regard
        >>> net = regard.build_model("regard:cnn2", classes=3).eval()
        >>> regard.explain(net, torch.rand(2, 3, 96, 96)).shape
        torch.Size([2, 6, 6])
    """
    _check_images(images)
    technique = build_method(method, **options)
    with torch.inference_mode(False), undisturbed(net):
        seen = look(
            net, copied(images), targets, layer, create_graph=create_graph, contrast=contrast
        )
        with torch.set_grad_enabled(create_graph):
            maps = technique.maps(seen)
            return maps if size is None else resize(maps, size)


def build_method(method: str, **options: Any) -> Method:
    """The method of that name with its options.

    Raises:
        ConfigError: unknown name or option.
    """
    kind = METHODS[method]
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigError(
            f"method {method}",
            expected="its own options",
            found=str(error),
            remedy=f"see help(regard.saliency.METHODS[{method!r}])",
        ) from error


def look(
    net: nn.Module,
    images: Images,
    targets: Targets,
    layer: str | nn.Module | None,
    *,
    create_graph: bool,
    contrast: bool = False,
) -> Seen:
    """Run one forward pass, watched at the layer; the graph starts there unless kept whole."""
    where = find_layer(net, images, layer)
    logits, activations = _watched(net, images, where, cut=not create_graph)
    if not logits.requires_grad and not create_graph:
        # A net with its own no_grad around the layer goes back to the mode that it began in.
        logits, activations = _watched(net, images, where, cut=False)
    target = resolve(targets, logits)
    return Seen(net, images, logits, target, activations, create_graph, contrast)


def _watched(net: nn.Module, images: Images, layer: Layer, *, cut: bool) -> tuple[Tensor, Tensor]:
    with torch.set_grad_enabled(not cut), watch({"": layer.module}, cut=cut) as seen:
        logits = logits_of(net(images))
    return logits, require_map(net, images, layer, seen.get(""))


def logits_of(output: Any) -> Tensor:
    """The logits in a net's output: the tensor itself, or its `.logits`."""
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise ModelError(
            "net",
            expected="logits as a tensor, or an object with .logits",
            found=type(output).__name__,
            remedy="wrap the net so that it returns logits",
        )
    return logits


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (B, h, w) at another size (H, W), bilinear."""
    if maps.shape[1:] == size:
        return maps
    return nn.functional.interpolate(
        maps[:, None], size, mode="bilinear", align_corners=False
    ).squeeze(1)


def _check_images(images: Images) -> None:
    for view in images.values() if isinstance(images, Mapping) else (images,):
        if view.ndim != 4 or len(view) == 0:
            raise DataError(
                "images",
                expected="a batch (B, 3, H, W) of one image or more",
                found=f"shape {tuple(view.shape)}",
                remedy="add a batch axis, or images",
            )
        if not bool(torch.isfinite(view).all()):
            raise DataError(
                "images",
                expected="finite pixels",
                found="NaN or infinity",
                remedy="check the decoding and the normalisation",
            )
