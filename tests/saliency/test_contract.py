"""What every method promises, tried on every kind of net."""

import copy
from itertools import product

import numpy as np
import pytest
import timm
import torch
from torch import nn

import regard
from regard.errors import ConfigError, DataError, ModelError, TargetError
from regard.saliency import METHODS, find_layer
from smallnets import (
    CLASSES,
    ZOO,
    Attending,
    Segmenter,
    Tiny,
    TwoViews,
    WithLogits,
    Wrapped,
    attending,
    explain,
    images_for,
    pictures,
    tiny,
    untouched,
    zoo_net,
)

# Methods that need a certain ending of the net, or tokens that all attend to each other, and
# the nets of the zoo that have it.
LINEAR = {"cnn2-avg", "resnet18", "lite0", "densenet", "swin", "mixer"}
GLOBAL = {"vit", "vit-avg", "deit", "registers", "hf-vit"}
FOLLOWED = {"rollout", "gradient_rollout", "chefer"}
OF_HEADS = {"cam"}
OF_ATTENTION = {m for m in METHODS if "attention" in METHODS[m].needs}
ONLY = {m: LINEAR for m in sorted(OF_HEADS)} | {
    m: GLOBAL | ({"crossvit"} if m in FOLLOWED else set()) for m in sorted(OF_ATTENTION)
}
OF_LAYERS = [m for m in METHODS if "layer" in METHODS[m].needs]
OF_PIXELS = {m for m in METHODS if METHODS[m].of_pixels}
# Those that follow the gradient down to the pixels, and those that need none.
UNGRADED = {"occlusion", "rise"}
TO_PIXELS = sorted(OF_PIXELS - UNGRADED)
UNTARGETED = {m for m in METHODS if not METHODS[m].targeted}
# Attention below a dead layer is not dead, and a constant score still weights RISE's masks.
NEVER_ZERO = {"attention", "rollout", "rise"}
# Gates, or differences of nearly equal logits, turn rounding into more than it was.
ROUGH = {
    *("guided_backprop", "guided_gradcam", "occlusion"),
    *("ablationcam", "scorecam", "xgradcam"),
}
PAIRS = [(m, n) for m in METHODS for n in ZOO if n in ONLY.get(m, ZOO)]
REFUSED = [(m, n) for m, nets in ONLY.items() for n in ZOO if n not in nets]
DIFFERENTIABLE = [m for m in METHODS if METHODS[m].differentiable]
# Takes seconds: a layer of 1,024 channels.
LONG = {("ablationcam", "mobilenetv3")}
# Methods that ask the net many times.
DEAR = {m for m in METHODS if METHODS[m].extra_forwards}
# Maps whose scale is one over the logit.
BY_LOGIT = {"ablationcam"}


def in_turn(pairs):
    """Pairs of method and net: the quick tests try each method on every tenth of its nets."""
    methods, nets = list(METHODS), list(ZOO)
    turns = ((methods.index(method) + nets.index(name)) % 10 for method, name in pairs)
    quick = [not turn and pair not in LONG for turn, pair in zip(turns, pairs, strict=True)]
    return quickly(pairs, quick)


def quickly(pairs, quick):
    """Of these pairs some are for the quick tests."""
    return [
        pytest.param(*pair, marks=() if now else pytest.mark.torture)
        for pair, now in zip(pairs, quick, strict=True)
    ]


on_each = pytest.mark.parametrize(("method", "name"), in_turn(PAIRS))
each_method = pytest.mark.parametrize("method", list(METHODS))
each_of_layers = pytest.mark.parametrize("method", OF_LAYERS)
# Those that read a layer wherever it lies below the head.
each_of_any_head = pytest.mark.parametrize("method", [m for m in OF_LAYERS if m not in OF_HEADS])


def subject(method, name, count=3):
    """A net of the zoo and images, in the precision that a method's maps are compared in."""
    net, images = zoo_net(name), images_for(name, count)
    return (copy.deepcopy(net).double(), images.double()) if method in ROUGH else (net, images)


def close(actual, expected, rtol=1e-5):
    """Equal to within a share of the largest value."""
    assert actual.shape == expected.shape
    scale = float(expected.abs().max())
    assert float((actual - expected).abs().max()) <= rtol * scale


