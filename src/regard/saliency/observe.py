"""One forward pass, and what of it methods ask for: a layer, the pixels, the attention."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from regard.saliency.attention_recorder import AttentionRecorder
from regard.saliency.capture import Images, copied, leaf, sound_gradients, watch
from regard.saliency.compiled import one_graph, watched_pass
from regard.saliency.outputs import logits_of
from regard.saliency.second_derivatives import twice_differentiable


@dataclass(frozen=True)
class Request:
    """What is to be seen of a pass.

    Attributes:
        layers: whose outputs, by a name of the caller's.
        pixels: whether the pixels of the explained view are wanted, and with `graph` their
            gradient.
        attention: whether the matrices of attention are wanted.
        graph: whether any gradient is.
    """

    layers: Mapping[str, nn.Module] = field(default_factory=dict)
    pixels: bool = False
    attention: bool = False
    graph: bool = True

    @property
    def of_layers_alone(self) -> bool:
        """Whether all that is wanted are layers' outputs, and no gradient with respect to them."""
        return not (self.graph or self.pixels or self.attention)


@dataclass(frozen=True)
class Observed:
    """What was seen.

    Attributes:
        logits: (B, K), or (B, K, H, W) of a segmenter.
        outputs: of the layers.
        pixels: (B, 3, H, W) of the explained view.
        attention: matrices (B, heads, N, M) in the order of the pass.
    """

    logits: Tensor
    outputs: Mapping[str, Tensor]
    pixels: Tensor
    attention: tuple[Tensor, ...]


def pixels_of(images: Images, view: str | None) -> Tensor:
    """The explained view's images (B, 3, H, W)."""
    return images[view or next(iter(images))] if isinstance(images, Mapping) else images


def with_pixels(images: Images, view: str | None, pixels: Tensor) -> Images:
    """The images with the explained view exchanged."""
    if isinstance(images, Mapping):
        return {**images, view or next(iter(images)): pixels}
    return pixels


def observe(
    net: nn.Module, images: Images, request: Request, *, view: str | None, create_graph: bool
) -> Observed:
    """Run the net once. Unless all of the graph is to be kept it begins where it is needed.

    Args:
        net: in the mode it is in.
        images: left as they are.
        request: what is to be seen.
        view: of the pixels.
        create_graph: keep the graph to the parameters, too.
    """
    if create_graph and request.of_layers_alone and one_graph(net):
        logits, outputs = watched_pass(net, request.layers, images)
        return Observed(logits, outputs, pixels_of(images, view), ())
    observed = _pass(net, images, request, view, whole=create_graph)
    if request.graph and not observed.logits.requires_grad and not create_graph:
        # A net with its own no_grad inside goes back to the mode that it began in.
        observed = _pass(net, images, request, view, whole=True)
    return observed


def _pass(
    net: nn.Module, images: Images, request: Request, view: str | None, *, whole: bool
) -> Observed:
    pixels = pixels_of(images, view)
    # A net may work in place on what it is given: methods that try other pixels start from these.
    images = copied(images)
    if request.pixels:
        pixels = leaf(pixels) if request.graph else pixels
        with torch.enable_grad():
            images = with_pixels(images, view, pixels.clone())
    twice = whole and request.graph
    whole = whole or (request.pixels and request.graph)
    cut = request.graph and not whole
    with ExitStack() as stack:
        stack.enter_context(torch.set_grad_enabled(whole))
        # What lies before all that is watched is not in the graph of a gradient.
        begin = _Once(stack, twice_differentiable) if twice else _nothing
        if request.pixels:
            begin()
        outputs = stack.enter_context(watch(request.layers, cut=cut, begin=begin))
        recorder = AttentionRecorder(graph=request.graph or whole, begin=begin)
        if request.attention:
            stack.enter_context(recorder)
        if request.graph:
            stack.enter_context(sound_gradients(net, images))
        logits = logits_of(net(images))
    return Observed(logits, dict(outputs), pixels, tuple(recorder.matrices))


class _Once:
    """Enters a context when it is first called; the stack leaves it."""

    def __init__(
        self, stack: ExitStack, context: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.stack, self.context = stack, context
        self.entered = False

    def __call__(self) -> None:
        if not self.entered:
            self.entered = True
            self.stack.enter_context(self.context())


def _nothing() -> None:
    """Where no gradient of a gradient is wanted."""
