"""Whether a term can move a net at all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from regard.guidance.base import Term
from regard.guidance.forward import forward_pass
from regard.guidance.maps import MapTerm
from regard.saliency.capture import Images, undisturbed
from regard.saliency.observe import pixels_of
from regard.saliency.targets import PixelTarget

# Classes that are tried.
CLASSES = 4


def reaches(
    net: nn.Module,
    images: Images,
    classes: int,
    term: Term,
    parameters: Sequence[nn.Parameter] | None = None,
    *,
    pixels: bool = False,
) -> bool:
    """Whether a loss on what the term is made from has a gradient at any of the parameters.

    What is tried is the raw map times random numbers, not the loss: a loss that happens to be
    satisfied has no gradient either. So are several classes, with contrast: the map of one may be
    zero, and contrasts add up to nothing, so that some map is not. Where all are zero nothing is
    known, and the term counts as one that reaches.

    Args:
        net: in the mode that it is trained in; left as it was.
        images: (B, 3, H, W), or a dict of views; random ones will do.
        classes: of the net.
        term: the term.
        parameters: that are to be moved; None: all.
        pixels: the net is a segmenter: each class over all pixels.
    """
    if isinstance(term, MapTerm):
        term = replace(term, contrast=True)
    wanted = [*net.parameters()] if parameters is None else [*parameters]
    flags = [parameter.requires_grad for parameter in wanted]
    silent = True
    try:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for target in range(min(classes, CLASSES)):
            with undisturbed(net), torch.enable_grad():
                raw = _raw(net, images, term, target, of_pixels=pixels)
                silent = silent and not bool(raw.any())
                if _moves(raw, wanted):
                    return True
    finally:
        for parameter, flag in zip(wanted, flags, strict=True):
            parameter.requires_grad_(flag)
    return silent


def _raw(
    net: nn.Module, images: Images, term: Term, target: int, *, of_pixels: bool = False
) -> Tensor:
    given = {**images} if isinstance(images, Mapping) else images
    pixels = pixels_of(given, None)
    regions = _drawn(torch.Size((len(pixels), *pixels.shape[2:]))).round().to(pixels)
    labels = torch.full((len(pixels),), target, device=pixels.device)
    everywhere = PixelTarget(target, torch.ones_like(regions))
    return term.raw(forward_pass(net, given, everywhere if of_pixels else labels, regions, [term]))


def _moves(raw: Tensor, parameters: Sequence[nn.Parameter]) -> bool:
    loss = (raw * _drawn(raw.shape).to(raw)).sum()
    if not loss.requires_grad:
        return False
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return any(gradient is not None and bool(gradient.any()) for gradient in found)


def _drawn(shape: torch.Size) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))
