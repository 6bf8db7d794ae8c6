"""The CAMs against their bare formulas in float64, and against other libraries."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import regard
from regard.errors import ConfigError
from regard.saliency import PixelTarget
from smallnets import Segmenter, images_for, pictures, tiny, zoo_net


def difference(found, expected):
    """The largest difference, as a share of the largest value."""
    assert found.shape == expected.shape
    assert bool(expected.any())
    return float((found - expected).abs().max().detach() / expected.abs().max().detach())


def stretched(maps):
    """Each map divided by its maximum."""
    return maps / maps.amax((1, 2), keepdim=True)


# The formulas, with loops ----------------------------------------------------------------


def parts(net, image, target):
    """Activations (C, h, w), the logit's gradient there, and the logit."""
    maps = net.features(image[None]).detach().requires_grad_()
    logit = net.head(maps.clone())[0, target]
    (gradient,) = torch.autograd.grad(logit, maps)
    return maps.detach()[0], gradient[0], float(logit.detach())


def above_zero(total):
    return torch.where(total > 0, total, 0)


def slow_gradcampp(net, image, target, eps=0.0):
    maps, gradient, _ = parts(net, image, target)
    total = torch.zeros_like(maps[0])
    for channel, slope in zip(maps, gradient, strict=True):
        weight = 0.0
        for g in slope.flatten().tolist():
            below = 2 * g**2 + g**3 * float(channel.sum()) + eps
            weight += (g**2 / below if below else 0.0) * max(g, 0.0)
        total += weight * channel
    return above_zero(total)


def slow_hirescam(net, image, target):
    maps, gradient, _ = parts(net, image, target)
    total = torch.zeros_like(maps[0])
    for channel, slope in zip(maps, gradient, strict=True):
        total += slope * channel
    return above_zero(total)


def slow_layercam(net, image, target):
    maps, gradient, _ = parts(net, image, target)
    total = torch.zeros_like(maps[0])
    for channel, slope in zip(maps, gradient, strict=True):
        total += above_zero(slope) * channel
    return above_zero(total)


def slow_xgradcam(net, image, target):
    maps, gradient, _ = parts(net, image, target)
    total = torch.zeros_like(maps[0])
    for channel, slope in zip(maps, gradient, strict=True):
        if float(channel.sum()) != 0:
            total += float((slope * channel).sum() / channel.sum()) * channel
    return above_zero(total)


def slow_eigencam(net, image, target, centre=False):
    maps, _, _ = parts(net, image, target)
    rows = maps.flatten(1).T.numpy()
    if centre:
        rows = rows - rows.mean(0)
    projection = rows @ np.linalg.svd(rows)[2][0]
    if projection @ np.abs(maps.flatten(1).numpy()).mean(0) < 0:
        projection = -projection
    return above_zero(torch.from_numpy(projection).view_as(maps[0]))


def slow_ablationcam(net, image, target):
    maps, _, logit = parts(net, image, target)
    total = torch.zeros_like(maps[0])
    for k in range(len(maps)):
        without = maps.clone()
        without[k] = 0
        with torch.no_grad():
            total += (logit - float(net.head(without[None])[0, target])) / abs(logit) * maps[k]
    return above_zero(total)


def slow_scorecam(net, image, target, variant="paper", only=None):
    maps, _, _ = parts(net, image, target)
    scores = {}
    for k, channel in enumerate(maps):
        if channel.max() == channel.min() or (only is not None and k not in only):
            continue
        mask = channel[None, None]
        if variant == "torchcam":
            mask = (mask - mask.min()) / (mask.max() - mask.min())
        mask = nn.functional.interpolate(
            mask, image.shape[1:], mode="bilinear", align_corners=variant == "grad-cam"
        )
        if variant != "torchcam":
            mask = (mask - mask.min()) / (mask.max() - mask.min())
        with torch.no_grad():
            logits = net(image[None] * mask)[0]
        scores[k] = float(logits.softmax(0)[target] if variant == "author" else logits[target])
    if variant != "author":
        whole = sum(math.exp(score) for score in scores.values())
        scores = {k: math.exp(score) / whole for k, score in scores.items()}
    total = torch.zeros_like(maps[0])
    for k, weight in scores.items():
        total += weight * maps[k]
    return above_zero(total)


