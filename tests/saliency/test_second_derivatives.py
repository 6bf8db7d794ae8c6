"""Gradients of gradients are torch's own, made by other kernels."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import regard
from regard.guidance import RRR, Energy, guided_forward
from regard.saliency import second_derivatives
from regard.saliency.convolution import convolve
from regard.saliency.normalisation import normalise
from regard.saliency.second_derivatives import twice_differentiable
from smallnets import attending, pictures, tiny

# Kernel, groups, and torch's options.
CONVOLUTIONS = {
    "plain": ((4, 4, 3, 3), {"padding": 1}),
    "stride": ((4, 4, 3, 3), {"stride": 2, "padding": 1}),
    "uneven": ((3, 4, 2, 3), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    "groups": ((6, 2, 3, 3), {"padding": 1, "groups": 2}),
    "depthwise": ((4, 1, 3, 3), {"padding": [1], "groups": 4}),
    "point": ((5, 4, 1, 1), {"stride": 2}),
    "same": ((3, 4, 2, 3), {"padding": "same"}),
    "same, dilated": ((3, 4, 3, 2), {"padding": "same", "dilation": 3}),
    "valid": ((3, 4, 3, 3), {"padding": "valid", "stride": 2}),
}
each_convolution = pytest.mark.parametrize("name", CONVOLUTIONS)


def drawn(*shape, dtype=torch.float64, seed=0, layout=torch.contiguous_format):
    """Random numbers that a gradient is asked of."""
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return (made.contiguous(memory_format=layout) if made.ndim == 4 else made).requires_grad_()


def operands(name, **how):
    size, options = CONVOLUTIONS[name]
    given = drawn(2, 4, 6, 5, **how)
    return given, drawn(*size, seed=1, **how), drawn(size[0], seed=2, dtype=given.dtype), options


def double_backward(function, *given):
    """Gradients of the squared gradient of the first input, and the output."""
    answer = function(*given)
    weights = torch.linspace(-1, 1, answer.numel()).view(answer.shape)
    (first,) = torch.autograd.grad((answer.sin() * weights).sum(), given[0], create_graph=True)
    wanted = [each for each in given if each is not None and each.requires_grad]
    found = torch.autograd.grad(first.square().sum() + answer.sum(), wanted, allow_unused=True)
    return [answer, first, *found]


def detached(tensors):
    return [each.detach() for each in tensors]


def same(actual, expected, rtol=1e-12):
    """Each equal to within a share of its largest value."""
    assert len(actual) == len(expected)
    for one, other in zip(detached(actual), detached(expected), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert float((one - other).abs().max()) <= rtol * float(other.abs().max()) + 1e-30


# Convolutions ----------------------------------------------------------------------------


@each_convolution
def test_the_derivatives_of_a_convolution_are_right(name):
    given, weight, bias, options = operands(name)

    def function(*inputs):
        return convolve(*inputs, **options)

    assert gradcheck(function, (given, weight, bias), fast_mode=True)
    assert gradgradcheck(function, (given, weight, bias), fast_mode=True)
    assert gradgradcheck(lambda g, w: convolve(g, w, **options), (given, weight), fast_mode=True)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@each_convolution
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_is_torch_s_own(name, layout):
    *given, options = operands(name, layout=layout)
    own = double_backward(lambda *inputs: convolve(*inputs, **options), *given)
    same(own, double_backward(lambda *inputs: F.conv2d(*inputs, **options), *given))


@pytest.mark.parametrize("frozen", [(1,), (2,), (1, 2)])
def test_a_frozen_convolution_passes_the_gradient_on(frozen):
    *given, options = operands("plain")
    for position in frozen:
        given[position].requires_grad_(False)
    own = double_backward(lambda *inputs: convolve(*inputs, **options), *given)
    same(own, double_backward(lambda *inputs: F.conv2d(*inputs, **options), *given))


def test_the_gradient_of_the_weight_alone_has_a_gradient():
    *given, options = operands("stride")

    def penalty(function):
        answer = function(*given, **options).square().sum()
        found = torch.autograd.grad(answer, given[1:], create_graph=True)
        return torch.autograd.grad(sum(each.square().sum() for each in found), given)

    same(penalty(convolve), penalty(F.conv2d))


def test_the_pixels_gradient_does_not_pay_for_the_weight_s():
    *given, options = operands("plain")
    answer = convolve(*given, **options)
    with torch.profiler.profile() as seen:
        torch.autograd.grad(answer.square().sum(), given[0], create_graph=True)
    calls = {event.key: event.count for event in seen.key_averages()}
    assert calls["aten::convolution_backward"] == 1


def test_an_output_may_be_changed_in_place():
    *given, options = operands("plain")
    own = double_backward(lambda *inputs: convolve(*inputs, **options).sigmoid_(), *given)
    same(own, double_backward(lambda *inputs: F.conv2d(*inputs, **options).sigmoid_(), *given))


def test_an_input_changed_in_place_is_noticed():
    *given, options = operands("plain")
    inner = given[0] * 1
    answer = convolve(inner, *given[1:], **options)
    inner.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        answer.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_convolution_under_autocast_is_torch_s_own(dtype):
    *given, options = operands("plain", dtype=dtype)

    def under(function):
        def call(*inputs):
            with torch.autocast("cpu", torch.bfloat16):
                return function(*inputs, **options)

        return double_backward(call, *given)

    same(under(convolve), under(F.conv2d), rtol=1e-12 if dtype == torch.float64 else 0.02)


# Batch norms -----------------------------------------------------------------------------


def statistics(channels=4, dtype=torch.float64):
    """Running means and variances."""
    return drawn(channels, dtype=dtype).detach(), drawn(channels, dtype=dtype).detach().exp()


def norms(training, running=None):
    """Batch norm by torch and here, as functions of the input, the weight and the bias."""
    mean, var = statistics() if running is None else running

    def call(function):
        return lambda g, w=None, b=None: function(g, mean.clone(), var.clone(), w, b, training)

    return call(normalise), call(F.batch_norm)


on_modes = pytest.mark.parametrize("training", [True, False])


@on_modes
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(3, 4, 3, 2), (6, 4), (1, 4, 3, 3)])
def test_the_derivatives_of_a_batch_norm_are_right(training, affine, shape):
    inputs = (drawn(*shape), *((drawn(4, seed=1), drawn(4, seed=2)) if affine else ()))
    own, _ = norms(training)
    assert gradcheck(own, inputs)
    assert gradgradcheck(own, inputs)


@on_modes
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("frozen", [(), (1,), (2,), (1, 2)])
def test_a_batch_norm_is_torch_s_own(training, layout, frozen):
    given = [drawn(3, 4, 5, 4, layout=layout), drawn(4, seed=1), drawn(4, seed=2)]
    for position in frozen:
        given[position].requires_grad_(False)
    own, torchs = norms(training)
    same(double_backward(own, *given), double_backward(torchs, *given))


@on_modes
def test_a_channel_without_weight_is_no_exception(training):
    given = [drawn(3, 4, 5, 4), torch.zeros(4, dtype=torch.float64).requires_grad_(), None]
    own, torchs = norms(training)
    same(double_backward(own, *given), double_backward(torchs, *given))


@on_modes
@pytest.mark.parametrize("count", [1, 3])
def test_tokens_laid_out_as_a_map_are_normalised_alike(training, count):
    tokens = drawn(count, 20, 4)
    weight, bias = drawn(4, seed=1), drawn(4, seed=2)

    mean, var = statistics()

    def composed(given, weight, bias):
        # Torch's own is wrong here, see `sound_gradients`.
        moments = torch.var_mean(given, (0, 2, 3), correction=0) if training else (var, mean)
        spread, middle = (each[:, None, None] for each in moments)
        normal = (given - middle) / (spread + 1e-5).sqrt()
        return normal * weight[:, None, None] + bias[:, None, None]

    def of_tokens(function):
        return lambda t: function(t.transpose(1, 2).unflatten(2, (5, 4)), weight, bias)

    own = double_backward(of_tokens(norms(training)[0]), tokens)
    same(own, double_backward(of_tokens(composed), tokens))


@on_modes
def test_bfloat16_beside_float32_parameters_is_near(training):
    wide = [drawn(3, 4, 5, 4, dtype=torch.float32), *(drawn(4, seed=s).float() for s in (1, 2))]
    wide = [each.detach().requires_grad_() for each in wide]
    given = [wide[0].detach().bfloat16().requires_grad_(), *wide[1:]]
    own, torchs = norms(training, statistics(dtype=torch.float32))
    exact = double_backward(torchs, *wide)
    for found, other in zip(*map(detached, (double_backward(own, *given), exact)), strict=True):
        assert float((found - other).abs().max()) <= 0.03 * float(other.abs().max())


def test_the_running_statistics_move_as_torch_s():
    given, found = drawn(3, 4, 5, 4), []
    for function in (normalise, F.batch_norm):
        mean, var = statistics()
        function(given, mean, var, None, None, True, 0.3)
        found.append([mean, var])
    same(*found)


def test_a_third_derivative_is_refused():
    given = drawn(3, 4, 5, 4)
    answer = norms(True)[0](given)
    (first,) = torch.autograd.grad(answer.sin().sum(), given, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), given, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.square().sum().backward()


# Whole nets ------------------------------------------------------------------------------


def trained(net, terms, images, **settings):
    """The parameters' gradients of the cross-entropy and the terms, and the buffers."""
    net, labels = copy.deepcopy(net), torch.arange(len(images)) % 3
    inside = torch.zeros(len(images), *images.shape[2:], dtype=images.dtype)
    inside[:, 2:5, 3:6] = 1
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.get("cast", False)):
        out = guided_forward(net, images, labels, inside, terms)
    (F.cross_entropy(out.logits.to(images.dtype), labels) + out.loss()).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]
    return [*gradients, *(buffer for buffer in net.buffers() if buffer.is_floating_point())]