def small(method, **options):
    """A small net that the method reads."""
    return (attending if method in OF_ATTENTION else tiny)(**options)


class Breaks(nn.Module):
    """Raises once it has been reached."""

    def forward(self, maps):
        raise FloatingPointError("broken on purpose")


# Shapes and values -----------------------------------------------------------------------


@on_each
def test_maps_have_the_layer_s_grid_and_are_finite(method, name):
    net, images = zoo_net(name), images_for(name)
    alive = False
    # The contrast is positive for some class, also where all logits are negative.
    for target, contrast in product(range(CLASSES), (False, True)):
        if alive and METHODS[method].extra_forwards:
            break
        maps = explain(net, images, [target] * 3, method, contrast=contrast)
        assert maps.shape[0] == 3
        assert maps.shape[1:] == (images.shape[2:] if method in OF_PIXELS else _grid(net, images))
        assert maps.dtype == torch.float32
        assert not maps.requires_grad
        assert bool(maps.isfinite().all())
        assert METHODS[method].signed or bool((maps >= 0).all())
        alive = alive or bool((maps > 0).any())
    assert alive, "all maps of all classes are zero, so nothing was tested"


def _grid(net, images):
    return find_layer(net, images).layout.grid


# The layer that has to be found, how it lies, and the tokens before the patches.
FOUND = {
    "cnn1": ("features", "map", 0),
    "resnet18": ("layer4", "map", 0),
    "lite0": ("bn2", "map", 0),
    "vit": ("blocks.1.norm1", "tokens", 1),
    "vit-avg": ("blocks", "tokens", 1),
    "deit": ("blocks.1.norm1", "tokens", 2),
    "registers": ("blocks.1.norm1", "tokens", 5),
    "swin": ("norm", "channels last", 0),
    "mixer": ("norm", "tokens", 0),
    "crossvit": ("blocks.0.fusion.1.norm1", "tokens", 1),
    "hf-vit": ("vit.layers.1.layernorm_before", "tokens", 1),
    "hf-cvt": ("cvt.encoder.stages.2.layers.2.layernorm_before", "tokens", 1),
    "hf-convnextv2": ("convnextv2.encoder.stages.3", "map", 0),
}


@pytest.mark.parametrize("name", list(FOUND))
def test_the_layer_that_is_found(name):
    found = find_layer(zoo_net(name), images_for(name, 1))
    assert (found.name, found.layout.kind, found.layout.prefix) == FOUND[name]


def test_a_head_before_training_does_not_change_which_layer_is_found():
    net = timm.create_model("mixer_s32_224", num_classes=3, img_size=128)
    assert not net.head.weight.any()
    assert find_layer(net, torch.rand(1, 3, 128, 128)).name == "norm"


@on_each
def test_a_batch_gives_what_single_images_give(method, name):
    net, images = subject(method, name)
    targets = torch.tensor([0, 2, 4])
    batch = explain(net, images, targets, method)
    single = [explain(net, images[i : i + 1], targets[i : i + 1], method)[0] for i in range(3)]
    close(batch, torch.stack(single))


@on_each
def test_everything_is_left_as_it_was(method, name):
    net, images = zoo_net(name), images_for(name, 2)
    with untouched(net, images):
        explain(net, images, None, method)


@pytest.mark.parametrize(("method", "name"), REFUSED)
def test_a_net_without_the_ending_that_a_method_needs_is_refused(method, name):
    net, images = zoo_net(name), images_for(name, 1)
    with untouched(net, images), pytest.raises(ModelError, match="use method gradcam"):
        explain(net, images, [0], method)


def test_methods_say_that_they_follow_gradients_to_the_pixels():
    assert sorted(m for m in METHODS if METHODS[m].to_pixels) == TO_PIXELS


@each_method
def test_each_image_is_explained_for_its_own_target(method):
    net, images = small(method), pictures(3)
    together = explain(net, images, [2, 0, 1], method)
    for row, target in enumerate([2, 0, 1]):
        alone = explain(net, images, target, method)
        close(together[row], alone[row])
    other = explain(net, images, [0, 1, 2], method)
    assert torch.allclose(together, other) == (method in UNTARGETED)