SLOW = {
    "gradcampp": slow_gradcampp,
    "hirescam": slow_hirescam,
    "layercam": slow_layercam,
    "xgradcam": slow_xgradcam,
    "eigencam": slow_eigencam,
    "ablationcam": slow_ablationcam,
    "scorecam": slow_scorecam,
}
NETS = {
    "linear": {},
    "gem": {"pool": "gem"},
    "norm": {"between": nn.LayerNorm(6)},
    "mlp": {"between": nn.Sequential(nn.Linear(6, 6), nn.Tanh())},
    "wide": {"channels": 24, "pool": "max"},
}


class Positive(nn.Module):
    """A net whose layer `last` ends in ReLU, as these methods want it, with a dead channel."""

    def __init__(self, net):
        super().__init__()
        self.net, self.last = net, nn.ReLU()
        with torch.no_grad():
            net.last.weight[1], net.last.bias[1] = 0, -1

    def features(self, images):
        return self.last(self.net.features(images))

    def head(self, maps):
        return self.net.head(maps)

    def forward(self, images):
        return self.head(self.features(images))


def positive(**options):
    return Positive(tiny(after=nn.Identity(), **options).double()).eval()


def assert_formula(net, method, slow, **options):
    images, targets = pictures(3, 10, dtype=torch.float64), [0, 2, 1]
    found = regard.explain(net, images, targets, method, layer="last", **options)
    expected = [slow(net, *pair) for pair in zip(images, targets, strict=True)]
    assert difference(found, torch.stack(expected)) < 1e-9


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", SLOW)
def test_methods_are_their_formulas(method, net):
    assert_formula(positive(**NETS[net]), method, SLOW[method])


@pytest.mark.parametrize("method", ["hirescam", "layercam", "xgradcam", "eigencam", "ablationcam"])
def test_methods_are_their_formulas_below_a_relu(method):
    assert_formula(tiny(pool="gem").double(), method, SLOW[method])


def test_eigencam_centred():
    for net in (positive(), tiny(channels=3).double(), positive(channels=24)):
        assert_formula(net, "eigencam", lambda *a: slow_eigencam(*a, centre=True), centre=True)


@pytest.mark.parametrize("variant", ["paper", "author", "grad-cam", "torchcam"])
def test_scorecam_variants_are_their_formulas(variant):
    slow = lambda *a: slow_scorecam(*a, variant=variant)  # noqa: E731
    assert_formula(positive(pool="gem", norm=True), "scorecam", slow, variant=variant)


@pytest.mark.parametrize("method", SLOW)
@pytest.mark.parametrize("pool", ["avg", "gem"])
def test_the_contrast_is_explained(method, pool):
    net, images = positive(pool=pool), pictures(3, 10, dtype=torch.float64)
    found = regard.explain(net, images, 1, method, layer="last", contrast=True)
    head = net.head
    net.head = lambda maps: (logits := head(maps)) - logits.mean(1, keepdim=True)
    expected = torch.stack([SLOW[method](net, image, 1) for image in images])
    assert difference(found, expected) < 1e-9


# Other libraries -------------------------------------------------------------------------


