"""One forward pass of a batch for the logits and all terms on maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.data.regions import Evidence, Regions, as_regions
from regard.errors import ConfigError, DataError
from regard.guidance.base import Term
from regard.saliency.base import Seen
from regard.saliency.capture import Images, watch
from regard.saliency.explain import build_method, logits_of, resize
from regard.saliency.layers import find_layer, require_map
from regard.saliency.targets import resolve
from regard.scores.base import one_sign


@dataclass
class GuidedOutput:
    """What a guided forward pass gives, by the names of the terms.

    Attributes:
        logits: (B, K).
        maps: (B, h, w) at the layer's resolution, differentiable.
        losses: (B,), unweighted, 0 where the term is not valid.
        valid: bool (B,), whether the image has a region that says something.
    """

    logits: Float[Tensor, "B K"]
    maps: dict[str, Float[Tensor, "B h w"]] = field(default_factory=dict)
    losses: dict[str, Float[Tensor, " B"]] = field(default_factory=dict)
    valid: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def loss(self) -> Tensor:
        """The weighted sum of the terms' means over their valid images; 0 without any."""
        total = self.logits.new_zeros((), dtype=torch.float32)
        for name, losses in self.losses.items():
            total = total + self.weights[name] * losses.sum() / self.valid[name].sum().clamp_min(1)
        return total


def guided_forward(
    net: nn.Module,
    images: Images,
    targets: Tensor,
    regions: Regions | Tensor,
    terms: Sequence[Term],
) -> GuidedOutput:
    """Run the net once and compute the terms on the maps of the targets.

    The net runs in its own mode and under the caller's autocast; the terms are computed outside
    of it, in float32 (float64 for a net in float64). Batch norm statistics move as in any
    training pass, once. Under `torch.no_grad` the answer carries no graph.

    Args:
        net: as for `regard.explain`.
        images: (B, 3, H, W), or a dict of views.
        targets: class indices (B,), usually the labels.
        regions: (B, H, W), or `Regions` with some images missing.
        terms: with names that differ; none gives a plain forward pass.

    Raises:
        ConfigError: two terms of one name.
        DataError: another number of regions than images.
        ModelError, TargetError: as `regard.explain`.

    Example:
        >>> import regard
        >>> net = regard.build_model("regard:cnn2", classes=2)
        >>> inside = torch.zeros(4, 96, 96); inside[:, 30:60, 30:60] = 1
        >>> labels = torch.tensor([0, 1, 0, 1])
        >>> terms = [regard.guidance.Energy(weight=0.5)]
        >>> out = guided_forward(net, torch.rand(4, 3, 96, 96), labels, inside, terms)
        >>> loss = torch.nn.functional.cross_entropy(out.logits, labels) + out.loss()
    """
    _refuse_doubles(terms)
    graph = torch.is_grad_enabled()
    layers = {term: find_layer(net, images, term.layer) for term in terms}
    watched = {layer.name: layer.module for layer in layers.values()}
    with torch.set_grad_enabled(graph), watch(watched, cut=not graph) as outputs:
        logits = logits_of(net(images))
    if not terms:
        return GuidedOutput(logits)
    target = resolve(targets, logits)
    # Without gradients the graph begins at a layer nevertheless; a copy made here has none.
    output = GuidedOutput(logits if graph else logits.clone())
    evidence = _matching(regions, logits).of(targets.to(logits.device))
    made: dict[tuple[str, str, bool], Tensor] = {}
    for term, layer in layers.items():
        key = (term.method, layer.name, term.contrast)
        if key not in made:
            activations = require_map(net, images, layer, outputs.get(layer.name))
            seen = Seen(net, images, logits, target, activations, graph, term.contrast)
            made[key] = _maps(term.method, seen)
        _add(output, term, made[key], evidence)
    return output


def _matching(regions: Regions | Tensor, logits: Tensor) -> Regions:
    regions = as_regions(regions)
    if len(regions) != len(logits):
        raise DataError(
            "guided_forward",
            expected=f"{len(logits)} regions, one an image",
            found=str(len(regions)),
            remedy="use Regions(..., present=) where some images have none",
        )
    return regions.to(logits.device)


def _maps(method: str, seen: Seen) -> Tensor:
    with torch.autocast(seen.activations.device.type, enabled=False):
        maps = build_method(method).maps(seen)
        return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _add(output: GuidedOutput, term: Term, maps: Tensor, evidence: Evidence) -> None:
    valid = term.valid(evidence)
    with torch.autocast(maps.device.type, enabled=False):
        height, width = evidence.inside.shape[1:]
        losses = term.loss(resize(one_sign(maps, "positive"), (height, width)), evidence)
    output.maps[term.title] = maps
    output.losses[term.title] = torch.where(valid, losses, 0)
    output.valid[term.title] = valid
    output.weights[term.title] = term.weight


def _refuse_doubles(terms: Sequence[Term]) -> None:
    names = [term.title for term in terms]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ConfigError(
            "guidance terms",
            expected="names that differ",
            found=f"{double!r} twice",
            remedy="give one of them a name",
        )
