"""What a method is given: one forward pass, and the way to run others like it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from regard.saliency.capture import Images, counting, leaf, sound_gradients, substitute
from regard.saliency.observe import Request, observe, with_pixels
from regard.saliency.options import refuse_one_logit
from regard.saliency.outputs import logits_of
from regard.saliency.second_derivatives import twice_differentiable
from regard.saliency.targets import of_rows, value
from regard.saliency.watched import Watched


@dataclass(frozen=True)
class Seen(Watched):
    """One forward pass and what was watched of it, and other passes of the same net.

    Attributes:
        rows: (B,) which of the caller's images each is of; None: in order.
    """

    rows: Tensor | None = None

    def beside(self, value: float | Tensor) -> Tensor:
        """What broadcasts to the caller's images, as what broadcasts to this pass's pixels."""
        given = torch.as_tensor(value).to(self.pixels)
        if self.rows is None or given.ndim < 4 or len(given) == 1:
            return given
        return given[self.rows]

    def values(
        self, pixels: Tensor, rows: Tensor | None = None, *, probability: bool = False
    ) -> Tensor:
        """The explained number (n,) of other pixels (n, 3, H, W), with the targets of `rows`.

        Args:
            pixels: in place of the explained view; the net may change them.
            rows: (n,) which image of the batch each is of; None: in order.
            probability: the target's probability (for a pixel target the sum of them) in place
                of its logit. It already is relative to the other classes, so a contrast does
                not change it.
        """
        logits = self.logits_at(pixels, rows)
        return self.probability_of(logits, rows) if probability else self.value_of(logits, rows)

    def logits_at(self, pixels: Tensor, rows: Tensor | None = None) -> Tensor:
        """The logits of other pixels (n, 3, H, W); arguments as those of `values`."""
        return logits_of(self.net(self._images(pixels, rows)))

    def value_of(self, logits: Tensor, rows: Tensor | None = None) -> Tensor:
        """The explained number (n,) in logits, for the targets of `rows`."""
        return self._value(logits, of_rows(self.target, rows))

    def probability_of(self, logits: Tensor, rows: Tensor | None = None) -> Tensor:
        """The target's probability (n,) in logits; for a segmenter summed over its pixels.

        Raises:
            ModelError: one logit, which is always the whole of it.
        """
        refuse_one_logit(logits, "the probability of a class")
        return value(logits.softmax(1), of_rows(self.target, rows))

    def gradients_at(self, pixels: Tensor, rows: Tensor | None = None) -> Tensor:
        """The gradient (n, 3, H, W) of the explained number at other pixels.

        Raises:
            ModelError: the logits do not depend on them differentiably.
        """
        return self.slopes_at(pixels, rows)[1]

    def slopes_at(self, pixels: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The explained number (n,) at other pixels, and its gradient (n, 3, H, W) there.

        Raises:
            ModelError: the logits do not depend on them differentiably.
        """
        twice = twice_differentiable() if self.create_graph else nullcontext()
        with torch.enable_grad(), sound_gradients(self.net, pixels), twice:
            start = leaf(pixels)
            found = self.values(start.clone(), rows)
            if not found.requires_grad:
                return found, self._from_pixels(None)
            (gradient,) = torch.autograd.grad(
                found.sum(), start, create_graph=self.create_graph, allow_unused=True
            )
        return found, self._from_pixels(gradient)

    def again(
        self, reads: frozenset[str], pixels: Tensor, rows: Tensor, *, gradients: bool
    ) -> "Seen":
        """The same of a pass over other pixels (n, 3, H, W), with the targets of `rows`.

        Args:
            reads: what a method reads, as `Method.reads`.
            pixels: in place of the explained view.
            rows: (n,) which image of the batch each is of.
            gradients: whether gradients of that pass are asked for.
        """
        request = Request(
            layers={self.layer.name: self.layer.module} if self.layer else {},
            pixels="pixels" in reads,
            attention="attention" in reads,
            graph=gradients,
        )
        images, target = self._images(pixels, rows), of_rows(self.target, rows)
        observed = observe(
            self.net, images, request, view=self.view, create_graph=self.create_graph
        )
        rows = rows if self.rows is None else self.rows[rows]
        return replace(self, images=images, observed=observed, target=target, rows=rows)

    @cached_property
    def calls(self) -> int:
        """How often a pass of the net calls the layer, which was seen at the last call."""
        assert self.layer is not None
        with torch.no_grad(), counting(self.layer.module) as calls:
            self.logits_at(self.pixels)
        return calls()

    @contextmanager
    def substituting(self, activations: Tensor, rows: Tensor) -> Iterator[None]:
        """Within, the layer gives these activations (n, C, h, w) in one pass; prefix tokens stay.

        Args:
            activations: in place of the layer's.
            rows: (n,) which image of the batch each is of.
        """
        assert self.layer is not None
        output = self.layer.layout.output(activations, self._output[rows])
        with substitute(self.layer.module, output, self.calls):
            yield

    def _images(self, pixels: Tensor, rows: Tensor | None) -> Images:
        images = self.images
        if isinstance(images, Mapping):
            images = {n: v.clone() if rows is None else v[rows] for n, v in images.items()}
        return with_pixels(images, self.view, pixels)
