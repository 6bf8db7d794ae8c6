"""What is given to explain, score and guided_forward by mistake is refused in one line."""

import re

import pytest
import torch
from torch import nn

import regard
from regard.errors import RegardError
from regard.guidance import RRR, Energy, guided_forward
from regard.scores import score


class Net(nn.Module):
    """A small net with so many logits."""

    def __init__(self, classes):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(4, classes)

    def forward(self, images):
        return self.fc(self.features(images).mean((2, 3)))


pytestmark = pytest.mark.usefixtures("unchecked")

IMAGES, LABELS = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
INSIDE = torch.zeros(2, 8, 8)
INSIDE[:, 2:5, 2:5] = 1
MAPS = torch.rand(2, 8, 8)


def one_line(call, text):
    with pytest.raises(RegardError, match=re.escape(text)) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"method": "occlusion", "windw": 3},
            "method occlusion: expected its own options: window,",
        ),
        ({"windw": 3}, "gradcam: expected its own options, of which it has none, found 'windw'"),
        (
            {"method": "expected_gradients"},
            "expected background=, found none; pass background=, im",
        ),
        ({"images": IMAGES.numpy()}, "images: expected a float tensor (B, 3, H, W), or a dict of"),
        (
            {"images": (IMAGES * 255).byte()},
            "images: expected floats, as the net takes them, found",
        ),
        ({"images": IMAGES[0]}, "images: expected a batch (B, 3, H, W)"),
    ],
)
def test_of_explain(options, text):
    given = {"images": IMAGES} | options
    one_line(lambda: regard.explain(Net(3), **given), text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"regions": None}, "guided_forward: expected regions: masks (B, H, W)"),
        ({"regions": INSIDE.numpy()}, "regions: expected a tensor (B, H, W) or (B, K, H, W), or r"),
        ({"targets": None}, "guided_forward: expected targets: class indices (B,), found None"),
        ({"terms": Energy()}, "guidance terms: expected a list of terms, found Energy("),
        ({"terms": "energy"}, "guidance terms: expected a list of terms, found 'energy', alone"),
        ({"terms": ["energy"]}, "guidance terms: expected a list of terms, found 'energy'; write"),
        ({"terms": [Energy]}, "guidance terms: expected a list of terms, found its class; write"),
        ({"terms": None}, "guidance terms: expected a list of terms, found None"),
        ({"images": IMAGES.numpy()}, "images: expected a float tensor"),
        ({"images": (IMAGES * 255).byte()}, "images: expected floats"),
        ({"regions": INSIDE[:, None]}, "found 1; pass (B, H, W): regions.squeeze(1)"),
    ],
)
def test_of_guided_forward(change, text):
    given = {"images": IMAGES, "targets": LABELS, "regions": INSIDE, "terms": [Energy()]} | change
    one_line(lambda: guided_forward(Net(3), **given), text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"maps": MAPS.numpy()},
            "score energy: expected maps as a tensor (B, h, w), found ndarray",
        ),
        ({"regions": INSIDE.numpy()}, "regions: expected a tensor (B, H, W)"),
        ({"regions": INSIDE[:, None]}, "no targets; pass (B, H, W): regions.squeeze(1)"),
        ({"regions": INSIDE[:, None], "targets": LABELS}, "pass (B, H, W): regions.squeeze(1)"),
        ({"name": "iou", "quantil": 3}, "score iou: expected its own options: quantile, found"),
        ({"name": "deletion", "net": Net(3), "images": IMAGES.numpy()}, "images: expected a float"),
        (
            {"name": "deletion", "net": Net(3), "images": (IMAGES * 255).byte()},
            "images: expected floats",
        ),
    ],
)
def test_of_score(change, text):
    given = {"maps": MAPS, "regions": INSIDE} | change
    one_line(lambda: score(**given), text)


@pytest.mark.parametrize("name", ["deletion", "insertion", "average_drop", "increase"])
def test_one_logit_has_no_probability_among_classes(name):
    net, asked = Net(1), {"net": Net(1), "images": IMAGES, "targets": torch.zeros(2).long()}
    one_line(lambda: score(MAPS, name=name, **asked), "two logits or more, for the probability")
    assert "torch.cat([-z, z], 1)" in _told(lambda: score(MAPS, name=name, **asked))
    assert score(MAPS, name=name, independent=True, **asked).shape == (2,)
    # A map of that one logit is as good as of any other.
    assert float(regard.explain(net, IMAGES).amax()) > 0
    one_line(lambda: regard.explain(net, IMAGES, contrast=True), "two logits or more, for a contr")
    for method, options in (("rise", {"masks": 4}), ("scorecam", {"variant": "author"})):
        one_line(
            lambda method=method, options=options: regard.explain(
                net, IMAGES, method=method, **options
            ),
            "two logits or more, for the probability of a class",
        )


def _told(call):
    with pytest.raises(RegardError) as caught:
        call()
    return str(caught.value)


def test_terms_that_hold_classes_against_each_other_need_two():
    zeros = torch.zeros(2).long()
    for term in (RRR(), Energy(contrast=True)):
        one_line(
            lambda term=term: guided_forward(Net(1), IMAGES, zeros, INSIDE, [term]),
            f"two logits or more, for term {term.title}",
        )
    found = guided_forward(Net(1), IMAGES, zeros, INSIDE, [Energy()])
    assert found.losses["energy"].isfinite().all()
    guided_forward(Net(1), IMAGES, zeros, INSIDE, [])
