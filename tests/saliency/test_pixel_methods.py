"""Methods of pixels against captum, against their formulas written plainly, and their sums."""

import copy
import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.errors import ConfigError
from regard.saliency.rectifiers import GuidedRectifiers
from smallnets import images_for, pictures, tiny, zoo_net


def difference(found, expected):
    """The largest difference, as a share of the largest value."""
    assert found.shape == expected.shape
    assert bool(expected.any())
    return float((found - expected).abs().max().detach() / expected.abs().max().detach())


def gradient(net, image, target):
    """The gradient (3, H, W) of one logit, by central differences in float64."""
    with torch.no_grad():
        found, step = torch.zeros_like(image), 1e-5
        for place in np.ndindex(*image.shape):
            up, down = image.clone(), image.clone()
            up[place] += step
            down[place] -= step
            rise = net(up[None])[0, target] - net(down[None])[0, target]
            found[place] = rise / (2 * step)
    return found


@pytest.fixture
def net():
    return tiny(between=nn.Tanh()).double()


@pytest.fixture
def images():
    return pictures(2, dtype=torch.float64)


TARGETS = [2, 0]


# The formulas, with loops and without autograd -------------------------------------------


def test_saliency_and_input_x_gradient_are_their_formulas(net, images):
    slow = torch.stack([gradient(net, *pair) for pair in zip(images, TARGETS, strict=True)])
    found = regard.explain(net, images, TARGETS, "saliency")
    assert difference(found, slow.abs().max(1).values) < 1e-7
    found = regard.explain(net, images, TARGETS, "input_x_gradient")
    assert difference(found, (images * slow).sum(1)) < 1e-7


class Laid(nn.Module):
    """A batch norm whose input and gradient lie in memory as asked."""

    def __init__(self, given, passed):
        super().__init__()
        self.given, self.passed = given, passed
        self.norm, self.classifier = nn.BatchNorm2d(3), nn.Linear(3 * 64, 3)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)
        nn.init.uniform_(self.norm.weight, 0.5, 2)

    def forward(self, images):
        maps = self.passed(self.norm(self.given(images)))
        return self.classifier(maps.flatten(1).sin())


def _as_tokens(maps):
    """The same values, with the strides of tokens laid out as a map."""
    return maps.flatten(2).transpose(1, 2).contiguous().transpose(1, 2).unflatten(2, maps.shape[2:])


LAID = {
    "plain": torch.Tensor.contiguous,
    "channels last": lambda maps: maps.contiguous(memory_format=torch.channels_last),
    "tokens": _as_tokens,
    # In the backward pass it is the gradient that gets them.
    "of tokens": lambda maps: (
        maps.flatten(2).transpose(1, 2).sin().transpose(1, 2).unflatten(2, (8, 8))
    ),
}


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(("given", "passed"), list(product(LAID, LAID)))
def test_a_batch_norm_of_one_image_passes_the_right_gradient_on(given, passed, graph):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Laid(LAID[given], LAID[passed]).double().eval()
    images = pictures(1, dtype=torch.float64)
    slow = (images * gradient(net, images[0], 1)).sum(1)
    found = regard.explain(net, images, 1, "input_x_gradient", create_graph=graph)
    assert difference(found, slow) < 1e-6


@pytest.mark.parametrize("baseline", [0.0, 0.7, "image"])
def test_integrated_gradients_are_their_formula(net, images, baseline):
    start = torch.full_like(images, baseline) if baseline != "image" else pictures(1).double()
    start = start.expand_as(images)
    places, weights = np.polynomial.legendre.leggauss(3)
    expected = []
    for image, base, target in zip(images, start, TARGETS, strict=True):
        total = torch.zeros_like(image)
        for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
            total += weight * gradient(net, base + place * (image - base), target)
        expected.append(((image - base) * total).sum(0))
    given = baseline if baseline != "image" else start[:1]
    found = regard.explain(
        net, images, TARGETS, "integrated_gradients", steps=3, baseline=given, tolerance=None
    )
    assert difference(found, torch.stack(expected)) < 1e-7


