"""One forward pass of a batch for the logits and all terms."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import reduce
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.data.regions import Evidence, Regions, as_regions, remedy_by_class
from regard.errors import DataError
from regard.guidance.base import Term
from regard.guidance.forward_pass import NOTHING_SAID, Donors, ForwardPass, donors_of
from regard.guidance.maps import MapTerm
from regard.guidance.one_graph import Answer, answer_of
from regard.guidance.output import GuidedOutput, joined
from regard.guidance.pairs import Pairs
from regard.guidance.refusals import (
    refuse_copies,
    refuse_labels,
    refuse_missing,
    refuse_pixels,
    refuse_terms,
    refuse_terms_of_one_logit,
)
from regard.models.anatomy import Layer
from regard.saliency.capture import Images, constant, copied, without_checkpointing
from regard.saliency.compiled import eager, one_graph
from regard.saliency.layers import find_layer, require_map
from regard.saliency.linear_heads import remembered_head
from regard.saliency.misfits import misfits_told
from regard.saliency.observe import Request, observe, pixels_of
from regard.saliency.options import refuse_images
from regard.saliency.seen import Seen
from regard.saliency.targets import PixelTarget, class_indices, classes_of, resolve


def guided_forward(
    net: nn.Module,
    images: Images,
    targets: Tensor | Sequence[int] | PixelTarget,
    regions: Regions | Tensor,
    terms: Sequence[Term],
    *,
    rows: Tensor | None = None,
    donors: Donors | None = None,
) -> GuidedOutput:
    """Run the net once on the batch and compute the terms for the targets.

    What `torch.compile` gave stays compiled where all terms are on maps of a layer under average
    pooling and one linear layer, and the terms are part of its graph then; for others it runs in
    eager mode, for a compiled graph has no second derivative. Targets that lie on a GPU already are
    not looked at then: the processor would wait for it in every step. Activation checkpointing of
    timm's and transformers' nets is off in this pass, which takes the memory of a pass without it.

    The net runs in its own mode and under the caller's autocast; the terms are computed outside
    of it, in float32 (float64 for a net in float64). Batch norm statistics move as in any
    training pass, once: a term with `extra_forwards` runs the net again without moving them.
    Under `torch.no_grad` the answer carries no graph.

    Args:
        net: as for `regard.explain`.
        images: (B, 3, H, W), or a dict of views.
        targets: class indices (B,), usually the labels. For a segmenter a `PixelTarget`: one class,
            or one of each image, over pixels, and `terms` on maps or activations.
        regions: (B, H, W), or `Regions` with some images missing.
        terms: with names that differ; none gives a plain forward pass.
        rows: for nets with several labels an image, pairs of image and class: the image of each
            target and region, ints (P,) in 0..B-1 in any order; targets are (P,) then and
            regions (P, H, W). None: one target an image.
        donors: for terms that take pixels from other images, of each image the one that lends;
            None: the next of the batch that has a region. Without another one such a term is not
            valid.

    Raises:
        ConfigError: two terms of one name, or a term that a segmenter has no numbers for.
        DataError: another number of regions than images, of pairs, or of classes; a row that is
            no image.
        ModelError, TargetError: as `regard.explain`.

    Example:
        >>> import regard, torch
        >>> net = regard.build_model("regard:cnn2", classes=2)
        >>> images, inside = torch.rand(4, 3, 96, 96), torch.zeros(4, 96, 96)
        >>> inside[:, 30:60, 30:60] = 1
        >>> labels = torch.tensor([0, 1, 0, 1])
        >>> terms = [regard.guidance.Energy(weight=0.5)]
        >>> out = regard.guidance.guided_forward(net, images, labels, inside, terms)
        >>> loss = torch.nn.functional.cross_entropy(out.logits, labels) + out.loss()
    """
    refuse_copies(net)
    refuse_images(images)
    refuse_terms(terms)
    refuse_missing(targets, regions)
    if not isinstance(targets, Tensor | PixelTarget):
        given = images if rows is None else rows
        targets = class_indices(targets, len(pixels_of(given, None)))
    with misfits_told(net, images), _keeping_activations(net) if terms else nullcontext():
        if rows is None and isinstance(targets, Tensor):
            answer = answer_of(net, images, targets, as_regions(regions), terms)
            if answer is not None:
                refuse_terms_of_one_logit(answer.logits, terms)
                return _output(answer, terms)
        with eager(net):
            return _guided_forward(net, images, targets, regions, terms, rows, donors)


@contextmanager
def _keeping_activations(net: nn.Module) -> Iterator[None]:
    with without_checkpointing(net) as had:
        if had:
            _tell(net, _CHECKPOINTED, stacklevel=5)
        yield


def _guided_forward(
    net: nn.Module,
    images: Images,
    targets: Tensor | PixelTarget,
    regions: Regions | Tensor,
    terms: Sequence[Term],
    rows: Tensor | None,
    donors: Donors | None,
) -> GuidedOutput:
    if rows is not None:
        targets = refuse_pixels(targets)
        pairs = Pairs(rows, targets, as_regions(regions), len(pixels_of(images, None)))
        return _of_pairs(net, images, pairs, terms, donors)
    seen = forward_pass(net, images, targets, regions, terms, donors)
    output = GuidedOutput(_logits(seen))
    for term in terms:
        _add(output, term, seen)
    return output


def _output(answer: Answer, terms: Sequence[Term]) -> GuidedOutput:
    output = GuidedOutput(answer.logits)
    for term, (made, losses, valid, mean) in zip(terms, answer.terms, strict=True):
        output.maps[term.title], output.losses[term.title] = made, losses
        output.valid[term.title], output.weights[term.title] = valid, term.weight
        output.means[term.title] = mean
    return output


def _of_pairs(
    net: nn.Module, images: Images, pairs: Pairs, terms: Sequence[Term], donors: Donors | None
) -> GuidedOutput:
    """One pass of the net; the terms are made as often as an image has classes."""
    seen, order, found = None, [], []
    for places, targets, regions in pairs.rounds():
        if seen is None:
            seen = forward_pass(net, images, targets, regions, terms, donors)
        else:
            evidence = _evidence(regions, targets, seen.logits)
            lent = None if seen.donors is None else donors or donors_of(images, evidence)
            seen = seen.of(targets, evidence, lent)
        part = GuidedOutput(_logits(seen))
        for term in terms:
            _add(part, term, seen)
        order.append(places)
        found.append(part.at(pairs.rows[places]))
    assert seen is not None
    return joined(found, torch.cat(order).argsort(), _logits(seen))


def _logits(seen: ForwardPass) -> Tensor:
    # Without gradients the graph begins at a layer nevertheless; a copy made here has none.
    return seen.logits if torch.is_grad_enabled() else constant(seen.logits).clone()


def forward_pass(
    net: nn.Module,
    images: Images,
    targets: Tensor | PixelTarget,
    regions: Regions | Tensor,
    terms: Sequence[Term],
    donors: Donors | None = None,
) -> ForwardPass:
    """One pass of the net, in which all that the terms read is watched; as `guided_forward`."""
    if isinstance(targets, PixelTarget):
        refuse_labels(terms)
    graph = torch.is_grad_enabled()
    reads: frozenset[str] = reduce(frozenset.union, (term.reads for term in terms), frozenset())
    of_layers = [term.read_layer for term in terms if "layer" in term.reads]
    layers = {layer: find_layer(net, images, layer) for layer in of_layers}
    request = Request(
        layers={layer.name: layer.module for layer in layers.values()},
        pixels="pixels" in reads,
        attention="attention" in reads,
        graph=bool(reads) and not _stays_compiled(net, images, layers, terms),
    )
    again = any(term.extra_forwards for term in terms)
    given = copied(images) if again else images
    # To be checked later; asked for then, a GPU would stand still between the passes.
    asked = targets.cpu() if isinstance(targets, Tensor) else targets
    observed = observe(net, given, request, view=None, create_graph=graph)
    refuse_terms_of_one_logit(observed.logits, terms)
    for layer in layers.values():
        require_map(net, images, layer, observed.outputs.get(layer.name))
    target = resolve(asked, observed.logits) if terms else targets
    whole = Seen(net, images, observed, target, None, None, graph)
    labels = classes_of(targets, len(observed.logits)).to(observed.logits.device)
    evidence = _evidence(regions, labels, observed.logits) if terms else NOTHING_SAID
    if donors is None and any(term.lends for term in terms):
        donors = donors_of(images, evidence)
    return ForwardPass(whole, labels, evidence, layers, donors, _autocast(labels.device))


def _stays_compiled(
    net: nn.Module, images: Images, layers: Mapping[Any, Layer], terms: Sequence[Term]
) -> bool:
    """Whether a compiled net can stay so: no term needs a gradient of a gradient.

    Of methods that read layers the channels' weights are then those of a linear head.
    """
    if not one_graph(net):
        return False
    able = all(term.analytic for term in terms) and all(
        remembered_head(net, images, layer) is not None for layer in layers.values()
    )
    if not able:
        titles = ", ".join(term.title for term in terms)
        _tell(net, f"guidance ({titles}): {_EAGER}", stacklevel=5)
    return able


def _tell(net: nn.Module, text: str, stacklevel: int) -> None:
    """Warn of something once a net."""
    told = _TOLD.setdefault(net, set())
    if text not in told:
        told.add(text)
        warnings.warn(text, stacklevel=stacklevel)


_TOLD: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()
_EAGER = "a compiled net has no second derivative, so it runs in eager mode here"
_CHECKPOINTED = (
    "guidance: terms read what a pass keeps, so it runs without activation checkpointing here"
)


def _autocast(device: torch.device) -> torch.dtype | None:
    """The type of the caller's autocast, if there is one."""
    on = torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if on else None


