"""Models from specs: their structure, inputs, heads and mistakes."""

import time

import pytest
import torch
from torch import nn

import regard
from regard.errors import ConfigError, ModelError
from regard.models import FAMILIES, InputSpec, hub, input_spec
from regard.models.build import parameters_of
from regard.models.heads import find_classifiers, freeze_backbone, train_mode

LITE0 = "timm:tf_efficientnet_lite0"


def count_by_structure(classes, *, norm, side=96, width=32, pool="flatten"):
    """Parameters of CNN1 and CNN2, added up from the description."""
    total, channels = 0, 3
    for out in (width, 2 * width, 4 * width, 8 * width):
        total += channels * out * 3 * 3 + out
        total += 2 * out if norm else 0
        channels = out
        side //= 2
    if pool == "flatten":
        total += channels * side * side * 256 + 256
        channels = 256
    return total + channels * classes + classes


@pytest.mark.parametrize(("spec", "norm"), [("regard:cnn1", False), ("regard:cnn2", True)])
@pytest.mark.parametrize("classes", [2, 7])
def test_the_small_nets_have_the_published_size(spec, norm, classes):
    net = regard.build_model(spec, classes)
    expected = count_by_structure(classes, norm=norm)
    assert parameters_of(net) == expected
    if classes == 2:
        assert expected == {False: 2_748_482, True: 2_749_442}[norm]
    other = regard.build_model(spec, classes, size=64, width=16)
    assert parameters_of(other) == count_by_structure(classes, norm=norm, side=64, width=16)
    pooled = regard.build_model(spec, classes, pool="avg")
    assert parameters_of(pooled) == count_by_structure(classes, norm=norm, pool="avg")


@pytest.mark.parametrize(("spec", "norm"), [("regard:cnn1", 0), ("regard:cnn2", 4)])
def test_the_small_nets_layers_come_in_the_published_order(spec, norm):
    net = regard.build_model(spec, 3)
    layers = [m for m in net.modules() if not list(m.children())]
    names = [type(layer).__name__ for layer in layers]
    block = ["Conv2d", "ReLU", *(["BatchNorm2d"] if norm else []), "MaxPool2d"]
    assert names == [
        *block,
        *block,
        "Dropout",
        *block,
        *block,
        "Dropout",
        *("Flatten", "Linear", "ReLU", "Dropout", "Linear"),
    ]
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.25, 0.25, 0.5]
    assert [m.out_channels for m in layers if isinstance(m, nn.Conv2d)] == [32, 64, 128, 256]
    assert net(torch.zeros(2, 3, 96, 96)).shape == (2, 3)


@pytest.mark.parametrize("stem", ["pool", "stride"])
@pytest.mark.parametrize("side", [96, 95, 40])
def test_either_stem_halves_the_side(stem, side):
    net = regard.build_model("regard:cnn1", 3, stem=stem, size=side, width=4)
    assert net(torch.zeros(2, 3, side, side)).shape == (2, 3)
    first = 3 * 4 * (25 if stem == "stride" else 9) + 4
    assert sum(p.numel() for p in net.features[0].parameters()) == first
    assert sum(isinstance(m, nn.MaxPool2d) for m in net.modules()) == 4 - (stem == "stride")


def test_pooling_takes_any_size():
    net = regard.build_model("regard:cnn2", 3, pool="avg").eval()
    assert net(torch.zeros(2, 3, 64, 112)).shape == (2, 3)


def test_inputs_are_what_the_weights_were_trained_with():
    half = (0.5, 0.5, 0.5)
    lite0 = regard.build_model(LITE0, 2)
    assert input_spec(lite0) == InputSpec((224, 224), half, half, "bicubic")
    resnet = input_spec(regard.build_model("timm:resnet18", 2))
    assert (resnet.size, resnet.mean, resnet.std) == (
        (224, 224),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    assert input_spec(regard.build_model("regard:cnn1", 2, size=64)).size == (64, 64)
    assert input_spec(nn.Linear(1, 1)) == InputSpec()


# Heads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "name"),
    [("regard:cnn2", "classifier"), ("timm:resnet18", "fc"), ("timm:convnext_atto", "head.fc")],
)
def test_an_mlp_takes_the_linear_classifier_s_place(spec, name):
    plain = regard.build_model(spec, 4)
    width = plain.get_submodule(name).in_features
    net = regard.build_model(spec, 4, head="mlp", head_width=24, head_dropout=0.3)
    first, act, dropout, last = net.get_submodule(name)
    assert (first.in_features, first.out_features) == (width, 24)
    assert (last.in_features, last.out_features) == (24, 4)
    assert isinstance(act, nn.ReLU)
    assert dropout.p == 0.3
    assert net(torch.zeros(2, 3, 96, 96)).shape == (2, 4)
    old, new = width * 4 + 4, width * 24 + 24 + 24 * 4 + 4
    assert parameters_of(net) == parameters_of(plain) - old + new
    assert find_classifiers(net) == {name: net.get_submodule(name)}