def test_smoothgrad_is_its_formula(net, images):
    generator = torch.Generator().manual_seed(3)
    noise = [torch.randn(3, 8, 8, generator=generator).double() for _ in range(2)]
    expected = []
    for image, target in zip(images, TARGETS, strict=True):
        spread = 0.2 * (image.max() - image.min())
        maps = [gradient(net, image + spread * n, target).abs().max(0).values for n in noise]
        expected.append(sum(maps) / 2)
    found = regard.explain(net, images, TARGETS, "smoothgrad", samples=2, sigma=0.2, seed=3)
    assert difference(found, torch.stack(expected)) < 1e-7


@pytest.mark.parametrize("base", ["gradcam", "cam", "input_x_gradient", "occlusion"])
def test_smoothgrad_without_noise_is_its_base(base):
    net, images = tiny(), pictures()
    options = {"window": 3, "stride": 2} if base == "occlusion" else {}
    found = regard.explain(
        net, images, 1, "smoothgrad", base=base, samples=3, sigma=0.0, layer="after", **options
    )
    expected = regard.explain(net, images, 1, base, layer="after", **options)
    torch.testing.assert_close(found, expected)


def test_expected_gradients_are_their_formula(net, images):
    background = pictures(5, seed=9).double()
    generator = torch.Generator().manual_seed(7)
    picks = torch.randint(5, (3,), generator=generator)
    places = torch.rand(3, generator=generator).double()
    expected = []
    for image, target in zip(images, TARGETS, strict=True):
        total = torch.zeros_like(image)
        for pick, place in zip(picks, places, strict=True):
            way = image - background[pick]
            total += way * gradient(net, background[pick] + place * way, target) / 3
        expected.append(total.sum(0))
    found = regard.explain(
        net, images, TARGETS, "expected_gradients", background=background, samples=3, seed=7
    )
    assert difference(found, torch.stack(expected)) < 1e-7


@pytest.mark.parametrize(("window", "stride"), [(3, 2), (4, 4), (5, 1), (20, 20)])
def test_occlusion_is_its_formula(net, images, window, stride):
    expected = torch.zeros(2, 8, 8).double()
    with torch.no_grad():
        for b, (image, target) in enumerate(zip(images, TARGETS, strict=True)):
            y, count = net(image[None])[0, target], torch.zeros(8, 8)
            tops = [t for t in range(0, 8, stride) if t == 0 or t - stride + window < 8]
            for top in tops:
                for left in tops:
                    covered = image.clone()
                    covered[:, top : top + window, left : left + window] = 0.5
                    fall = y - net(covered[None])[0, target]
                    expected[b, top : top + window, left : left + window] += fall
                    count[top : top + window, left : left + window] += 1
            assert bool((count > 0).all())
            expected[b] /= count
    found = regard.explain(
        net, images, TARGETS, "occlusion", window=window, stride=stride, value=0.5
    )
    assert difference(found, expected) < 1e-10


def test_occlusion_of_a_net_that_works_in_place_on_its_input(images):
    class InPlace(nn.Module):
        def forward(self, images):
            return images.add_(1).square_().sum((2, 3))

    class Apart(nn.Module):
        def forward(self, images):
            return images.add(1).square().sum((2, 3))

    found, expected = (
        regard.explain(kind().eval(), images, TARGETS, "occlusion", window=4, stride=4)
        for kind in (InPlace, Apart)
    )
    torch.testing.assert_close(found, expected)


def test_rise_is_its_formula(net, images):
    generator = torch.Generator().manual_seed(2)
    expected = torch.zeros(2, 8, 8).double()
    for _ in range(5):
        cells = (torch.rand(3, 3, generator=generator) < 0.4).float()
        # Three cells of 3 pixels, and one more to move within.
        large = F.interpolate(cells[None, None], (12, 12), mode="bilinear")[0, 0]
        top, left = (int(torch.randint(3, (), generator=generator)) for _ in range(2))
        mask = large[top : top + 8, left : left + 8].double()
        with torch.no_grad():
            scores = net(images * mask).softmax(1)
        for b, target in enumerate(TARGETS):
            expected[b] += scores[b, target] * mask / (5 * 0.4)
    found = regard.explain(net, images, TARGETS, "rise", masks=5, grid=3, probability=0.4, seed=2)
    assert difference(found, expected) < 1e-10


# Guided backpropagation ------------------------------------------------------------------