def _evidence(regions: Regions | Tensor, labels: Tensor, logits: Tensor) -> Evidence:
    regions = as_regions(regions)
    if len(regions) != len(logits):
        raise DataError(
            "guided_forward",
            expected=f"{len(logits)} regions, one an image",
            found=str(len(regions)),
            remedy="use Regions(..., present=) where some images have none",
        )
    if regions.attend.ndim == 4 and regions.attend.shape[1] != logits.shape[1]:
        raise DataError(
            "guided_forward",
            expected=f"regions of {logits.shape[1]} classes, as the net has",
            found=str(regions.attend.shape[1]),
            remedy=remedy_by_class(
                "pass regions (B, K, H, W), or (B, H, W) of the targets", regions.attend
            ),
        )
    return regions.to(logits.device).of(labels)


def _add(output: GuidedOutput, term: Term, seen: ForwardPass) -> None:
    with torch.autocast(seen.logits.device.type, enabled=False):
        valid = term.valid(term.judged(seen))
        if term.lends and seen.donors is not None and seen.donors.lent is not None:
            valid = valid & seen.donors.lent
        losses = term.losses(seen)
        if isinstance(term, MapTerm):
            output.maps[term.title] = term.raw(seen)
    output.losses[term.title] = torch.where(valid, losses, 0)
    output.valid[term.title] = valid
    output.weights[term.title] = term.weight
