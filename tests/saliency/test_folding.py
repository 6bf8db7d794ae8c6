"""Folded convolutions give what the net gives."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from regard.saliency.folding import AGREEMENT, Finder, quicker


class Net(nn.Module):
    """Convolutions with norms, some followed by an activation, one of them used twice."""

    def __init__(self, act, *, twice=False, inplace=False):
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.second, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.third, self.norm3 = nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6)
        self.act, self.twice, self.inplace = act, twice, inplace
        self.head = nn.Linear(6, 4)

    def forward(self, images):
        maps = self.act(self.norm1(self.first(images)))
        assert maps.size(1) == maps.shape[1]  # asking uses nothing
        normed = self.norm2(self.second(maps))
        assert normed.size() == normed.shape
        beside = normed.clone() if self.twice else 0
        maps = self.act(normed) + beside
        maps = self.norm3(self.third(maps))
        if self.inplace:
            maps += 1
        return self.head(maps.mean((2, 3)))


def made(act, **options):
    torch.manual_seed(0)
    net = Net(act, **options).eval()
    for norm in (net.norm1, net.norm2, net.norm3):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return net


ACTS = {
    "relu": nn.ReLU(),
    "relu in place": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(inplace=True),
    "hardtanh": nn.Hardtanh(-0.5, 0.5),
    "silu": nn.SiLU(),
    "function": torch.relu,
    "method": lambda maps: maps.relu_(),
}


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("options", [{}, {"twice": True}, {"inplace": True}])
@torch.no_grad()
def test_the_quicker_way_gives_the_same(name, options):
    net = made(ACTS[name], **options)
    images, rows = torch.randn(5, 3, 16, 16), torch.arange(5)
    expected = net(images)
    answer = quicker(lambda pixels, rows: net(pixels), images)
    for count in (5, 2):  # the packed weights of one size serve others
        found = answer(images[:count].clone(), rows[:count])
        assert float((found - expected[:count]).abs().max()) <= AGREEMENT * float(expected.max())


@torch.no_grad()
def test_an_activation_is_folded_where_nothing_else_sees_what_it_gets():
    for options, second in (({}, ("hardtanh", (0.0, 6.0))), ({"twice": True}, None)):
        net = made(ACTS["relu6"], **options)
        with Finder() as finder:
            net(torch.randn(1, 3, 16, 16))
        found = [folded and folded.activation for folded in finder.folds()]
        assert found == [("hardtanh", (0.0, 6.0)), second, None]


class Names(TorchDispatchMode):
    """Notes which operators are run."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_norms_are_not_run_apart():
    net, images = made(ACTS["relu6"]), torch.randn(2, 3, 16, 16)
    answer = quicker(lambda pixels, rows: net(pixels), images)
    with Names() as plain:
        net(images)
    with Names() as quick:
        answer(images, torch.arange(2))
    assert sum("batch_norm" in name for name in plain.seen) == 3
    assert not any("batch_norm" in name for name in quick.seen)
