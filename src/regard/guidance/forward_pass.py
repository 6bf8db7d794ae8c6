"""The forward pass of a batch as guidance terms see it."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.data.regions import Evidence
from regard.images.backgrounds import emptied
from regard.models.anatomy import Layer
from regard.saliency.base import Method
from regard.saliency.capture import Images, at_rows, constant, undisturbed
from regard.saliency.explain import maps_of
from regard.saliency.observe import Request, observe, pixels_of
from regard.saliency.outputs import logits_of, precise
from regard.saliency.resizing import gathered, pixels_by_place
from regard.saliency.seen import Seen
from regard.saliency.targets import resolve

NOTHING_SAID = Evidence(torch.ones(0, 1, 1), torch.ones(0, 1, 1), torch.ones(0, dtype=torch.bool))


class Donors(NamedTuple):
    """Of each image the one that lends it pixels.

    Attributes:
        images: (B, 3, H, W), or a dict of views.
        inside: (B, H, W), their regions.
        lent: bool (B,), whether that is another image at all; None: all are.
    """

    images: Images
    inside: Tensor
    lent: Tensor | None = None

    def emptied(self, view: str | None) -> Tensor:
        """A view (B, 3, H, W) of the lenders, their regions in the mean colour of the rest."""
        images = self.images
        pixels = images[view] if isinstance(images, Mapping) and view else pixels_of(images, None)
        return emptied(pixels, at_size(self.inside, pixels.shape[2:])[:, None].to(pixels))


@dataclass
class ForwardPass:
    """One forward pass of a batch, its labels and its regions.

    Attributes:
        whole: the pass as methods see it, with the graph to the parameters if there is one.
        labels: class indices (B,).
        evidence: regions, at any resolution.
        layers: those that were watched, by what a term names as its `read_layer`.
        donors: for terms that take pixels from other images.
        autocast: the type that the net runs in under the caller's autocast; None: its own.
    """

    whole: Seen
    labels: Tensor
    evidence: Evidence
    layers: Mapping[Any, Layer]
    donors: Donors | None = None
    autocast: torch.dtype | None = None
    _made: dict[Any, Tensor] = field(default_factory=dict)
    _gathered: dict[tuple[int, ...], Evidence] = field(default_factory=dict)

    @property
    def logits(self) -> Tensor:
        """(B, K)."""
        return self.whole.logits

    @property
    def pixels(self) -> Tensor:
        """(B, 3, H, W) of the explained view, where the graph begins if a term reads pixels."""
        return self.whole.pixels

    def of(self, labels: Tensor, evidence: Evidence, donors: Donors | None) -> "ForwardPass":
        """The same pass of the net with other classes to explain."""
        labels = labels.to(self.logits.device)
        whole = replace(self.whole, target=resolve(labels, self.logits))
        return ForwardPass(whole, labels, evidence, self.layers, donors, self.autocast)

    def seen(self, layer: Any = None, *, contrast: bool = False, stop: bool = False) -> Seen:
        """The pass for a method; arguments as those of `MapTerm`."""
        return replace(self.whole, layer=self.layers.get(layer), contrast=contrast, stop=stop)

    def maps(self, method: Method, key: Any, layer: Any, **how: Any) -> Tensor:
        """A method's maps (B, h, w) in float32 or float64, made once for a key.

        Args:
            method: makes them.
            key: of the same method with the same options.
            layer: as for `seen`.
            how: as for `seen`.
        """
        where = self.layers.get(layer)
        name = (key, where and where.name, *how.items())
        if name not in self._made:
            # Other passes of a method leave batch norm statistics and the random state be.
            net = self.whole.net
            frozen = undisturbed(net) if method.extra_forwards else nullcontext()
            with frozen:
                self._made[name] = precise(maps_of(method, self.seen(layer, **how)))
        return self._made[name]

    def activations(self, layer: Any) -> Tensor:
        """The layer's activations (B, C, h, w), with their graph."""
        return precise(self.seen(layer).activations)

    def gathered(self, size: tuple[int, ...]) -> Evidence:
        """The regions summed up for the places of maps (B, h, w) of this size.

        Of maps that are enlarged to the regions and of these the sums are the same.
        """
        if size not in self._gathered:
            own, (height, width) = self.evidence, size
            if own.everywhere:
                counted = pixels_by_place((height, width), own.inside).expand(
                    len(own.inside), -1, -1
                )
            else:
                counted = gathered(own.counted, (height, width))
            inside = gathered(own.inside * own.counted, (height, width))
            # Of a place at which no pixel counts nothing is inside.
            inside = inside / torch.where(counted > 0, counted, 1)
            self._gathered[size] = Evidence(inside, counted, own.present, own.everywhere)
        return self._gathered[size]

    def outside(self, size: torch.Size) -> Tensor:
        """What lies outside of the region and counts, (B, H, W) in [0, 1], at this size."""
        return at_size((1 - self.evidence.inside) * self.evidence.counted, size)

    def exchanged(self, change: Callable[[Tensor, Tensor, str | None], Tensor]) -> Images:
        """The images with each of their views changed.

        Args:
            change: of pixels (B, 3, H, W) without a graph, the region (B, 1, H, W) at their size
                and the view's name, which the only one has not: the pixels in their place.
        """

        def changed(pixels: Tensor, view: str | None) -> Tensor:
            inside = 1 - self.outside(pixels.shape[2:])[:, None].to(pixels)
            return change(pixels, inside, view)

        images = self.whole.images
        if isinstance(images, Mapping):
            return {name: changed(constant(view), name) for name, view in images.items()}
        return changed(constant(self.pixels), None)

    def gradient(self, value: Tensor) -> Tensor:
        """Of a sum over the images, with respect to the pixels, (B, 3, H, W)."""
        (found,) = torch.autograd.grad(
            value, self.pixels, create_graph=self.whole.create_graph, retain_graph=True
        )
        return precise(found)

    def logits_at(self, images: Images) -> Tensor:
        """The logits (B, K) of other images; batch norm statistics and random state stay."""
        with undisturbed(self.whole.net), self._cast():
            return precise(logits_of(self.whole.net(images)))

    def activations_at(self, images: Images, layer: Any) -> Tensor:
        """The layer's activations (B, C, h, w) of other images, as `logits_at`."""
        where = self.layers[layer]
        request = Request(layers={where.name: where.module}, graph=self.whole.create_graph)
        with undisturbed(self.whole.net), self._cast():
            observed = observe(
                self.whole.net,
                images,
                request,
                view=self.whole.view,
                create_graph=self.whole.create_graph,
            )
        return precise(where.layout.maps(observed.outputs[where.name]))

    def _cast(self) -> torch.autocast:
        return torch.autocast(
            self.logits.device.type, self.autocast, enabled=self.autocast is not None
        )


def lenders(usable: Tensor) -> Tensor:
    """For each image the next one that has an outside to lend, (B,); itself where it has none.

    Args:
        usable: bool (B,).
    """
    order = torch.arange(len(usable), device=usable.device)
    rows = usable.nonzero().flatten()
    return order.index_put((rows,), rows.roll(-1))


def donors_of(images: Images, evidence: Evidence) -> Donors:
    """The images of a batch lend to each other."""
    rows = lenders(evidence.partial)
    lent = rows != torch.arange(len(rows), device=rows.device)
    return Donors(at_rows(images, rows), evidence.inside[rows], lent)


def at_size(masks: Tensor, size: torch.Size) -> Tensor:
    """Masks (B, H, W) at a size, each place the mean of what lies there."""
    if masks.shape[1:] == size:
        return masks
    return F.interpolate(masks[:, None], tuple(size), mode="area")[:, 0]