ACTIVATIONS = {
    "relu": (F.relu, lambda x: (x > 0) * 1.0),
    "relu6": (F.relu6, lambda x: ((x > 0) & (x < 6)) * 1.0),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), lambda x: (x > 0) * 0.9 + 0.1),
    "elu": (F.elu, lambda x: torch.where(x > 0, 1.0, x.exp())),
    "gelu": (
        F.gelu,
        lambda x: 0.5 * (1 + torch.erf(x / 2**0.5)) + x * torch.exp(-x * x / 2) / math.tau**0.5,
    ),
    "silu": (F.silu, lambda x: x.sigmoid() * (1 + x * (1 - x.sigmoid()))),
    "hardswish": (
        F.hardswish,
        lambda x: torch.where(x <= -3, 0.0, torch.where(x >= 3, 1.0, (2 * x + 3) / 6)),
    ),
}
MODULES = {
    "relu": (nn.ReLU(), nn.ReLU(inplace=True)),
    "relu6": (nn.ReLU6(), nn.ReLU6(inplace=True)),
    "leaky_relu": (nn.LeakyReLU(0.1), nn.LeakyReLU(0.1, inplace=True)),
    "elu": (nn.ELU(), nn.ELU(inplace=True)),
    "gelu": (nn.GELU(),),
    "silu": (nn.SiLU(), nn.SiLU(inplace=True)),
    "hardswish": (nn.Hardswish(), nn.Hardswish(inplace=True)),
}


class Lambda(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, maps):
        return self.call(maps)


def forgetful(maps):
    """Works in place and makes no use of the answer."""
    maps.relu_()
    return maps


CALLS = [
    *((kind, module) for kind, modules in MODULES.items() for module in modules),
    *((kind, Lambda(ACTIVATIONS[kind][0])) for kind in ACTIVATIONS),
    *(("relu", Lambda(call)) for call in (torch.relu, torch.Tensor.relu, F.relu_, forgetful)),
    ("relu", Lambda(lambda maps: F.relu(input=maps, inplace=True))),
]


def slow_guided(net, image, target, slope):
    """Layer by layer: a strided convolution, two activations around another, pooling, a head."""
    with torch.no_grad():
        first = net.stem(image[None])
        second = net.last(first.relu())
        g = net.classifier.weight[target][None, :, None, None] / second[0, 0].numel()
        g = g.expand_as(second)
        g = torch.where((g > 0) & (second > 0), g * slope(second), 0)
        g = F.conv_transpose2d(g, net.last.weight, padding=1)
        g = torch.where((g > 0) & (first > 0), g, 0)
        return F.conv_transpose2d(g, net.stem.weight, stride=2, padding=1, output_padding=1)[0]


@pytest.mark.parametrize(("kind", "module"), CALLS)
def test_guided_backprop_is_its_formula_for_every_rectifier(kind, module, images):
    net = tiny(after=module).double()
    slope = ACTIVATIONS[kind][1]
    expected = torch.stack(
        [slow_guided(net, *pair, slope) for pair in zip(images, TARGETS, strict=True)]
    )
    found = regard.explain(net, images, TARGETS, "guided_backprop", layer="last")
    assert difference(found, expected.sum(1)) < 1e-12
    cam = regard.explain(net, images, TARGETS, "gradcam", layer="last", size=(8, 8))
    found = regard.explain(net, images, TARGETS, "guided_gradcam", layer="last")
    if bool(cam.any()):
        assert difference(found, (expected * cam[:, None]).sum(1)) < 1e-12


@pytest.mark.parametrize("name", ["lite0", "mobilenetv3", "resnet18", "convnext", "hf-vit"])
def test_guided_rectifiers_do_not_change_the_outputs(name):
    net, images = zoo_net(name), images_for(name)
    plain = net(images)
    with GuidedRectifiers():
        guided = net(images)
    plain, guided = (getattr(each, "logits", each) for each in (plain, guided))
    assert guided.equal(plain)


def test_guided_gradients_have_the_gradients_of_their_formula():
    net, images = tiny(after=nn.GELU()).double(), pictures(2, dtype=torch.float64)
    maps = regard.explain(net, images, TARGETS, "guided_backprop", create_graph=True)
    (found,) = torch.autograd.grad(maps.square().sum(), net.last.weight)
    step, place = 1e-6, (2, 1, 0, 2)
    losses = []
    for sign in (1, -1):
        moved = copy.deepcopy(net)
        with torch.no_grad():
            moved.last.weight[place] += sign * step
        maps = regard.explain(moved, images, TARGETS, "guided_backprop")
        losses.append(float(maps.square().sum()))
    assert abs(float(found[place]) - (losses[0] - losses[1]) / (2 * step)) < 1e-6 * float(
        found.abs().max()
    )