def by_grad_cam(kind, net, layer, images, targets):
    """As computed there, before it is stretched to 0..1 and to the image's size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    wanted = [ClassifierOutputTarget(int(target)) for target in targets]
    with getattr(pytorch_grad_cam, kind)(net, [layer]) as cam:
        logits = cam.activations_and_grads(images)
        gradients = None
        if cam.uses_gradients:
            sum(logits[i, int(t)] for i, t in enumerate(targets)).backward()
            gradients = cam.activations_and_grads.gradients[0].numpy()
        activations = cam.activations_and_grads.activations[0].numpy()
        cam.activations_and_grads.release()
        found = cam.get_cam_image(images, layer, wanted, activations, gradients, False)
    net.zero_grad(set_to_none=True)
    return torch.from_numpy(found)


def by_torchcam(kind, net, layer, images, targets):
    from torchcam import methods

    with getattr(methods, kind)(net, layer) as cam:
        (found,) = cam(targets.tolist(), net(images), normalized=False)
    return found.detach()


GRADIENT = {"hirescam": "HiResCAM", "layercam": "LayerCAM", "xgradcam": "XGradCAM"}


@pytest.mark.parametrize("method", GRADIENT)
@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer3"), ("lite0", "blocks.5")])
def test_gradient_cams_agree_with_grad_cam(method, name, layer):
    net, images, targets = zoo_net(name), images_for(name), torch.tensor([0, 3, 4])
    module = net.get_submodule(layer)
    found = regard.explain(net, images, targets, method, layer=layer)
    expected = by_grad_cam(GRADIENT[method], net, module, images, targets).clamp_min(0)
    assert difference(found, expected) < 1e-5


@pytest.mark.parametrize("method", GRADIENT)
@pytest.mark.parametrize("layer", ["bn2", "bn1"])
def test_gradient_cams_agree_with_grad_cam_on_photos(method, layer, trained, photos):
    targets = trained(photos).argmax(1)
    found = regard.explain(trained, photos, targets, method, layer=layer)
    module = trained.get_submodule(layer)
    expected = by_grad_cam(GRADIENT[method], trained, module, photos, targets).clamp_min(0)
    assert difference(found, expected) < 1e-5


@pytest.mark.parametrize("method", ["layercam", "xgradcam"])
def test_gradient_cams_agree_with_torchcam_on_photos(method, trained, photos):
    targets = trained(photos).argmax(1)
    found = regard.explain(trained, photos, targets, method, layer="bn2")
    expected = by_torchcam(GRADIENT[method], trained, trained.bn2, photos, targets).clamp_min(0)
    assert difference(found, expected) < 1e-5


def own_gradcampp(net, layer, images, targets, eps):
    """The formula with something added to the divisor, in float64."""
    seen = {}
    hook = layer.register_forward_hook(lambda _m, _i, out: seen.update(maps=out) or out.clone())
    logits = net(images)
    hook.remove()
    chosen = logits.gather(1, targets[:, None]).sum()
    gradient = torch.autograd.grad(chosen, seen["maps"])[0].double()
    maps = seen["maps"].detach().double()
    below = 2 * gradient**2 + gradient**3 * maps.sum((2, 3), keepdim=True) + eps
    alpha = torch.where(gradient != 0, gradient**2 / torch.where(below == 0, 1, below), 0)
    weights = (alpha * gradient.relu()).sum((2, 3))
    return torch.einsum("bk,bkhw->bhw", weights, maps).relu()


def test_gradcampp_differs_from_others_by_their_faults(trained, photos):
    targets = trained(photos).argmax(1)
    found = regard.explain(trained, photos, targets, "gradcampp", layer="bn2").double()
    here = (trained, trained.bn2, photos, targets)
    assert difference(found, own_gradcampp(*here, eps=0.0)) < 1e-5
    # grad-cam adds 1e-6 to the divisor, which is the size of g^2 itself.
    theirs = by_grad_cam("GradCAMPlusPlus", *here).clamp_min(0).double()
    assert difference(theirs, own_gradcampp(*here, eps=1e-6)) < 1e-5
    assert 0.005 < difference(stretched(found), stretched(theirs)) < 0.1
    # torchcam's division edits a copy: its alpha is g^2.
    theirs = by_torchcam("GradCAMpp", *here).clamp_min(0).double()
    assert 0.02 < difference(stretched(found), stretched(theirs)) < 0.4


@pytest.mark.parametrize("layer", ["layer4", "layer2"])
def test_eigencam_agrees_with_grad_cam_up_to_sign(layer):
    net, images = zoo_net("resnet18"), images_for("resnet18")
    found = regard.explain(net, images, 0, "eigencam", layer=layer, centre=True)
    expected = by_grad_cam("EigenCAM", net, net.get_submodule(layer), images, torch.zeros(3))
    for own, signed in zip(found, expected, strict=True):
        assert min(difference(own, signed.relu()), difference(own, (-signed).relu())) < 1e-5


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("cnn2", "features")])
def test_ablationcam_agrees_with_grad_cam_where_the_logit_is_positive(name, layer, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    net, images = zoo_net(name), images_for(name)
    with torch.no_grad():
        targets = net(images).argmax(1)
        assert bool((net(images).amax(1) > 0).all())
    found = regard.explain(net, images, targets, "ablationcam", layer=layer)
    module = net.get_submodule(layer)
    expected = by_grad_cam("AblationCAM", net, module, images, targets).clamp_min(0)
    assert difference(found, expected) < 1e-4  # both subtract nearly equal logits in float32


def test_ablationcam_s_closed_form_is_what_passes_give(monkeypatch):
    net, images = tiny().double(), pictures(dtype=torch.float64)
    quick = regard.explain(net, images, 1, "ablationcam", layer="after")
    monkeypatch.setattr("regard.saliency.watched.linear_head", lambda *_: None)
    for chunk in (1, 5, 100):
        slow = regard.explain(net, images, 1, "ablationcam", layer="after", chunk=chunk)
        assert difference(quick, slow) < 1e-10


@pytest.mark.parametrize(
    ("variant", "oracle"), [("grad-cam", by_grad_cam), ("torchcam", by_torchcam)]
)
def test_scorecam_variants_agree_with_their_libraries(variant, oracle, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    net, images, targets = zoo_net("cnn2-avg"), images_for("cnn2-avg"), torch.tensor([0, 3, 4])
    layer = net.get_submodule("features")
    found = regard.explain(net, images, targets, "scorecam", layer="features", variant=variant)
    expected = oracle("ScoreCAM", net, layer, images, targets).clamp_min(0)
    assert difference(stretched(found), stretched(expected)) < 1e-5


def test_scorecam_agrees_with_grad_cam_on_a_photo(trained, photos, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    small = nn.functional.interpolate(photos[:1], (64, 64), mode="bilinear")
    targets = trained(small).argmax(1)
    options = {"layer": "blocks.5", "variant": "grad-cam"}  # of 192 channels, not of 1,280
    found = regard.explain(trained, small, targets, "scorecam", **options)
    expected = by_grad_cam("ScoreCAM", trained, trained.blocks[5], small, targets).clamp_min(0)
    assert difference(stretched(found), stretched(expected)) < 1e-5


# Score-CAM's options ---------------------------------------------------------------------


def test_scorecam_of_the_most_varied_channels():
    net, images = positive(channels=12), pictures(3, 10, dtype=torch.float64)
    full = regard.explain(net, images, 0, "scorecam", layer="last")
    for n in (12, 13, 1000):
        assert torch.equal(regard.explain(net, images, 0, "scorecam", layer="last", max_n=n), full)
    few = regard.explain(net, images, 0, "scorecam", layer="last", max_n=3)
    maps = net.features(images).detach()
    for row, image in enumerate(images):
        spread = [float(channel.flatten().numpy().std()) for channel in maps[row]]
        chosen = sorted(range(12), key=lambda k: -spread[k])[:3]
        expected = slow_scorecam(net, image, 0, only=chosen)
        assert difference(few[row], expected) < 1e-9


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_scorecam_does_not_depend_on_the_chunk(chunk):
    net, images = zoo_net("resnet18"), images_for("resnet18", 2)
    options = {"max_n": 20, "layer": "layer4"}
    found = regard.explain(net, images, [1, 2], "scorecam", chunk=chunk, **options)
    assert difference(found, regard.explain(net, images, [1, 2], "scorecam", **options)) < 1e-5


def test_scorecam_in_bfloat16_is_near():
    net, images = zoo_net("resnet18"), images_for("resnet18", 2)
    exact = regard.explain(net, images, 1, "scorecam", max_n=64)
    for precision in ("bfloat16", "auto"):
        near = regard.explain(net, images, 1, "scorecam", max_n=64, precision=precision)
        assert near.dtype == torch.float32
        assert np.corrcoef(near.flatten(), exact.flatten())[0, 1] > 0.99


def test_scorecam_by_default_is_near_the_exact_one_on_a_photo(trained, photos):
    small = torch.nn.functional.interpolate(photos[:1], (64, 64), mode="bilinear")
    exact = regard.explain(trained, small, None, "scorecam", precision="float32")
    near = regard.explain(trained, small, None, "scorecam")
    assert float(torch.corrcoef(torch.stack([exact.flatten(), near.flatten()]))[0, 1]) > 0.99
    # To be compared with other code it is exact, and so it is where there is little to do.
    options = {"layer": "blocks.5", "max_n": 16}
    exact = regard.explain(trained, small, 0, "scorecam", precision="float32", **options)
    assert torch.equal(regard.explain(trained, small, 0, "scorecam", **options), exact)


def test_scorecam_runs_chunks_of_images_not_of_channels():
    net, images, seen = positive(channels=24), pictures(3, 10, dtype=torch.float64), []
    hook = net.register_forward_pre_hook(lambda _m, given: seen.append(len(given[0])))
    regard.explain(net, images, 0, "scorecam", layer="last", chunk=7)
    hook.remove()
    assert max(seen) == 7
    assert seen.count(7) >= (3 * 24 - 20) // 7


class Viewing(nn.Module):
    """Takes its features apart with `view`, which refuses channels that lie last."""

    def __init__(self, net):
        super().__init__()
        self.net, self.fc = net, nn.Linear(6 * 16, 3)

    def forward(self, images):
        maps = self.net.after(self.net.features(images))
        return self.fc(maps.view(len(maps), -1))


def test_scorecam_of_a_net_that_wants_contiguous_maps():
    net, images = Viewing(tiny(norm=True)).eval(), pictures()
    found = regard.explain(net, images, 0, "scorecam", layer="net.after")
    assert bool(found.any())
    exact = regard.explain(net.double(), images.double(), 0, "scorecam", layer="net.after")
    assert difference(found.double(), exact) < 1e-5


@pytest.mark.parametrize("options", [{"norm": True}, {"norm": True, "pool": "gem"}])
def test_folded_norms_change_nothing(options):
    net = tiny(**options)
    nn.init.uniform_(net.norm.running_mean), nn.init.uniform_(net.norm.running_var, 0.5, 2)
    images = pictures()
    found = regard.explain(net, images, 0, "scorecam", layer="after")
    exact = regard.explain(net.double(), images.double(), 0, "scorecam", layer="after")
    assert difference(found.double(), exact) < 1e-5


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("scorecam", {"max_n": 0}),
        ("scorecam", {"chunk": 0}),
        ("scorecam", {"variant": "papers"}),
        ("scorecam", {"precision": "float16"}),
        ("ablationcam", {"chunk": -1}),
    ],
)
def test_options_that_make_no_sense_are_refused(method, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        regard.explain(tiny(), pictures(), 0, method, **options)


def test_a_segmenter_s_probability_weights_the_author_s_variant():
    net, images = Segmenter().eval().double(), pictures(2, dtype=torch.float64)
    target = PixelTarget(1, torch.ones(2, 8, 8))
    maps = regard.explain(net, images, target, "scorecam", layer="features", variant="author")
    assert bool(maps.any())
    twice = PixelTarget(1, 2 * torch.ones(2, 8, 8))
    double = regard.explain(net, images, twice, "scorecam", layer="features", variant="author")
    torch.testing.assert_close(double, 2 * maps)


# Gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SLOW)
@pytest.mark.parametrize("dead", [False, True])
def test_maps_have_finite_parameter_gradients_that_are_not_zero(method, dead):
    """Also where the layer is dead and the logit's gradient zero: there they may be zero."""
    net, images = positive(pool="gem"), pictures(2, 10, dtype=torch.float64)
    if dead:
        nn.init.zeros_(net.net.classifier.weight)
        nn.init.zeros_(net.net.last.weight)
    maps = regard.explain(net, images, 1, method, layer="last", create_graph=True)
    parameters = list(net.parameters())
    found = torch.autograd.grad(maps.square().sum(), parameters, allow_unused=True)
    assert all(bool(g.isfinite().all()) for g in found if g is not None)
    assert dead or any(bool(g.any()) for g in found if g is not None)


