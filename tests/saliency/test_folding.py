"""Folded convolutions give what the net gives."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import regard
from regard.saliency.foldable import Finder
from regard.saliency.quicker import AGREEMENT, quicker


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


class Wayward(Net):
    """Takes each image by another way, as the net of a test says."""

    def __init__(self, way):
        super().__init__(nn.ReLU())
        self.other, self.norm4 = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.way = way

    def forward(self, images):
        maps = torch.cat([self.way(self, image) for image in images.split(1)])
        return self.head(self.norm3(self.third(maps)).mean((2, 3)))


def by_expert(net, image):
    if image.mean() > 0:
        return net.norm1(net.first(image)).relu()
    return net.norm4(net.other(image)).relu()


def by_own_weights(net, image):
    return net.norm1(F.conv2d(image, net.first.weight * image.mean(), None, 2, 1)).relu()


def by_own_norm(net, image):
    norm, scale = net.norm1, net.norm1.weight * image.mean()
    maps = F.batch_norm(net.first(image), norm.running_mean, norm.running_var, scale, norm.bias)
    return maps.relu()


def without_norm(net, image):
    maps = net.first(image)
    return net.norm1(maps).relu() if image.mean() > 0 else maps.relu()


def with_another_use(net, image):
    maps = net.norm1(net.first(image))
    return maps.relu() if image.mean() > 0 else maps.relu() + maps.tanh()


def with_the_maps_too(net, image):
    maps = net.first(image)
    return net.norm1(maps).relu() + (0 if image.mean() > 0 else maps)


def beside_each_other(net, image):
    one, two = net.first(image), net.other(image)
    return net.norm1(one).relu() * net.norm4(two).relu()


def spread(net):
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.1, 0.5)
            nn.init.uniform_(part.weight, 0.5, 2)
    return net.eval()


WAYS = (
    *(by_expert, by_own_weights, by_own_norm, without_norm),
    *(with_another_use, with_the_maps_too, beside_each_other),
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", [0.0, 1.0])
@torch.no_grad()
def test_a_net_that_goes_another_way_than_the_first_image_gives_the_same(way, first):
    net = spread(Wayward(way))
    tried = torch.full((1, 3, 16, 16), first)
    answer = quicker(lambda pixels, rows: net(pixels), tried)
    for images in (torch.randn(3, 3, 16, 16) + shift for shift in (1, -1, 1)):
        expected = net(images)
        found = answer(images.clone(), torch.zeros(3, dtype=torch.long))
        assert float((found - expected).abs().max()) <= AGREEMENT * float(expected.abs().max())


class Grouped(nn.Module):
    """Views the channels of all images as one axis: with channels last only one image can be."""

    def __init__(self, refuses):
        super().__init__()
        self.net, self.refuses = made(nn.ReLU()), refuses

    def forward(self, images):
        if self.refuses:
            assert images.is_contiguous()
        return self.net(images.view(-1, 1, *images.shape[2:]).mul(2).view(images.shape))


@pytest.mark.parametrize("refuses", [False, True])
@torch.no_grad()
def test_a_net_that_cannot_have_channels_last_is_run_as_it_is(refuses):
    net, images = Grouped(refuses), torch.randn(4, 3, 16, 16)
    for tried in (images, images[:1]):
        answer = quicker(lambda pixels, rows: net(pixels), tried)
        assert torch.equal(answer(images, torch.arange(4)), net(images))


@torch.no_grad()
def test_what_is_set_in_an_output_is_a_use_of_it():
    def settled(maps):
        maps[:, 2:4] = -1
        return maps.relu()

    with Finder() as finder:
        made(settled)(torch.randn(1, 3, 16, 16))
    assert [folded and folded.activation for folded in finder.folds()] == [None] * 3


def test_scorecam_tries_nothing_in_training_mode():
    net = nn.Sequential(made(nn.ReLU()), nn.BatchNorm1d(4)).train()
    maps = regard.explain(net, torch.randn(4, 3, 16, 16), method="scorecam", layer="0.norm3")
    assert bool(maps.isfinite().all())


def test_autocast_leaves_float64_alone():
    net, images = made(nn.ReLU()).double(), torch.randn(2, 3, 16, 16).double()
    maps = [
        regard.explain(net, images, 0, "scorecam", layer="norm3", precision=precision)
        for precision in ("float32", "bfloat16")
    ]
    torch.testing.assert_close(*maps)
