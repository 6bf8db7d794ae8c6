"""The only place with hooks: watching layers during a forward pass, and leaving no trace."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.models.layout import Visit
from regard.saliency.modules import modules_of

Images = Tensor | Mapping[str, Tensor]


def copied(images: Images, count: int | None = None) -> Images:
    """A copy of the images, or of the first few, for nets that work on their input in place."""
    if isinstance(images, Mapping):
        return {view: pixels[:count].clone() for view, pixels in images.items()}
    return images[:count].clone()


def at_rows(images: Images, rows: Tensor | slice) -> Images:
    """Some of the images, of each view, in the order of the rows."""
    if isinstance(images, Mapping):
        return {view: pixels[rows] for view, pixels in images.items()}
    return images[rows]


def leaf(tensor: Tensor) -> Tensor:
    """The tensor as the beginning of a graph."""
    return tensor.detach().requires_grad_()


def constant(tensor: Tensor) -> Tensor:
    """The same values as a constant: no loss on them reaches what they were made from."""
    return tensor.detach()


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Leave the net's buffers and the random state as they were, whatever happens inside.

    All buffers are swapped for copies, so that a graph built inside stays valid afterwards.
    """
    devices = {p.device for p in net.parameters() if p.device.type == "cuda"}
    own = [
        (module, name, buffer)
        for module in net.modules()
        for name, buffer in module._buffers.items()
    ]
    copies = {id(buffer): buffer.clone() for *_, buffer in own if buffer is not None}
    with torch.random.fork_rng(devices=sorted(d.index or 0 for d in devices)):
        try:
            for module, name, buffer in own:
                module._buffers[name] = copies.get(id(buffer))
            yield
        finally:
            for module, name, buffer in own:
                module._buffers[name] = buffer


@contextmanager
def without_checkpointing(net: nn.Module) -> Iterator[bool]:
    """Within, a net of timm or transformers has no activation checkpointing.

    It runs parts of the net again in the backward pass, where nothing is watched or exchanged.

    Yields:
        Whether it had any.

    Raises:
        ModelError: checkpointing of the net's own got in the way.
    """
    on = modules_of(net).checkpointing(net)
    try:
        for module, flag in on:
            setattr(module, flag, False)
        yield bool(on)
    except RuntimeError as error:
        if "torch.utils.checkpoint" not in str(error):
            raise
        raise ModelError(
            f"net {type(net).__name__}",
            expected="a net that keeps the activations which its gradients need",
            found="activation checkpointing, which runs parts of it again in the backward pass",
            remedy="switch its checkpointing off while maps are made",
        ) from error
    finally:
        for module, flag in on:
            setattr(module, flag, True)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; every module's own mode afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        net.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def watch(
    layers: Mapping[str, nn.Module], *, cut: bool, begin: Callable[[], None] = lambda: None
) -> Iterator[dict[str, Tensor]]:
    """Yield a dict that a forward pass inside fills with the output of each layer.

    The net goes on with a copy, so that a layer that works in place does not change what was
    seen. A layer called several times in a pass is seen at its last call. What was seen always
    requires a gradient, also where no parameter below it does.

    Args:
        layers: the layers by a name of the caller's.
        cut: start the graph at the first of the layers, in a pass that began without one. The
            pass up to it then costs no memory for a backward pass.
        begin: called when a layer has been seen, before the net goes on.
    """
    seen: dict[str, Tensor] = {}

    def see(key: str, output: object) -> object:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return output
        if cut:
            # Runs inside the caller's no_grad: from here on the graph is recorded.
            torch.set_grad_enabled(True)
        with torch.enable_grad():
            if not output.requires_grad:
                output = leaf(output)
            seen[key] = output
            begin()
            return output.clone()

    with ExitStack() as hooks:
        for key, module in layers.items():
            hook = module.register_forward_hook(
                lambda _module, _inputs, output, key=key: see(key, output)
            )
            hooks.callback(hook.remove)
        yield seen


@contextmanager
def sound_gradients(net: nn.Module, images: Images) -> Iterator[None]:
    """Within, batch norm of a single image passes the right gradient on.

    PyTorch's batch norm in evaluation mode, on a CPU and for one image, gives a wrong gradient
    where its input and the gradient lie in memory in two ways and one of them is that of tokens
    laid out as a map, as in CvT (seen in 2.15). Where the gradient lies as the output does it is
    right.
    """
    count = len(next(iter(images.values())) if isinstance(images, Mapping) else images)
    with ExitStack() as hooks:
        for module in net.modules() if count == 1 else ():
            if isinstance(module, nn.BatchNorm2d):
                hooks.callback(module.register_forward_hook(_lay_gradient_as_output).remove)
        yield


def _lay_gradient_as_output(_module: nn.Module, _inputs: object, output: Tensor) -> None:
    if output.requires_grad:
        strides = output.stride()  # not the output itself, which would hold its own graph
        output.register_hook(lambda gradient: _laid(gradient, strides))


def _laid(gradient: Tensor, strides: tuple[int, ...]) -> Tensor:
    if gradient.stride() == strides:
        return gradient
    return gradient.new_empty_strided(gradient.shape, strides).copy_(gradient)


@contextmanager
def counting(module: nn.Module) -> Iterator[Callable[[], int]]:
    """Within, the module's calls are counted; yields what tells of them."""
    calls = 0

    def count(_module: nn.Module, _inputs: object, _output: object) -> None:
        nonlocal calls
        calls += 1

    hook = module.register_forward_hook(count)
    try:
        yield lambda: calls
    finally:
        hook.remove()


@contextmanager
def substitute(module: nn.Module, output: Tensor, call: int) -> Iterator[None]:
    """Within, the module gives this output at one of its calls, counted from 1."""
    with counting(module) as calls:
        hook = module.register_forward_hook(
            lambda _module, _inputs, own: output.to(own.dtype) if calls() == call else own
        )
        try:
            yield
        finally:
            hook.remove()


def trace(net: nn.Module, images: Images) -> list[Visit]:
    """The modules that a pass of the first image visits, in order of completion.

    Of an answer with `.logits` these count. The pass is in evaluation mode and without gradients;
    net and images are left as they were.
    """
    visits: list[Visit] = []

    def note(name: str, module: nn.Module, output: object) -> None:
        output = output if name else getattr(output, "logits", output)
        if isinstance(output, Tensor) and output.is_floating_point():
            visits.append(Visit(name, module, tuple(output.shape)))

    with _quiet_pass(net, images) as (stack, run):
        for name, module in net.named_modules():
            hook = module.register_forward_hook(
                lambda module, _inputs, output, name=name: note(name, module, output)
            )
            stack.callback(hook.remove)
        run()
    return visits


def order_of_calls(net: nn.Module, images: Images) -> dict[str, int]:
    """By its name, which place a module's last call has in a pass of the first image.

    The pass is as that of `trace`. Modules that it does not call are left out.
    """
    calls: list[str] = []
    with _quiet_pass(net, images) as (stack, run):
        for name, module in net.named_modules():
            hook = module.register_forward_pre_hook(
                lambda _module, _inputs, name=name: calls.append(name)
            )
            stack.callback(hook.remove)
        run()
    return {name: place for place, name in enumerate(calls)}


@contextmanager
def _quiet_pass(net: nn.Module, images: Images) -> Iterator[tuple[ExitStack, Callable[[], object]]]:
    """A stack to put hooks on, and a pass of the first image in evaluation mode."""
    first = copied(images, 1)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(net))
        stack.enter_context(evaluating(net))
        stack.enter_context(torch.no_grad())
        yield stack, lambda: net(first)