# Sums ------------------------------------------------------------------------------------


def gap(net, images, targets, baseline, **options):
    """What is missing from the sum of each map, as a share of its rise or of 0.1."""
    rows = torch.arange(len(images))
    with torch.no_grad():
        rise = (net(images) - net(torch.zeros_like(images) + baseline))[rows, targets]
    maps = regard.explain(
        net, images, targets, "integrated_gradients", baseline=baseline, **options
    )
    return (maps.sum((1, 2)) - rise).abs() / rise.abs().clamp_min(0.1)


# A fresh ConvNeXt jumps at the image of zeros, which is no baseline for it.
@pytest.mark.parametrize(
    ("name", "baseline"),
    [
        *((n, b) for n in ("vit", "swin", "resnet18", "cnn2") for b in (0.0, 0.3)),
        ("lite0", 0.0),
        pytest.param("lite0", 0.3, marks=pytest.mark.torture),
        ("convnext", 0.3),
    ],
)
def test_integrated_gradients_sum_to_the_difference_of_the_logits(name, baseline):
    net, images = zoo_net(name), images_for(name)
    for target in range(2):
        targets = torch.full((len(images),), target)
        assert float(gap(net, images, targets, baseline).max()) < 0.01


@pytest.mark.torture
def test_integrated_gradients_of_photos_sum_to_the_difference_of_the_logits(trained, photos):
    photos = torch.nn.functional.interpolate(photos[:1], (128, 128), mode="bilinear")
    with torch.no_grad():
        targets = trained(photos).argmax(1)
    assert float(gap(trained, photos, targets, 0.0).max()) < 0.01
    # One rule for all misses by far more, so the nodes were put where they are needed.
    assert float(gap(trained, photos, targets, 0.0, tolerance=None).max()) > 0.05


def jumping():
    """A net whose logits jump on the way from 0 to the image."""

    class Jump(torch.nn.Module):
        def forward(self, images):
            sums = images.sum((1, 2, 3))
            return torch.stack((sums, sums + 1000 * (sums > 5)), 1)

    return Jump().eval()


def test_a_sum_that_cannot_be_got_right_is_warned_of():
    images = torch.full((1, 3, 8, 8), 0.1)
    with pytest.warns(UserWarning, match=r"y\(x\) - y\(b\) = 1019, found 19.2"):
        regard.explain(jumping(), images, 1, "integrated_gradients")


def test_a_gap_in_what_the_net_answers_ends_the_search():
    class Gap(torch.nn.Module):
        def forward(self, images):
            sums = images.sum((1, 2, 3))
            jump = sums + 1000 * (sums > 5)
            return torch.where((sums - 5).abs() < 1e-3, torch.nan, jump)[:, None]

    images = torch.full((1, 3, 8, 8), 0.1)
    with pytest.warns(UserWarning, match="found 19.2"):
        regard.explain(Gap().eval(), images, 0, "integrated_gradients")


def test_integrated_gradients_in_a_loss_are_those_outside(net, images):
    options = {"steps": 2, "tolerance": 0.001}
    plain = regard.explain(net, images, TARGETS, "integrated_gradients", **options)
    graph = regard.explain(
        net, images, TARGETS, "integrated_gradients", create_graph=True, **options
    )
    assert graph.requires_grad
    assert difference(graph.detach(), plain) < 1e-6
    rough = regard.explain(net, images, TARGETS, "integrated_gradients", steps=2, tolerance=None)
    assert difference(rough, plain) > 1e-4