@pytest.fixture
def plainly(monkeypatch):
    """Torch's own second derivatives from the moment it is called."""
    kept = {k: v for k, v in second_derivatives.EXCHANGES.items() if v[1] is None}
    return lambda: monkeypatch.setattr(second_derivatives, "EXCHANGES", kept)


@on_modes
def test_rrr_moves_a_resnet_as_the_plain_double_backward(training, plainly):
    torch.manual_seed(0)
    net = regard.build_model("timm:resnet18", classes=3).double().train(training)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    images = pictures(3, side=64, dtype=torch.float64)
    own = trained(net, [RRR(weight=0.1)], images)
    plainly()
    same(own, trained(net, [RRR(weight=0.1)], images), rtol=1e-9)


@on_modes
@pytest.mark.parametrize("make", [tiny, attending])
@pytest.mark.parametrize("term", [RRR(), Energy(layer="stem"), Energy()])
def test_small_nets_move_as_by_the_plain_double_backward(make, term, training, plainly):
    net = make(norm=True).double().train(training)
    images = pictures(6, dtype=torch.float64)
    own = trained(net, [term], images)
    plainly()
    same(own, trained(net, [term], images), rtol=1e-9)


def test_rrr_under_autocast_moves_a_net_as_the_plain_double_backward(plainly):
    net, images = tiny(norm=True).train(), pictures(6)
    own = trained(net, [RRR()], images, cast=True)
    plainly()
    for one, other in zip(own, trained(net, [RRR()], images, cast=True), strict=True):
        assert float((one - other).abs().max()) <= 0.05 * float(other.abs().max()) + 1e-6


