"""Grad-CAM and CAM against other libraries, against each other, and against the bare formula."""

import warnings

import pytest
import torch
from torch import nn

import regard
from regard.saliency import watched as passes
from regard.saliency.explain import build_method, look
from regard.saliency.linear_heads import linear_head
from smallnets import GeM, images_for, pictures, tiny, zoo_net


def seeded(seed, kind, *sizes):
    """A layer with the same random weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(*sizes)


def difference(found, expected):
    """The largest difference, as a share of the largest value."""
    assert found.shape == expected.shape
    assert bool(expected.any())
    return float((found - expected).abs().max().detach() / expected.abs().max().detach())


# Other libraries -------------------------------------------------------------------------


def by_captum(net, layer, images, targets):
    from captum.attr import LayerGradCam

    found = LayerGradCam(net, layer).attribute(images, targets, relu_attributions=True)
    return found[:, 0].detach()


def by_grad_cam(net, layer, images, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    # As computed there, before it is stretched to 0..1 and to the image's size.
    wanted = [ClassifierOutputTarget(int(target)) for target in targets]
    with GradCAM(net, [layer]) as cam:
        cam(images, wanted)
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients[0].numpy()
        found = cam.get_cam_image(images, layer, wanted, activations, gradients)
    net.zero_grad(set_to_none=True)
    return torch.from_numpy(found).clamp_min(0)


def by_torchcam(net, layer, images, targets):
    from torchcam.methods import GradCAM

    with GradCAM(net, layer) as cam:
        (found,) = cam(targets.tolist(), net(images), normalized=False)
    return found.detach()


ORACLES = {"captum": by_captum, "grad-cam": by_grad_cam, "torchcam": by_torchcam}
LAYERS = {"resnet18": ("layer4", "layer3"), "lite0": ("bn2", "blocks.5"), "convnext": ("stages",)}


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize(
    ("name", "layer"), [(n, each) for n, all_ in LAYERS.items() for each in all_]
)
def test_gradcam_agrees_with_other_libraries(oracle, name, layer):
    net, images, targets = zoo_net(name), images_for(name), torch.tensor([0, 3, 4])
    found = regard.explain(net, images, targets, layer=layer)
    expected = ORACLES[oracle](net, net.get_submodule(layer), images, targets)
    assert difference(found, expected) < 1e-5


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("layer", ["bn2", "blocks.4"])
def test_gradcam_agrees_with_other_libraries_on_photos(oracle, layer, trained, photos):
    with torch.no_grad():
        targets = trained(photos).argmax(1)
    assert len(targets.unique()) == 3
    found = regard.explain(trained, photos, targets, layer=layer)
    expected = ORACLES[oracle](trained, trained.get_submodule(layer), photos, targets)
    assert difference(found, expected) < 1e-5
    torch.testing.assert_close(found, regard.explain(trained, photos, None, layer=layer))


def test_cam_is_gradcam_times_the_positions_on_photos(trained, photos):
    cam = regard.explain(trained, photos, None, "cam")
    assert cam.shape == (3, 7, 7)
    assert difference(regard.explain(trained, photos, None) * 49, cam) < 1e-6


# The formulas, with loops and without autograd -------------------------------------------


def slow_gradcam(net, image, target):
    """relu(sum_k w_k A_k) of one image, each derivative by a central difference in float64."""
    with torch.no_grad():
        maps = net.features(image[None])[0]
        channels, height, width = maps.shape
        total, step = torch.zeros(height, width).double(), 1e-4
        for k in range(channels):
            weight = 0.0
            for i in range(height):
                for j in range(width):
                    up, down = maps.clone(), maps.clone()
                    up[k, i, j] += step
                    down[k, i, j] -= step
                    rise = net.head(up[None])[0, target] - net.head(down[None])[0, target]
                    weight += float(rise) / (2 * step) / (height * width)
            total += weight * maps[k]
        return torch.where(total > 0, total, 0)


def slow_cam(net, image, target):
    with torch.no_grad():
        maps = net.features(image[None])[0].relu()
        total = torch.zeros(maps.shape[1:]).double()
        for k, channel in enumerate(maps):
            total += net.classifier.weight[target, k] * channel
        return torch.where(total > 0, total, 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"after": nn.Identity()},
        {"pool": "gem"},
        {"between": nn.LayerNorm(6)},
        {"between": nn.Sequential(seeded(3, nn.Linear, 6, 6), nn.Tanh())},
        {"scale": 3.0},
    ],
    ids=["relu", "linear", "gem", "norm", "mlp", "scaled"],
)
def test_gradcam_is_its_formula(options):
    net = tiny(**options).double()
    images, targets = pictures(3, 6, dtype=torch.float64), [0, 2, 1]
    found = regard.explain(net, images, targets, layer="last")
    expected = [slow_gradcam(net, *pair) for pair in zip(images, targets, strict=True)]
    assert difference(found, torch.stack(expected)) < 1e-7


def test_cam_is_its_formula():
    net, images, targets = tiny().double(), pictures(dtype=torch.float64), [0, 1, 2, 0]
    expected = [slow_cam(net, *pair) for pair in zip(images, targets, strict=True)]
    assert difference(regard.explain(net, images, targets, "cam"), torch.stack(expected)) < 1e-14


# The head's weights instead of a backward pass -------------------------------------------


@pytest.mark.parametrize("name", ["cnn2-avg", "resnet18", "lite0", "densenet"])
def test_the_head_s_weights_give_what_the_gradient_gives(name, monkeypatch):
    net, images, targets = zoo_net(name), images_for(name), torch.tensor([1, 3, 0])
    quick = regard.explain(net, images, targets)
    cam = regard.explain(net, images, targets, "cam")
    monkeypatch.setattr(passes, "linear_head", lambda *_: None)
    slow = regard.explain(net, images, targets)
    assert difference(quick, slow) < 1e-5
    assert difference(quick * quick[0].numel(), cam) < 1e-5


@pytest.mark.parametrize("training", [False, True])
def test_the_head_s_weights_give_the_same_parameter_gradients(training, monkeypatch):
    net = tiny(norm=True).double().train(training)
    images, targets = pictures(dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    wanted = list(net.parameters())

    def both():
        maps = regard.explain(net, images, targets, create_graph=True)
        gradients = torch.autograd.grad(maps.square().sum(), wanted, allow_unused=True)
        return maps, gradients

    quick, with_weights = both()
    calls = []
    monkeypatch.setattr(passes, "remembered_head", lambda *_: calls.append(1))
    slow, with_gradient = both()
    assert calls
    assert difference(quick, slow) < 1e-12
    for left, right in zip(with_weights, with_gradient, strict=True):
        assert (left is None) == (right is None)
        if left is not None:
            torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-14)
    names = [name for name, _ in net.named_parameters()]
    assert [n for n, g in zip(names, with_weights, strict=True) if g is None] == ["classifier.bias"]


def head_of(net, images, layer=None):
    seen = look(net, images, 0, build_method("gradcam"), layer=layer)
    return linear_head(net, seen.activations, seen.logits)


HEADLESS = {
    "max pooling": {"pool": "max"},
    "generalised mean": {"pool": "gem"},
    "a norm after the pooling": {"between": nn.LayerNorm(6)},
    "a scaled head": {"scale": 1.05},
    "a sum instead of a mean": {"pool": nn.LPPool2d(1, 4)},
    "an activation after the pooling": {"between": nn.Sigmoid()},
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [0.0, 50.0])
@pytest.mark.parametrize("kind", HEADLESS)
def test_other_heads_are_not_taken_for_linear(kind, bias, dtype):
    net, images = tiny(**HEADLESS[kind]).to(dtype), pictures(dtype=dtype)
    nn.init.constant_(net.classifier.bias, bias)
    assert head_of(net, images) is None


# A bias of 50 leaves bfloat16 no digits to recognise the head by.
@pytest.mark.parametrize(
    ("dtype", "bias"),
    [
        *((dtype, bias) for dtype in (torch.float64, torch.float32) for bias in (0.0, 50.0, None)),
        (torch.bfloat16, 0.0),
        (torch.bfloat16, None),
    ],
)
def test_a_linear_head_is_recognised(bias, dtype):
    net, images = tiny().to(dtype), pictures(64, dtype=dtype)
    if bias is None:
        net.classifier.bias = None
    else:
        nn.init.constant_(net.classifier.bias, bias)
    assert head_of(net, images) is net.classifier.weight


def test_a_linear_head_is_recognised_under_any_name_and_autocast():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    assert head_of(net, pictures()) is net[4].weight
    with torch.autocast("cpu", torch.bfloat16):
        assert head_of(net, pictures()) is net[4].weight
    assert head_of(net, pictures(), layer="0") is None


@pytest.mark.parametrize("p", [0.01, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_hides_the_linear_head_in_training_mode_alone(p, dtype):
    net = tiny(between=nn.Dropout(p), channels=64).to(dtype)
    images = pictures(16, dtype=dtype)
    assert head_of(net, images) is net.classifier.weight
    assert head_of(net.train(), images) is None
    assert head_of(tiny(between=nn.Dropout(0.0)).train(), pictures()) is not None


def test_gradcam_in_training_mode_uses_the_dropout_that_was_drawn():
    net, images = tiny(between=nn.Dropout(0.5), channels=16).train(), pictures()
    torch.manual_seed(5)
    found = regard.explain(net, images, 0)
    torch.manual_seed(5)
    regard.explain(net, images, 0)
    # The random state is put back, so the same masks are drawn again here.
    maps = net.features(images).relu()
    kept = net.between(torch.ones(4, 16))
    weights = net.classifier.weight[0] * kept / maps[0, 0].numel()
    expected = torch.einsum("bk,bkhw->bhw", weights, maps).relu()
    assert difference(found, expected.detach()) < 1e-5


def test_pooling_of_one_position_is_any_pooling():
    net = tiny(pool=GeM())
    image = torch.ones(1, 3, 8, 8)
    with torch.no_grad():
        net.last.weight.zero_()
        net.last.bias.fill_(0.5)
    # A map without variation pools to the same by every mean, and has the same gradient.
    assert head_of(net, image) is net.classifier.weight