@pytest.mark.parametrize("name", ["resnet18", "vit"])
def test_expected_gradients_sum_to_the_mean_difference_of_the_logits(name):
    net, images, background = zoo_net(name), images_for(name), images_for(name, 8, seed=4)
    with torch.no_grad():
        falls = net(images) - net(background).mean(0)
    target = int(falls.abs().amax(0).argmax())  # the class that the images change most
    expected = falls[:, target]
    # Each seed is one estimate of 16 draws.
    sums = torch.stack(
        [
            regard.explain(
                net,
                images,
                target,
                "expected_gradients",
                background=background,
                samples=16,
                seed=seed,
            ).sum((1, 2))
            for seed in range(12)
        ]
    )
    error = sums.std(0) / 12**0.5
    assert bool(((sums.mean(0) - expected).abs() <= (3 * error).clamp_min(1e-6)).all())
    assert bool((error < 0.3 * expected.abs().max()).all())


# Other libraries -------------------------------------------------------------------------


def by_captum(method, net, images, targets):
    """The same by captum, (B, 3, H, W)."""
    from captum import attr

    side, images = images.shape[-1], images.clone().requires_grad_()
    match method:
        case "saliency":
            return attr.Saliency(net).attribute(images, targets)
        case "input_x_gradient":
            return attr.InputXGradient(net).attribute(images, targets)
        case "integrated_gradients":
            return attr.IntegratedGradients(net).attribute(
                images, 0.2, targets, n_steps=6, method="gausslegendre", internal_batch_size=8
            )
        case "occlusion":
            shape, strides = (3, side // 3, side // 3), (3, side // 4, side // 4)
            return attr.Occlusion(net).attribute(images, shape, strides, 0.1, targets)


LIKE_CAPTUM = {
    "saliency": lambda side: {},
    "input_x_gradient": lambda side: {},
    "integrated_gradients": lambda side: {"steps": 6, "baseline": 0.2, "tolerance": None},
    "occlusion": lambda side: {"window": side // 3, "stride": side // 4, "value": 0.1},
}


def compare(method, net, images, targets):
    expected = by_captum(method, net, images, targets).detach()
    colours = {"saliency": lambda e: e.amax(1), "occlusion": lambda e: e[:, 0]}
    expected = colours.get(method, lambda e: e.sum(1))(expected)
    found = regard.explain(net, images, targets, method, **LIKE_CAPTUM[method](images.shape[-1]))
    assert difference(found, expected.to(found)) < 1e-4


MANY = ("integrated_gradients", "occlusion")


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(
            *pair, marks=pytest.mark.torture if pair[0] == "lite0" and pair[1] in MANY else ()
        )
        for pair in product(["resnet18", "lite0", "convnext", "vit"], LIKE_CAPTUM)
    ],
)
def test_methods_agree_with_captum(method, name):
    # In float64: captum's batches are others, and rounding would be all that is compared.
    net, images = copy.deepcopy(zoo_net(name)).double(), images_for(name).double()
    compare(method, net, images, torch.tensor([0, 3, 4]))


@pytest.mark.parametrize("method", LIKE_CAPTUM)
def test_methods_agree_with_captum_on_photos(method, trained, photos):
    photos = photos[:1] if method in MANY else photos
    compare(method, trained, photos, trained(photos).argmax(1))


@pytest.mark.parametrize("name", ["resnet18", "vgg", "densenet"])
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_guided_methods_agree_with_captum(name):
    from captum.attr import GuidedBackprop, GuidedGradCam

    net, images = copy.deepcopy(zoo_net(name)).double(), images_for(name).double()
    targets = torch.tensor([0, 3, 4])
    layer = regard.saliency.find_layer(net, images).name
    own = copy.deepcopy(net)
    given = images.clone().requires_grad_()
    expected = GuidedBackprop(own).attribute(given, targets).sum(1)
    assert difference(regard.explain(net, images, targets, "guided_backprop"), expected) < 1e-9
    expected = GuidedGradCam(own, own.get_submodule(layer)).attribute(
        given, targets, interpolate_mode="bilinear"
    )
    found = regard.explain(net, images, targets, "guided_gradcam", layer=layer)
    assert difference(found, expected.sum(1)) < 1e-9


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_guided_backprop_agrees_with_captum_on_photos(trained, photos):
    """Captum knows nn.ReLU alone: lite0's real weights with ReLUs in place of its ReLU6s."""
    from captum.attr import GuidedBackprop

    net = copy.deepcopy(trained)
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU())
    targets = trained(photos).argmax(1)
    given = photos.clone().requires_grad_()
    expected = GuidedBackprop(copy.deepcopy(net)).attribute(given, targets).sum(1).detach()
    assert difference(regard.explain(net, photos, targets, "guided_backprop"), expected) < 1e-4