class Checkpointed(nn.Module):
    """A net that computes a part of itself again in the backward pass, unless told not to."""

    def __init__(self, again):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.part = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head, self.again = nn.Linear(4, 3), again

    def forward(self, images):
        maps = self.stem(images)
        run = partial(checkpoint, self.part, use_reentrant=False) if self.again else self.part
        return self.head(run(maps).mean((2, 3)))


def test_activation_checkpointing_goes_on_working():
    net, images = Checkpointed(False).double(), pictures(6, dtype=torch.float64)
    own = trained(net, [RRR()], images)
    net.again = True
    gradients = trained(net, [RRR()], images)[: len([*net.parameters()])]
    same(own[: len(gradients)], gradients, rtol=1e-9)


def test_what_lies_below_the_layer_and_under_a_linear_head_stays_torch_s():
    net, images = tiny(norm=True).train(), pictures(6)
    inside = torch.ones(6, 8, 8)
    inside[:, 4:] = 0
    with torch.profiler.profile() as seen:
        guided_forward(net, images, torch.zeros(6).long(), inside, [Energy()])
    names = {event.key for event in seen.key_averages()}
    assert "aten::conv2d" in names
    assert not names & {"_Convolution", "_Normalised"}


@pytest.mark.parametrize(
    "call",
    [
        lambda given: F.conv2d(given[0], torch.ones(1, 4, 3, 3)),
        lambda given: F.conv2d(given, torch.ones(1, 4, 3, 3).bfloat16()),
        lambda given: F.conv2d(given, torch.ones(1, 4, 3, 3), padding="same", stride=2),
        lambda given: F.conv2d(given, torch.ones(1, 4, 3, 3), padding="other"),
        lambda given: F.batch_norm(given, None, None),
        lambda given: F.batch_norm(given[:1, :, :1, :1], None, None, training=True),
    ],
    ids=["no batch", "types", "same and stride", "padding", "no statistics", "one value"],
)
def test_what_torch_answers_or_refuses_stays(call):
    given, outcomes = drawn(2, 4, 6, 5, dtype=torch.float32), []
    for inside in (False, True):
        try:
            if inside:
                with twice_differentiable():
                    outcomes.append(call(given).shape)
            else:
                outcomes.append(call(given).shape)
        except (RuntimeError, ValueError) as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]
