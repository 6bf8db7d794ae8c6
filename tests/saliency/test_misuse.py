"""What is given to explain, score and guided_forward by mistake is refused in one line."""

import re

import numpy as np
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
        ({"contrst": True}, "found 'contrst'; did you mean contrast?"),
        ({"method": "smoothgrad", "sample": 3}, "method smoothgrad: expected its own options: ba"),
        ({"method": "smoothgrad", "sample": 3}, "found 'sample'; did you mean samples?"),
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
        ({"method": None}, "method: expected a known name, found None; choose one of: "),
        ({"method": "GradCAM"}, "found 'GradCAM'; did you mean gradcam"),
        ({"layer": 4}, "layer: expected a layer, found 4; pass its dotted name"),
        ({"size": (0, 0)}, "size: expected None, or a height and a width of 1 pixel or more"),
        ({"size": (64.0, 64.0)}, "size: expected None, or a height and a width of 1 pixel or more"),
        (
            {"method": "integrated_gradients", "baseline": "grey"},
            "expected a baseline that is a number, or pixels as the net takes them, found 'grey'",
        ),
        (
            {"method": "expected_gradients", "background": IMAGES.numpy()},
            "expected a background of images as the net takes them, a tensor (N, 3, H, W), found",
        ),
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


@pytest.mark.parametrize("net", [None, "resnet18", Net, lambda images: images])
def test_what_is_no_net_is_refused(net):
    found = "the class Net" if net is Net else type(net).__name__
    text = f"net: expected a torch.nn.Module, found {found}"
    one_line(lambda: regard.explain(net, IMAGES), text)
    one_line(lambda: guided_forward(net, IMAGES, LABELS, INSIDE, [Energy()]), text)
    if net is not None:  # of a score that asks no net it is none
        one_line(lambda: score(MAPS, name="deletion", net=net, images=IMAGES, targets=LABELS), text)


def test_a_net_that_is_run_on_several_devices_is_explained_on_one_and_not_guided():
    net = Net(3)
    several = nn.DataParallel(net)
    for layer in (None, "module.features", net.features):
        torch.testing.assert_close(
            regard.explain(several, IMAGES, LABELS, layer=layer),
            regard.explain(net, IMAGES, LABELS, layer=layer if layer is net.features else None),
        )
    one_line(
        lambda: guided_forward(several, IMAGES, LABELS, INSIDE, [Energy()]),
        "found torch.nn.DataParallel, which runs a copy for each device; pass net.module",
    )


@pytest.mark.filterwarnings(
    "ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning"
)
def test_of_a_traced_net_no_layer_is_seen():
    with torch.no_grad():
        traced = torch.jit.trace(Net(3), IMAGES)
    for layer in (None, "features"):
        one_line(lambda layer=layer: regard.explain(traced, IMAGES, layer=layer), "; pass ")


@pytest.mark.parametrize("one", [1, np.int64(1), np.uint8(1)])
def test_one_target_may_be_a_number_of_numpy(one):
    net = Net(3)
    found = regard.explain(net, IMAGES, one)
    torch.testing.assert_close(found, regard.explain(net, IMAGES, [1, 1]))


def test_numbers_of_terms_and_rows_that_are_none():
    one_line(lambda: Energy(weight="a"), "expected a finite weight of 0 or more, found 'a'")
    rows = torch.tensor([0.0, 1.0])
    one_line(
        lambda: guided_forward(Net(3), IMAGES, LABELS, INSIDE, [Energy()], rows=rows),
        "rows: expected whole numbers, an image's place in the batch each, found torch.float32",
    )
