"""One forward pass of a batch for the logits and all terms on maps."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.data.regions import Evidence, Regions, as_regions
from regard.errors import ConfigError, DataError
from regard.guidance.base import Term
from regard.saliency.base import Method
from regard.saliency.capture import Images, copied, undisturbed
from regard.saliency.explain import build_method, maps_of, resize
from regard.saliency.layers import find_layer, require_map
from regard.saliency.observe import Request, observe
from regard.saliency.seen import Seen
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
    methods = {term: build_method(term.method) for term in terms}
    layers = {t: find_layer(net, images, t.layer) for t, m in methods.items() if "layer" in m.reads}
    request = Request(
        layers={layer.name: layer.module for layer in layers.values()},
        pixels=any("pixels" in method.needs for method in methods.values()),
        attention=any("attention" in method.needs for method in methods.values()),
        graph=bool(terms),
    )
    again = any(method.extra_forwards for method in methods.values())
    given = copied(images) if again else images
    observed = observe(net, given, request, view=None, create_graph=graph)
    if not terms:
        return GuidedOutput(observed.logits)
    target = resolve(targets, observed.logits)
    # Without gradients the graph begins at a layer nevertheless; a copy made here has none.
    output = GuidedOutput(observed.logits if graph else observed.logits.clone())
    evidence = _matching(regions, output.logits).of(targets.to(output.logits.device))
    made: dict[tuple[str, str | None, bool], Tensor] = {}
    for term, method in methods.items():
        layer = layers.get(term)
        key = (term.method, layer and layer.name, term.contrast)
        if key not in made:
            if layer is not None:
                require_map(net, images, layer, observed.outputs.get(layer.name))
            seen = Seen(net, images, observed, target, layer, None, graph, term.contrast)
            made[key] = _maps(method, seen)
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


def _maps(method: Method, seen: Seen) -> Tensor:
    # Other passes of a method leave batch norm statistics and the random state as they are.
    frozen = undisturbed(seen.net) if method.extra_forwards else nullcontext()
    with frozen, torch.autocast(seen.logits.device.type, enabled=False):
        maps = maps_of(method, seen)
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
