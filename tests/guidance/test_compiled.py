"""Guidance of nets that went through torch.compile."""

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils._python_dispatch import TorchDispatchMode

import regard
from regard.data.regions import Regions
from regard.errors import ModelError, TargetError
from regard.guidance import RRR, TERMS, Energy, Term, guided_forward, one_graph
from regard.saliency.resizing import resize
from smallnets import Tiny, tiny

TARGETS = torch.tensor([0, 1, 2, 0])


@pytest.fixture(autouse=True)
def _fresh():
    """Nets of all tests are of one class, of which torch compiles so many and no more."""
    torch.compiler.reset()


class Uncounted(Tiny):
    """One that does not count its calls: a compiler would have a graph for each number."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def images() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def regions() -> torch.Tensor:
    inside = torch.zeros(4, 32, 32)
    inside[:, 5:20, 8:24] = 1
    return inside


def gradients(net: nn.Module, run: nn.Module, terms: list[Term]) -> list[torch.Tensor]:
    net.zero_grad()
    seen = guided_forward(run, images(), TARGETS, regions(), terms)
    (F.cross_entropy(seen.logits, TARGETS) + seen.loss()).backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


class Counting:
    """A backend that runs graphs as they are and counts how often."""

    def __init__(self) -> None:
        self.calls = self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]):
        self.graphs += 1

        def run(*args: torch.Tensor):
            self.calls += 1
            return graph.forward(*args)

        return run


@pytest.mark.parametrize("terms", [[Energy()], [Energy(layer="stem")], [Energy(), RRR(weight=0.1)]])
@pytest.mark.parametrize("before", [False, True])
def test_gradients_are_those_of_the_net(terms: list[Term], before: bool):
    net, backend = tiny(norm=True).train(), Counting()
    run = torch.compile(net, backend=backend)
    if before:  # a graph without hooks is there already
        run(images())
    calls = backend.calls
    analytic = len(terms) == 1 and terms[0].read_layer is None
    with nullcontext() if analytic else pytest.warns(UserWarning, match="eager"):
        found = gradients(net, run, terms)
    for ours, plain in zip(found, gradients(net, net, terms), strict=True):
        torch.testing.assert_close(ours, plain)
    assert (backend.calls > calls) == analytic


INSIDE = regions()
ASKED = {
    "all": Regions(INSIDE),
    "some": Regions(INSIDE, present=torch.tensor([True, False, True, True])),
    "ignored": Regions(INSIDE, ignore=0.5 * INSIDE.roll(7, 1)),
    "avoided": Regions(INSIDE, avoid=INSIDE.roll(9, 2)),
    "by class": Regions(torch.stack([INSIDE, INSIDE.roll(3, 1), 1 - INSIDE], 1)),
}
TERMS_OF_MAPS = {
    "energy": [Energy(weight=2.0)],
    "stopped": [Energy(weights="stop", contrast=True, sign="absolute", method="hirescam")],
    "two": [Energy(), TERMS["iou"](weight=0.3), TERMS["kl"](weight=0.1)],
}


# Each kind of regions and each set of terms; all pairs at full length.
QUICK = {("energy", "all"), ("stopped", "avoided"), ("two", "some"), ("energy", "ignored"),
         ("two", "by class")}  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "asked"),
    [
        pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.torture)
        for pair in product(TERMS_OF_MAPS, ASKED)
    ],
)
def test_pass_and_terms_are_one_graph(terms: str, asked: str):
    net, backend = tiny(norm=True).train(), Counting()
    run = torch.compile(net, backend=backend)
    given = images(), TARGETS, ASKED[asked], TERMS_OF_MAPS[terms]
    outs, found = [], []
    for each in (run, net):
        net.zero_grad()
        out = guided_forward(each, *given)
        (F.cross_entropy(out.logits, TARGETS) + out.loss()).backward()
        outs.append(out)
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert backend.graphs == backend.calls == 1
    for out in outs:  # the losses themselves, in another mean than ours
        net.zero_grad()
        own = guided_forward(run if out is outs[0] else net, *given)
        sum(torch.arange(4.0) @ each for each in own.losses.values()).backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(found[2], found[3])
    assert not any(made.requires_grad for made in outs[0].maps.values())
    for part in ("maps", "losses", "valid"):
        torch.testing.assert_close(getattr(outs[0], part), getattr(outs[1], part))
    torch.testing.assert_close(outs[0].loss(), outs[1].loss())
    torch.testing.assert_close(*found[:2])


def test_losses_can_be_changed_in_place_and_have_no_second_derivative():
    net = tiny(norm=True).train()
    run = torch.compile(net, backend=Counting())
    given = images(), TARGETS, regions(), [Energy()]
    found = []
    for each in (run, net):
        net.zero_grad()
        out = guided_forward(each, *given)
        loss = out.loss()
        loss += F.cross_entropy(out.logits, TARGETS)
        loss.div_(2).backward()
        out = guided_forward(each, *given)
        out.losses["energy"].mul_(torch.arange(4.0)).sum().backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(*found)
    with pytest.raises(ModelError, match="for a second derivative, found a compiled one"):
        guided_forward(run, *given).loss().backward(create_graph=True)


def test_a_net_in_float64_has_gradients_of_its_own_precision():
    net = tiny(norm=True).train().double()
    run = torch.compile(net, backend=Counting())
    some = Regions(INSIDE.double(), present=torch.tensor([True, False, True, True]))
    found = []
    for each in (run, net):
        net.zero_grad()
        guided_forward(each, images().double(), TARGETS, some, [Energy()]).loss().backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


@dataclass(frozen=True)
class OfTheBatch(Energy):
    """A loss of an image that others change, too."""

    separate: ClassVar[bool] = False

    def loss(self, maps, evidence):
        """Losses (B,)."""
        found = super().loss(maps, evidence)
        return found * found.mean()


def test_losses_that_images_share_have_their_gradient():
    net = tiny(norm=True).train()
    run = torch.compile(net, backend=Counting())
    found = []
    for each in (run, net):
        net.zero_grad()
        out = guided_forward(each, images(), TARGETS, regions(), [OfTheBatch()])
        (out.losses["energy"] @ torch.arange(4.0)).backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(*found)


def test_another_mode_size_head_and_target_of_one_graph():
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1))
    net, backend = tiny(norm=True, pool=pool).train(), Counting()
    run = torch.compile(net, backend=backend)
    terms: list[Term] = [Energy()]
    for change in ("none", "mode", "size", "head", "module", "wrapped module", "inner module"):
        given = images()
        if change == "mode":
            net.eval()
        if change == "size":
            given = given[:3]
        if change == "head":
            net.classifier.weight = nn.Parameter(net.classifier.weight.detach().flip(0))
        if change == "module":
            net.classifier = nn.Linear(net.classifier.in_features, 3)
        if change == "inner module":
            pool[0] = nn.AdaptiveMaxPool2d(1)
        if change == "wrapped module":
            weight_norm(net.classifier)
        rest = TARGETS[: len(given)], regions()[: len(given)], terms
        slow = change == "wrapped module"  # no plain linear layer any more, which is said once
        with pytest.warns(UserWarning, match="in eager mode") if slow else nullcontext():
            found = guided_forward(run, given, *rest).losses
        torch.testing.assert_close(found, guided_forward(net, given, *rest).losses)
    with pytest.raises(TargetError, match="classes 0 to 2"):
        guided_forward(run, images(), TARGETS + 2, regions(), terms)


def test_nothing_of_a_pass_is_kept_by_the_net():
    net = Uncounted(norm=True).train()
    run = torch.compile(net, backend=Counting())
    guided_forward(run, images(), TARGETS, regions(), [Energy()])
    (graph,) = one_graph._GRAPHS[run][0].values()
    assert graph is not None
    assert [layer.output for layer in graph.keeper.kept] == [None]


def test_weights_that_warm_up_are_no_other_graph():
    net, backend = Uncounted(norm=True).train(), Counting()
    run = torch.compile(net, backend=backend)
    for weight in (0.1, 0.2, 0.3):
        guided_forward(run, images(), TARGETS, regions(), [Energy(weight=weight)])
    assert (backend.graphs, backend.calls) == (1, 3)


@pytest.mark.parametrize("method", ["gradcam", "scorecam", "integrated_gradients"])
def test_explain_sees_the_layers(method: str):
    net = tiny(norm=True)
    run = torch.compile(net, backend=Counting())
    run(images())
    torch.testing.assert_close(
        regard.explain(run, images(), TARGETS, method=method),
        regard.explain(net, images(), TARGETS, method=method),
    )


class Waits(TorchDispatchMode):
    """Counts the numbers that the host asks of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        aten = torch.ops.aten
        self.count += func.overloadpacket in (aten._local_scalar_dense, aten.nonzero, aten.equal)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layer", [None, "stem"])
def test_a_gpu_does_not_wait_in_a_step(layer: str | None):
    net = tiny(norm=True).train()
    terms = [Energy(layer=layer)]
    gradients(net, net, terms)  # what the net is made of is found out in the first step
    with Waits() as waits:
        seen = guided_forward(net, images(), TARGETS, Regions(regions()), terms)
        (F.cross_entropy(seen.logits, TARGETS) + seen.loss()).backward()
    assert waits.count == 1  # the targets' range, on the device that they came from


@pytest.mark.parametrize(
    ("old", "new"), [((7, 7), (56, 40)), ((16, 12), (9, 30)), ((1, 1), (4, 4))]
)
def test_enlarging_in_a_loss_is_bilinear(old: tuple[int, int], new: tuple[int, int]):
    maps = torch.rand(3, *old, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(3, *new, dtype=torch.float64)
    other = maps.detach().clone().requires_grad_()
    theirs = F.interpolate(other[:, None], new, mode="bilinear", align_corners=False)[:, 0]
    ours = resize(maps, new)
    torch.testing.assert_close(ours, theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(maps.grad, other.grad)