def test_a_classifier_that_is_a_convolution_is_found_but_not_replaced():
    net = regard.build_model("timm:resnetv2_18", 4)
    assert find_classifiers(net) == {"head.fc": net.head.fc}
    assert isinstance(net.head.fc, nn.Conv2d)
    with pytest.raises(ModelError, match="ends in one linear layer, found Conv2d"):
        regard.build_model("timm:resnetv2_18", 4, head="mlp")


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("spec", ["regard:cnn2", "timm:resnet18"])
def test_a_frozen_backbone_does_not_move(spec, head):
    torch.manual_seed(0)
    net = regard.build_model(spec, 3, head=head)
    freeze_backbone(net, True)
    train_mode(net, frozen=True)
    ((name, classifier),) = find_classifiers(net).items()
    own = {f"{name}.{key}" for key, _ in classifier.named_parameters()}
    assert {n for n, p in net.named_parameters() if p.requires_grad} == own
    assert classifier.training
    before = {n: t.clone() for n, t in net.state_dict().items()}
    step(net)
    moved = {n for n, t in net.state_dict().items() if not t.equal(before[n])}
    assert moved == own


@pytest.mark.parametrize("spec", ["regard:cnn2", "timm:resnet18"])
def test_a_thawed_backbone_moves_again(spec):
    net = regard.build_model(spec, 3)
    freeze_backbone(net, True)
    train_mode(net, frozen=True)
    freeze_backbone(net, False)
    train_mode(net, frozen=False)
    assert all(module.training for module in net.modules())
    before = {n: t.clone() for n, t in net.state_dict().items()}
    # At first the residual branches are multiplied by zero, so it takes a second step.
    step(net)
    step(net)
    still = [n for n, t in net.state_dict().items() if t.equal(before[n])]
    assert still == []


def step(net):
    moving = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(moving, lr=0.5)
    images = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(net(images), torch.tensor([0, 1, 2, 0])).backward()
    optimiser.step()


def test_freezing_needs_a_classifier_to_tell_from_the_backbone():
    with pytest.raises(ModelError, match="a classifier of a customary name"):
        freeze_backbone(nn.Sequential(nn.Linear(2, 2)), True)


# Mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("resnet18", "write timm:resnet18"),
        ("timm:", "expected family:name"),
        ("timm:resnet19", "did you mean .*resnet18"),
        ("regard:cnn3", "did you mean cnn2 or cnn1"),
    ],
)
def test_a_wrong_spec_says_what_is_right(spec, found):
    with pytest.raises(ModelError, match=found):
        regard.build_model(spec, 2)


def test_an_unknown_family_names_the_known_ones():
    with pytest.raises(ConfigError, match="did you mean timm"):
        regard.build_model("tim:resnet18", 2)
    assert set(FAMILIES) >= {"regard", "timm"}


def test_other_mistakes_are_one_clear_line():
    with pytest.raises(ModelError, match="expected 2 classes or more, found 1"):
        regard.build_model("regard:cnn1", 1)
    with pytest.raises(ModelError, match=r"options that its constructor takes, found .*depth"):
        regard.build_model("regard:cnn1", 2, depth=3)
    with pytest.raises(ModelError, match=r"options that its constructor takes, found .*depth"):
        regard.build_model("timm:resnet18", 2, depth=3)
    with pytest.raises(ModelError, match="this net has no published weights"):
        regard.build_model("regard:cnn1", 2, "pretrained")


def test_pretrained_weights_without_a_network_are_one_line_at_once(monkeypatch, tmp_path):
    asked = []

    def nowhere(host, *_args, **_more):
        asked.append(host)
        raise OSError("no address")

    monkeypatch.setattr(hub.socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    begun = time.monotonic()
    with pytest.raises(ModelError, match="go online, or give weights: bundled or a file") as caught:
        regard.build_model("timm:resnet18", 2, "pretrained")
    assert time.monotonic() - begun < 20
    assert "\n" not in str(caught.value)
    assert asked == ["huggingface.co"]
    assert hub.constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("classes", [2, 5, 40])
@pytest.mark.parametrize("weights", [None, "bundled"])
def test_a_fresh_classifier_begins_at_chance(weights, classes):
    net = regard.build_model(LITE0, classes, weights=weights).eval()
    images = torch.rand(8, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        losses = -net(images).log_softmax(1)
    assert losses.mean() == pytest.approx(torch.tensor(float(classes)).log().item(), rel=0.05)
    assert float(net.classifier.weight.detach().abs().min(1).values.max()) > 0


@pytest.mark.parametrize(("name", "layers"), [("digit_mlp", 3), ("digit_cnn", 4)])
def test_nets_for_digits_see_the_mean_over_colours(name, layers):
    net = regard.build_model(f"regard:{name}", classes=10)
    images = torch.rand(2, 3, 28, 28)
    grey = images.mean(1, keepdim=True).expand_as(images)
    torch.testing.assert_close(net(images), net(grey))
    assert net(images).shape == (2, 10)
    weights = [p for p in net.parameters() if p.ndim > 1]
    assert len(weights) == layers
    if name == "digit_mlp":
        assert [tuple(w.shape) for w in weights] == [(50, 784), (30, 50), (10, 30)]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("how", "part"),
    [
        ({"head": "mpl"}, "head, kind: expected one of linear, mlp, found 'mpl'"),
        ({"head": "mlp", "head_width": 0}, "head, width"),
        ({"head": "mlp", "head_dropout": 2.0}, "head, dropout"),
        ({"patch_weights": {"kind": "lin"}}, "patch_weights, kind"),
    ],
)
def test_a_head_that_cannot_be_is_refused_in_a_line(how, part):
    with pytest.raises(ConfigError, match=part) as told:
        regard.build_model("regard:cnn2", classes=3, **how)
    assert "\n" not in str(told.value)
