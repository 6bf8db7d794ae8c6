"""Windows and mirror images against the whole image, a slow mean, and each other."""

import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import regard
from regard.errors import ConfigError, ModelError
from regard.models.windows import Windows, window_starts


def pictures(height=40, width=66, count=2):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def convolution(side, *, mirrors=False):
    net = nn.Conv2d(3, 4, side, padding=side // 2)
    if mirrors:
        net.weight.data += net.weight.data.flip(-1)
    return net.requires_grad_(False)


@given(st.data())
def test_windows_hold_every_pixel_evenly_and_lie_alike_in_a_mirror(data):
    whole = data.draw(st.integers(1, 300))
    part = data.draw(st.integers(1, whole))
    overlap = data.draw(st.sampled_from([0, 0.1, 0.25, 0.5, 0.75, 0.99]))
    starts = window_starts(whole, part, overlap)
    assert (starts[0], starts[-1] + part) == (0, whole)
    assert [whole - part - start for start in reversed(starts)] == starts
    gaps = np.diff(starts)
    step = max(1, part - math.ceil(Fraction(str(overlap)) * part))
    assert all(gaps >= 0)
    assert all(gaps <= step)
    assert len(gaps) == 0 or max(gaps) - min(gaps) <= 2
    assert len(starts) <= -(-(whole - part) // step) + 2


def test_windows_of_a_known_side_begin_where_they_should():
    assert window_starts(100, 40, 0.5) == [0, 20, 40, 60]
    assert window_starts(100, 50, 0) == [0, 50]
    assert window_starts(99, 50, 0) == [0, 49]
    assert window_starts(101, 50, 0) == [0, 17, 34, 51]
    assert window_starts(50, 50, 0.9) == [0]
    assert window_starts(33, 9, 0.25) == [0, 6, 12, 18, 24]  # 3 of 9 in common, as 2 are too few


@pytest.mark.parametrize("size", [None, 66, (40, 66), 500, (41, 66)])
def test_one_window_over_the_image_gives_the_net_s_own_logits(size):
    torch.manual_seed(0)
    net = regard.build_model("regard:fpn", 5, encoder="resnet18").eval()
    with torch.no_grad():
        assert torch.equal(Windows(net, size)(pictures()), net(pictures()))


def test_a_window_is_cut_to_a_smaller_image():
    net = convolution(5)
    low = pictures(height=12)
    torch.testing.assert_close(Windows(net, 20)(low), Windows(net, (12, 20))(low))
    assert torch.equal(Windows(net, 70)(low), net(low))


@pytest.mark.parametrize("overlap", [0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("size", [7, 16, (40, 9), 39])
def test_a_net_that_looks_at_one_pixel_needs_no_windows(size, overlap):
    net = convolution(1)
    for flip in (False, True):
        torch.testing.assert_close(Windows(net, size, overlap, flip)(pictures()), net(pictures()))


@pytest.mark.parametrize("overlap", [0, 0.5, 0.7])
def test_each_pixel_is_the_weighted_mean_of_its_windows(overlap):
    net, images, (h, w) = convolution(5), pictures(count=1), (16, 24)
    total, weights = np.zeros((4, 40, 66)), np.zeros((40, 66))
    for top in window_starts(40, h, overlap):
        for left in window_starts(66, w, overlap):
            logits = net(images[:, :, top : top + h, left : left + w])[0].double().numpy()
            for y in range(h):
                for x in range(w):
                    fall = (1 - abs((2 * y + 1) / h - 1)) * (1 - abs((2 * x + 1) / w - 1))
                    total[:, top + y, left + x] += fall * logits[:, y, x]
                    weights[top + y, left + x] += fall
    found = Windows(net, (h, w), overlap)(images)[0].double().numpy()
    np.testing.assert_allclose(found, total / weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [None, 16, (13, 27)])
def test_mirrored_images_get_the_mirrored_answer(size):
    net, images = convolution(5), pictures(width=67)
    both = Windows(net, size, flip=True)
    assert torch.equal(both(images.flip(-1)).flip(-1), both(images))
    alone = Windows(net, size)
    expected = (alone(images) + alone(images.flip(-1)).flip(-1)) / 2
    assert torch.equal(both(images), expected)
    assert not torch.allclose(alone(images), expected)


@pytest.mark.parametrize("size", [None, 16, (13, 27)])
@pytest.mark.parametrize("width", [66, 67])
def test_a_net_that_mirrors_by_itself_gains_nothing_from_it(size, width):
    net, images = convolution(5, mirrors=True), pictures(width=width)
    one, both = Windows(net, size), Windows(net, size, flip=True)
    torch.testing.assert_close(both(images), one(images))
    torch.testing.assert_close(one(images.flip(-1)).flip(-1), one(images))


def test_windows_leave_a_gradient_and_take_outputs_with_logits():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, images):
            return SimpleNamespace(logits=self.net(images))

    net = Wrapped()
    windows = Windows(net, 16, flip=True)
    windows(pictures()).sum().backward()
    assert net.net.weight.grad.abs().sum() > 0
    assert windows(pictures().half().float()).dtype == torch.float32
    double = Windows(net.double(), 16)
    assert double(pictures().double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "window: expected a side of 1 pixel or more, found 0 x 0; take 256"),
        ({"size": (8, -1)}, "found 8 x -1"),
        ({"size": 8, "overlap": 1.0}, "overlap: expected a share .* found 1; take 0.5"),
        ({"size": 8, "overlap": -0.1}, r"found -0\.1"),
        ({"size": None, "overlap": 1.5}, r"found 1\.5"),
        ({"size": 8, "overlap": float("nan")}, "found nan"),
    ],
)
def test_windows_that_cannot_be_are_refused_in_one_line(options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        Windows(convolution(1), **options)
    assert "\n" not in str(caught.value)


def test_logits_of_another_size_are_refused():
    with pytest.raises(ModelError, match=r"as large as the images, found \(2, 4, 20, 33\)"):
        Windows(nn.Conv2d(3, 4, 2, stride=2), None)(pictures())
    with pytest.raises(ModelError, match=r"found \(2, 4\)"):
        Windows(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)), 16)(
            pictures()
        )