def test_expected_gradients_estimate_what_captum_s_gradient_shap_does():
    from captum.attr import GradientShap

    net, images = tiny(between=nn.Tanh()), pictures(2)
    background = pictures(6, seed=9)
    targets = torch.tensor(TARGETS)
    theirs, ours = [], []
    for seed in range(12):
        torch.manual_seed(seed)
        theirs.append(
            GradientShap(net).attribute(images, background, n_samples=64, target=targets).sum(1)
        )
        ours.append(
            regard.explain(
                net, images, targets, "expected_gradients", background=background, seed=seed
            )
        )
    theirs, ours = torch.stack(theirs).detach(), torch.stack(ours)
    error = ((theirs.var(0) + ours.var(0)) / 12).sqrt()
    apart = (theirs.mean(0) - ours.mean(0)).abs() / error.clamp_min(1e-7)
    # 128 pixels: in units of their standard errors as far apart as chance has it.
    assert float(apart.square().mean().sqrt()) < 1.5
    assert float((apart <= 3).float().mean()) > 0.95


# Options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "options", "found"),
    [
        ("integrated_gradients", {"steps": 0}, "steps of 1 or more, found 0"),
        ("integrated_gradients", {"tolerance": 1.0}, "a tolerance between 0 and 1"),
        ("smoothgrad", {"samples": 0}, "samples of 1 or more"),
        ("smoothgrad", {"base": "salience"}, "did you mean saliency"),
        ("smoothgrad", {"base": "gradcam", "steps": 3}, "method smoothgrad: expected its own opt"),
        ("occlusion", {"window": 3, "stride": 4}, "every pixel is covered"),
        ("rise", {"probability": 0.0}, "probability above 0"),
        ("rise", {"masks": 0}, "masks of 1 or more"),
        ("expected_gradients", {}, "background"),
        ("expected_gradients", {"background": torch.rand(2, 3, 4, 4)}, "(N, 3, 8, 8)"),
        ("expected_gradients", {"background": torch.rand(0, 3, 8, 8)}, "background of 1 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(method, options, found):
    with pytest.raises(ConfigError) as error:
        regard.explain(tiny(), pictures(), 0, method, **options)
    assert found in str(error.value)


@pytest.mark.parametrize("method", ["smoothgrad", "expected_gradients", "rise"])
def test_draws_are_those_of_the_seed_alone(method):
    net, images = tiny(), pictures(2)
    options = {"background": pictures(5)} if method == "expected_gradients" else {}
    few = {"rise": "masks"}.get(method, "samples")
    first = regard.explain(net, images, 0, method, **{few: 4}, **options)
    torch.manual_seed(99)
    assert regard.explain(net, images, 0, method, **{few: 4}, **options).equal(first)
    assert not regard.explain(net, images, 0, method, **{few: 4}, seed=1, **options).equal(first)


def test_occlusion_of_what_is_there_already_changes_nothing():
    """A blank image's map is dead, though a net's answers hang on the batch by rounding."""

    class Rounding(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = tiny(between=nn.Tanh())

        def forward(self, images):
            return self.net(images) * (1 + 1e-6 * len(images))

    net = Rounding().eval()
    images = pictures(3, side=16)
    images[1] = 0
    for part in (images, images[1:2], images[1:]):
        maps = regard.explain(net, part, 1, "occlusion", window=4, stride=3)
        blank = (part == 0).flatten(1).all(1)
        assert not maps[blank].any()
        assert bool(maps[~blank].flatten(1).any(1).all())


@pytest.mark.parametrize(
    ("base", "option"), [("integrated_gradients", "baseline"), ("occlusion", "value")]
)
def test_smoothgrad_of_a_base_with_something_of_each_image(base, option):
    net, images = tiny(between=nn.Tanh()), pictures(2)
    each = pictures(2, seed=9)
    how = {"base": base, "samples": 3}
    found = regard.explain(net, images, TARGETS, "smoothgrad", **how, **{option: each})
    single = [
        regard.explain(net, images[[i]], TARGETS[i], "smoothgrad", **how, **{option: each[[i]]})
        for i in range(2)
    ]
    assert difference(found, torch.cat(single)) < 1e-4