@each_method
def test_no_targets_means_the_predicted_class(method):
    net, images = small(method), pictures()
    with torch.no_grad():
        net.classifier.bias -= net(images).mean(0)
        predicted = net(images).argmax(1)
    assert len(predicted.unique()) > 1
    maps = explain(net, images, None, method)
    torch.testing.assert_close(maps, explain(net, images, predicted, method))


@each_method
@pytest.mark.parametrize(
    "same", [[1, 0, 2, 1], (1, 0, 2, 1), np.array([1, 0, 2, 1]), torch.tensor([1, 0, 2, 1]).int()]
)
def test_targets_may_be_any_integers(method, same):
    net, images = small(method), pictures()
    if isinstance(same, np.ndarray):
        same = torch.from_numpy(same)
    expected = explain(net, images, torch.tensor([1, 0, 2, 1]), method)
    torch.testing.assert_close(explain(net, images, same, method), expected)


@each_method
def test_an_all_zero_image_gives_a_finite_map(method):
    net, images = small(method), pictures(2)
    images[1] = 0
    for target in range(3):
        maps = explain(net, images, target, method)
        assert bool(maps.isfinite().all())
    dead = small(method, after=nn.Threshold(1e9, 0))
    maps = explain(dead, images, 0, method, layer=dead.after)
    assert bool((maps == 0).all()) != (method in NEVER_ZERO)


@each_method
def test_double_precision_is_kept(method):
    net, images = small(method).double(), pictures(dtype=torch.float64)
    maps = explain(net, images, 1, method)
    assert maps.dtype == torch.float64
    close(maps.float(), explain(small(method), images.float(), 1, method))


HALVED = [
    (m, n) for m in METHODS for n in (("vit",) if m in OF_ATTENTION else ("cnn2-avg", "resnet18"))
]