def test_the_gradient_of_eigencam_is_that_of_differences():
    net, images = positive(), pictures(2, 10, dtype=torch.float64)
    weight = net.net.stem.weight

    def loss(graph=False, **options):
        return (
            regard.explain(net, images, 0, "eigencam", layer="last", create_graph=graph, **options)
            .pow(2)
            .sum()
        )

    for options in ({}, {"centre": True}):
        (gradient,) = torch.autograd.grad(loss(True, **options), weight)
        step = 1e-6
        with torch.no_grad():
            for place in [(0, 0, 0, 0), (1, 2, 1, 1), (3, 1, 2, 0)]:
                weight[place] += step
                up = float(loss(**options))
                weight[place] -= 2 * step
                down = float(loss(**options))
                weight[place] += step
                slope = (up - down) / (2 * step)
                assert abs(slope - float(gradient[place])) < 1e-5 * max(1, abs(slope))


class Shared(nn.Module):
    """One module after every convolution, all of which reach the head."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.hidden, self.last = nn.ReLU(), nn.Linear(12, 6), nn.Linear(6, 3)

    def head(self, first, second):
        pooled = torch.cat([first, second], 1).mean((2, 3))
        return self.last(torch.tanh(self.hidden(pooled)))

    def forward(self, images):
        first = self.relu(self.one(images))
        return self.head(first, self.relu(self.two(first)))


def test_ablationcam_of_a_module_that_is_called_twice_changes_its_last_call():
    torch.manual_seed(0)
    net, images = Shared().double().eval(), pictures(2, dtype=torch.float64)
    found = regard.explain(net, images, 1, "ablationcam", layer="relu")
    with torch.no_grad():
        first = net.relu(net.one(images))
        second = net.relu(net.two(first))
        whole = net.head(first, second)[:, 1]
        expected = torch.zeros_like(found)
        for channel in range(6):
            without = second.clone()
            without[:, channel] = 0
            fall = (whole - net.head(first, without)[:, 1]) / whole.abs()
            expected += fall[:, None, None] * second[:, channel]
    torch.testing.assert_close(found, expected.clamp_min(0))