@pytest.mark.parametrize(
    ("method", "name"), quickly(HALVED, [n != "resnet18" or m not in DEAR for m, n in HALVED])
)
def test_half_precision_is_near(method, name):
    net, images = copy.deepcopy(zoo_net(name)).bfloat16(), images_for(name).bfloat16()
    target = strongest(zoo_net(name), images.float(), method)
    maps = explain(net, images, target, method)
    assert maps.dtype == torch.bfloat16
    # The same rounded weights and images, and the arithmetic alone differs.
    expected = explain(net.float(), images.float(), target, method)
    if method not in OF_PIXELS:
        return close(maps.float(), expected, rtol=2e-2)
    # On the way to the pixels each layer rounds, and max pooling chooses among equals.
    both = torch.stack([maps.float().flatten(), expected.flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.9


IN_BATCHES = [(m, n) for m, n in PAIRS if n in ("lite0", "vit")]


@pytest.mark.parametrize(
    ("method", "name"), quickly(IN_BATCHES, [n == "vit" or m not in DEAR for m, n in IN_BATCHES])
)
def test_a_batch_gives_what_single_images_give_in_half_precision(method, name):
    net, images = copy.deepcopy(zoo_net(name)).bfloat16(), images_for(name).bfloat16()
    batch = explain(net, images, 1, method)
    single = [explain(net, images[i : i + 1], 1, method)[0] for i in range(3)]
    close(batch.float(), torch.stack(single).float(), rtol=2e-2)


def strongest(net, images, method):
    """The class of the largest map: that of another class may be nothing but rounding."""
    if method in BY_LOGIT:  # the largest map is that of the logit nearest to 0
        with torch.no_grad():
            return int(net(images).abs().amin(0).argmax())
    maps = [explain(net, images, target, method) for target in range(CLASSES)]
    return int(torch.stack(maps).flatten(1).amax(1).argmax())


def lively(net, images, method):
    """A class with a map above zero, and whether it takes the contrast to get one."""
    found = (
        (target, contrast)
        for contrast, target in product((False, True), range(CLASSES))
        if bool(explain(net, images, target, method, contrast=contrast).any())
    )
    return next(found)


@each_method
def test_maps_are_enlarged_bilinearly(method):
    net, images = small(method), pictures()
    maps = explain(net, images, 0, method)
    large = explain(net, images, 0, method, size=(11, 8))
    expected = nn.functional.interpolate(
        maps[:, None], (11, 8), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(large, expected[:, 0])
    own = tuple(maps.shape[1:])
    torch.testing.assert_close(explain(net, images, 0, method, size=own), maps)


# What is left as it was ------------------------------------------------------------------


@each_method
@pytest.mark.parametrize("graph", [False, True])
def test_training_mode_with_dropout_and_batch_norm_leaves_no_trace(method, graph):
    net = small(method, norm=True, between=nn.Dropout(0.5)).train()
    net.stem.eval()
    images = pictures().requires_grad_()
    with untouched(net, images):
        if method in OF_HEADS:
            with pytest.raises(ModelError):
                explain(net, images, 0, method, create_graph=graph)
        else:
            explain(net, images, 0, method, create_graph=graph)
    assert net.training
    assert not net.stem.training


class Remembering(Tiny):
    """Changes buffers in either mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("seen", None)

    def forward(self, images):
        self.passes += 1
        self.mean.mul_(0.9).add_(0.1 * images.detach().mean((0, 2, 3)))
        self.seen = images.detach()
        return super().forward(images)


@pytest.mark.parametrize("training", [False, True])
def test_a_net_that_changes_its_buffers_in_either_mode_is_left_as_it_was(training):
    net, images = Remembering().train(training), pictures()
    buffers = dict(net.named_buffers())
    with untouched(net, images):
        explain(net, images, 0)
        explain(net, images, 0, "saliency")
    assert net.seen is None
    assert all(own is buffers[name] for name, own in net.named_buffers())


@each_method
@pytest.mark.parametrize("training", [False, True])
def test_an_exception_in_the_net_leaves_no_trace(method, training):
    net, images = small(method, norm=True).train(training), pictures()
    explain(net, images, 0, method)
    net.after = Breaks()
    with untouched(net, images), pytest.raises(FloatingPointError):
        explain(net, images, 0, method)
    with untouched(net, images), pytest.raises(FloatingPointError):
        explain(net, images, 0, method, layer="last", create_graph=True)


@each_method
def test_a_wrong_target_leaves_no_trace(method):
    net, images = small(method, norm=True).train(), pictures()
    with untouched(net, images), pytest.raises(TargetError):
        explain(net, images, 7, method)


@each_method
def test_a_net_that_works_on_its_input_in_place_does_not_reach_the_caller_s(method):
    net, images = (
        nn.Sequential(nn.Threshold(0.1, 0.0, inplace=True), *_parts(small(method))),
        pictures(),
    )
    with untouched(net, images):
        inplace = explain(net, images, 0, method, layer="2")
    fresh = nn.Sequential(nn.Threshold(0.1, 0.0), *_parts(small(method)))
    torch.testing.assert_close(inplace, explain(fresh, images, 0, method, layer="2"))


def _parts(net):
    mix = [net.mix] if isinstance(net, Attending) else []
    return net.stem, net.last, *mix, net.pool, nn.Flatten(), net.classifier


@each_method
def test_a_step_after_explaining_is_the_step_without(method):
    net, images = small(method, norm=True).train(), pictures()
    expected, (plain,) = _gradients(net, images)
    net.load_state_dict(small(method, norm=True).state_dict())
    explain(net, images, 0, method, create_graph=True)
    found, (after,) = _gradients(net, images)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(after, plain, rtol=0, atol=0)


def _gradients(net, images):
    net.zero_grad()
    net(images).square().sum().backward()
    return [p.grad.clone() for p in net.parameters()], [net.norm.running_mean.clone()]


# Gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "name"),
    in_turn([(m, n) for m, n in PAIRS if m in DIFFERENTIABLE and n != "densenet"]),
)
def test_maps_can_be_part_of_a_loss(method, name):
    net, images = zoo_net(name), images_for(name, 2)
    parameters = list(net.parameters())
    target, contrast = lively(net, images, method)
    with untouched(net, images):
        maps = explain(net, images, target, method, contrast=contrast, create_graph=True)
        gradients = torch.autograd.grad(maps.square().sum(), parameters, allow_unused=True)
    assert bool(maps.any())
    found = [g for g in gradients if g is not None]
    assert all(bool(g.isfinite().all()) for g in found)
    first = gradients[0]
    assert first is not None
    assert float(first.abs().max()) > 0
    # Of the last module: a bias of the head is gone from differences of logits, and a
    # convolution has no gradient below a norm that begins with zeros.
    assert any(float(g.abs().max()) > 0 for g in found[-3:])


@pytest.mark.parametrize(
    ("method", "linear"),
    [
        (m, linear)
        for m in sorted(set(DIFFERENTIABLE) - UNTARGETED)
        for linear in (True, False)
        if linear or m not in OF_HEADS
    ],
)
def test_a_frozen_backbone_still_gives_the_head_its_gradient(method, linear):
    between = None if linear else nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    net, images = small(method, between=between), pictures()
    net.requires_grad_(False)
    net.classifier.requires_grad_(True)
    with untouched(net, images):
        maps = explain(net, images, 0, method, create_graph=True)
        (gradient,) = torch.autograd.grad(maps.sum(), net.classifier.weight, allow_unused=True)
    net.requires_grad_(True)
    maps = explain(net, images, 0, method, create_graph=True)
    (expected,) = torch.autograd.grad(maps.sum(), net.classifier.weight, allow_unused=True)
    if not METHODS[method].reaches_head:
        assert gradient is None
        assert expected is None
        return
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(gradient, expected)


@each_method
def test_a_wholly_frozen_net_is_explained(method):
    net, images = small(method), pictures()
    expected = explain(net, images, 0, method)
    net.requires_grad_(False)
    torch.testing.assert_close(explain(net, images, 0, method), expected)


@each_method
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("graph", [False, True])
def test_the_caller_s_grad_mode_does_not_matter(method, context, graph):
    net, images = small(method), pictures()
    expected = explain(net, images, 0, method)
    with context():
        inner = images.clone()
        with untouched(net, inner):
            maps = explain(net, inner, torch.zeros(4).long(), method, create_graph=graph)
    torch.testing.assert_close(maps, expected)
    assert maps.requires_grad == graph


class HalfFrozen(Tiny):
    """Runs its backbone under no_grad of its own."""

    def forward(self, images):
        with torch.no_grad():
            maps = self.features(images)
        return self.head(maps)


class HalfFrozenAttending(HalfFrozen, Attending):
    """The same with attention in the backbone."""


def half_frozen(method, **options):
    net = (HalfFrozenAttending if method in OF_ATTENTION else HalfFrozen)(**options)
    net.load_state_dict(small(method, **options).state_dict())
    return net


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    ("method", "pool"),
    [
        (m, pool)
        for m in sorted(set(METHODS) - set(TO_PIXELS))
        for pool in ("avg", "gem")
        if pool == "avg" or m not in OF_HEADS
    ],
)
def test_a_net_with_its_own_no_grad_below_the_head_is_explained(method, graph, pool):
    net, images = half_frozen(method, pool=pool, after=nn.Identity()), pictures()
    plain = small(method, pool=pool, after=nn.Identity())
    expected = explain(plain, images, 0, method)
    with untouched(net, images):
        maps = explain(net, images, 0, method, create_graph=graph)
    torch.testing.assert_close(maps, expected)


@pytest.mark.parametrize("method", TO_PIXELS)
@pytest.mark.parametrize("graph", [False, True])
def test_a_net_without_gradients_to_the_pixels_is_refused_by_methods_that_need_them(method, graph):
    net, images = half_frozen(method), pictures()
    with untouched(net, images), pytest.raises(ModelError, match="no gradient from the logits to"):
        explain(net, images, 0, method, create_graph=graph)


class Ungraded(Tiny):
    @torch.no_grad()
    def forward(self, images):
        return super().forward(images)


class UngradedHead(Tiny):
    def forward(self, images):
        maps = self.features(images)
        with torch.no_grad():
            return self.head(maps)


def test_a_net_that_runs_without_gradients_is_explained():
    net, images = Ungraded(pool="gem"), pictures()
    net.load_state_dict(tiny().state_dict())
    with untouched(net, images):
        maps = explain(net, images, 0)
    torch.testing.assert_close(maps, explain(tiny(pool="gem"), images, 0))


@pytest.mark.parametrize("net", [Ungraded(pool="gem"), UngradedHead(pool="gem")])
def test_a_net_without_gradients_above_the_layer_cannot_be_part_of_a_loss(net):
    images = pictures()
    with untouched(net, images), pytest.raises(ModelError, match="no gradient"):
        explain(net, images, 0, create_graph=True)


def test_a_layer_that_the_logits_do_not_depend_on_is_refused():
    net = tiny()
    net.aside = nn.Conv2d(3, 6, 1)
    net.register_forward_hook(lambda module, given, output: module.aside(given[0]) is None or None)
    with pytest.raises(ModelError, match="no gradient"):
        explain(net, pictures(), 0, layer="aside")
    with pytest.raises(ModelError, match="no gradient"):
        explain(net, pictures(), 0, layer="aside", create_graph=True)


# Layers ----------------------------------------------------------------------------------


@each_of_layers
def test_a_layer_is_given_by_name_or_itself(method):
    net, images = zoo_net("resnet18"), images_for("resnet18", 2)
    found = explain(net, images, None, method)
    assert find_layer(net, images).name == "layer4"
    for layer in ("layer4", net.layer4, "layer4.1", net.layer4[1].act2):
        torch.testing.assert_close(explain(net, images, None, method, layer=layer), found)
    if method not in OF_HEADS:
        early = explain(net, images, None, method, layer="layer2")
        assert early.shape[1:] == (images.shape[2:] if method in OF_PIXELS else (8, 8))
        assert not early.equal(found)


WRAPPED = list(product(OF_LAYERS, ("module", "_orig_mod")))


@pytest.mark.parametrize(
    ("method", "attribute"), quickly(WRAPPED, [m not in DEAR or a == "module" for m, a in WRAPPED])
)
def test_layers_are_found_behind_wrappers(method, attribute):
    net, images = zoo_net("resnet18"), images_for("resnet18", 2)
    wrapped = Wrapped(net, attribute).eval()
    expected = explain(net, images, 0, method)
    for layer in (None, "layer4", f"{attribute}.layer4", net.layer4):
        torch.testing.assert_close(explain(wrapped, images, 0, method, layer=layer), expected)
    # A name noted down from a wrapped net is good for the bare one, too.
    torch.testing.assert_close(
        explain(net, images, 0, method, layer=f"{attribute}.layer4"), expected
    )
    twice = Wrapped(wrapped, "module").eval()
    torch.testing.assert_close(explain(twice, images, 0, method, layer="layer4"), expected)


def test_an_own_module_named_like_a_wrapper_is_meant_itself():
    net = nn.Sequential()
    net.add_module("module", nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()))
    net.add_module("1", nn.Conv2d(4, 5, 3, padding=1))
    net.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)))
    assert find_layer(net, pictures(), "1").module is net.get_submodule("1")


def test_a_layer_known_by_two_names_is_found_by_both():
    net = tiny()
    net.alias = net.last
    maps = explain(net, pictures(), 0, layer="last")
    torch.testing.assert_close(explain(net, pictures(), 0, layer="alias"), maps)


@pytest.mark.parametrize("layer", ["layer5", "laier4", "fc.x"])
def test_an_unknown_layer_names_the_near_ones(layer):
    with pytest.raises(ModelError, match="expected a layer of ResNet, found"):
        explain(zoo_net("resnet18"), images_for("resnet18", 1), 0, layer=layer)
    with pytest.raises(ModelError, match="did you mean layer4"):
        explain(zoo_net("resnet18"), images_for("resnet18", 1), 0, layer="layer44")


@each_of_layers
def test_a_layer_without_positions_or_out_of_reach_names_the_possible_ones(method):
    net, images = small(method), pictures()
    net.unused = nn.Conv2d(3, 3, 1)
    for layer in ("classifier", "unused", net.unused, net):
        with untouched(net, images), pytest.raises(ModelError, match=r"choose one of: .*last, "):
            explain(net, images, 0, method, layer=layer)


def test_a_module_that_is_not_in_the_net_is_refused():
    with pytest.raises(ModelError, match="a Conv2d that is not part of it"):
        explain(tiny(), pictures(), 0, layer=tiny().last)


def test_a_net_without_positions_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with untouched(net), pytest.raises(ModelError, match="no layer with positions"):
        explain(net, pictures(), 0)


class ChannelsLast(nn.Module):
    """Ends, as Swin does, in a norm over channels that lie last."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.LayerNorm(6)
        self.fc = nn.Linear(6, 3)

    def forward(self, images):
        return self.fc(self.norm(self.stem(images).permute(0, 2, 3, 1)).mean((1, 2)))


def test_channels_that_lie_last_are_not_taken_for_positions():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = ChannelsLast()
    images, layer = pictures(), find_layer(net, pictures())
    assert (layer.name, layer.layout.kind, layer.layout.grid) == ("norm", "channels last", (4, 4))
    with torch.no_grad():
        activations = net.norm(net.stem(images).permute(0, 2, 3, 1))
        expected = (activations * net.fc.weight[1]).sum(3).relu() / 16
    close(explain(net, images, 1), expected)
    assert explain(net, images, 0, layer="stem").shape == (4, 4, 4)


@each_of_any_head
def test_a_layer_is_seen_before_the_next_works_in_place(method):
    images = pictures()
    inplace, fresh = tiny(after=nn.ReLU(inplace=True)), tiny(after=nn.ReLU(inplace=False))
    for target in range(3):
        torch.testing.assert_close(
            explain(inplace, images, target, method, layer="last"),
            explain(fresh, images, target, method, layer="last"),
            rtol=0,
            atol=0,
        )


@each_of_layers
def test_the_layer_is_found_anew_when_the_net_has_changed(method):
    net, images = nn.Sequential(*_parts(tiny())), pictures()
    explain(net, images, 0, method)
    assert find_layer(net, images).name == "1"
    net[1] = nn.Identity()
    net[4] = nn.Linear(4, 3)
    assert find_layer(net, images).name == "0"
    torch.testing.assert_close(
        explain(net, images, 0, method), explain(net, images, 0, method, layer=net[0])
    )
    net.insert(1, nn.Conv2d(4, 4, 3, padding=1))
    assert find_layer(net, images).name == "1"
    del net[1]
    assert find_layer(net, images).name == "0"


@each_of_any_head
@pytest.mark.parametrize("sides", [(32, 64), (64, 32)])
def test_the_layer_does_not_depend_on_the_images_seen_before(method, sides):
    # At 32 pixels the last stage has a single position, and the one before is the last with more.
    found = {32: "layer3", 64: "layer4"}
    net = regard.build_model("timm:resnet18", classes=2, channels=(8, 16, 24, 32)).eval()
    for side in sides:
        images = pictures(1, side)
        size = (side, side) if method in OF_PIXELS else (2, 2)
        assert explain(net, images, 0, method).shape == (1, *size)
        assert find_layer(net, images).name == found[side]


def test_the_layer_is_looked_for_once():
    net, images = tiny(), pictures()
    explain(net, images, 0)
    looked = net.calls
    assert looked == 3  # which layers there are, whether the last one matters, and the map
    explain(net, images, 0)
    assert net.calls == looked + 1
    explain(tiny(), images, 0, layer="last")


# Inputs and outputs ----------------------------------------------------------------------


@each_method
def test_an_answer_with_logits_is_read(method):
    net, images = small(method), pictures()
    expected = explain(net, images, 0, method)
    torch.testing.assert_close(explain(WithLogits(net), images, 0, method), expected)


@pytest.mark.parametrize("method", sorted(set(OF_LAYERS) - OF_PIXELS - OF_HEADS))
def test_a_net_of_several_views_is_read_at_a_layer(method):
    net = TwoViews().eval()
    views = {"image": pictures(seed=1), "segmented": pictures(seed=2)}
    pixels = "pixels" in METHODS[method].needs
    for view in views:
        named = view if pixels else None
        with untouched(net, *views.values()):
            maps = explain(net, views, 0, method, layer=f"{view}.last", view=named)
        alone = explain(getattr(net, view), views[view], 0, method, layer="last")
        if method in BY_LOGIT:  # of which the other view has a share
            maps, alone = (m / m.amax((1, 2), keepdim=True) for m in (maps, alone))
        torch.testing.assert_close(maps, alone)
    if pixels:
        with pytest.raises(ConfigError, match="one of image, segmented"):
            regard.explain(net, views, 0, method, layer="image.last")


@pytest.mark.parametrize("method", sorted(OF_PIXELS))
def test_methods_of_pixels_explain_the_view_that_is_named(method):
    net = TwoViews().eval()
    views = {"image": pictures(seed=1), "segmented": pictures(seed=2)}
    for view, branch in (("image", net.image), ("segmented", net.segmented)):
        with untouched(net, *views.values()):
            maps = explain(net, views, 0, method, view=view, layer=f"{view}.last")
        assert maps.shape == (4, 8, 8)
        # The branches' logits are added, so that one does not change how the other is explained;
        # probabilities are not.
        if method != "rise":
            alone = explain(branch, views[view], 0, method, layer="last")
            torch.testing.assert_close(maps, alone, rtol=1e-4, atol=1e-6)
    for wrong in (None, "image2"):
        with untouched(net, *views.values()), pytest.raises(ConfigError, match="name the view"):
            explain(net, views, 0, method, view=wrong, layer="image.last")


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        ([0, 1], "of shape \\(2,\\)"),
        ([0, 1, 2, 0, 1], "of shape \\(5,\\)"),
        (torch.zeros(4, 1).long(), "of shape \\(4, 1\\)"),
        (torch.zeros(4), "torch.float32"),
        ([0, 1, 2, 3], "classes 0 to 2, found 3"),
        ([0, -1, 0, 0], "classes 0 to 2, found -1"),
        (3, "classes 0 to 2, found 3"),
        (regard.saliency.PixelTarget(0), "PixelTarget"),
    ],
)
@each_method
def test_targets_that_do_not_fit_are_refused(method, targets, found):
    with pytest.raises(TargetError, match=found):
        explain(small(method), pictures(), targets, method)


@each_method
def test_images_that_cannot_be_explained_are_refused(method):
    net = small(method)
    for bad in (torch.nan, torch.inf):
        images = pictures()
        images[2, 1, 3, 3] = bad
        with pytest.raises(DataError, match="finite pixels"):
            explain(net, images, 0, method)
        with pytest.raises(DataError, match="finite pixels"):
            explain(net, {"image": pictures(), "segmented": images}, 0, method)
    with pytest.raises(DataError, match="one image or more"):
        explain(net, torch.zeros(0, 3, 8, 8), None, method)
    with pytest.raises(DataError, match="add a batch axis"):
        explain(net, torch.zeros(3, 8, 8), None, method)
    assert net.calls == 0


def test_a_net_without_logits_is_refused():
    class Pair(Tiny):
        def forward(self, images):
            return super().forward(images), None

    with pytest.raises(ModelError, match="found tuple"):
        explain(Pair(), pictures(), 0)
    with pytest.raises(ModelError, match=r"found shape \(4, 3, 64\)"):
        explain(nn.Sequential(Segmenter(), nn.Flatten(2)), pictures(), 0, layer="0")


def test_unknown_methods_and_options_are_refused():
    with pytest.raises(ConfigError, match="did you mean gradcam"):
        explain(tiny(), pictures(), 0, "grad-cam")
    for method in METHODS:
        with pytest.raises(ConfigError, match="expected its own options"):
            explain(tiny(), pictures(), 0, method, no_such_option=1)


def test_names_are_listed():
    assert regard.saliency.methods() == sorted(METHODS)
    assert {"cam", "gradcam"} <= set(regard.saliency.methods())
    for name, kind in METHODS.items():
        assert kind.name == name
        assert kind.passes
        assert kind.blind_to
        assert kind.reference
        assert kind.reference.split()[0] in (kind.__doc__ or "")
