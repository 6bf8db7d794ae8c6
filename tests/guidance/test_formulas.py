"""Each term against its formula, written out image by image and pixel by pixel."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import regard
from regard.data.regions import Regions
from regard.errors import ConfigError
from regard.guidance import TERMS, ActDiff, Energy, MaskedInput, guided_forward
from regard.guidance.likeness import UNIFORM
from regard.saliency import METHODS
from regard.saliency.capture import evaluating
from smallnets import TwoViews, pictures, tiny, zoo_net

LABELS = torch.tensor([0, 2, 1, 0, 1, 2])
OF_INPUTS = ("rrr", "gradmask", "masked_input", "background_swap", "actdiff")


def boxes(count=6, size=(8, 8)):
    regions = torch.zeros(count, *size)
    for row in range(count):
        regions[row, row % 4 : row % 4 + 4, 1 + row % 3 : 6] = 1
    return regions


def soft():
    """Maps, and regions with soft edges and a pixel row that does not count."""
    generator = torch.Generator().manual_seed(5)
    maps = torch.rand(6, 8, 8, generator=generator, dtype=torch.float64)
    regions = boxes() * torch.rand(6, 8, 8, generator=generator)
    regions[:, 3, 3] = 0.9
    ignore = torch.zeros(6, 8, 8)
    ignore[:, 0] = 1
    return maps, Regions(regions, ignore=ignore)


def by_pixel(kind, maps, attend, ignore):
    """The loss of one image by loops over its pixels."""
    pixels = [
        (float(maps[r, c]), float(attend[r, c]))
        for r in range(8)
        for c in range(8)
        if not ignore[r, c]
    ]
    peak, total = max(v for v, _ in pixels), sum(v for v, _ in pixels)
    n, count, area = [(v / peak, m) for v, m in pixels], len(pixels), sum(m for _, m in pixels)
    if kind == "energy":
        return 1 - sum(v * m for v, m in pixels) / total
    if kind == "l1":
        return sum(abs(m - v) for v, m in n) / count
    if kind == "mse":
        return sum((v - m) ** 2 for v, m in n) / count
    if kind == "magtr":
        return 1 - sum(v * m for v, m in n) / area
    if kind == "mangtr":
        return sum(v * (1 - m) for v, m in n) / (count - area)
    if kind == "hagtr":
        return 1 - max(v for v, m in n if m > 0.5)
    if kind == "iou":
        return 1 - sum(v * m for v, m in n) / sum(v + m - v * m for v, m in n)
    assert kind == "kl"
    mixed = [
        ((1 - UNIFORM) * m / area + UNIFORM / count, (1 - UNIFORM) * v / total + UNIFORM / count)
        for v, m in pixels
    ]
    return sum(p * math.log(p / q) for p, q in mixed)


@pytest.mark.parametrize("kind", [kind for kind in TERMS if kind not in OF_INPUTS])
def test_losses_of_maps_by_hand(kind):
    maps, regions = soft()
    found = TERMS[kind]().loss(maps, regions.of(None))
    expected = [by_pixel(kind, maps[i], regions.attend[i], regions.ignore[i]) for i in range(6)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", [kind for kind in TERMS if TERMS[kind].bounded])
def test_bounded_losses_stay_within_bounds(kind):
    generator = torch.Generator().manual_seed(6)
    maps = torch.rand(200, 8, 8, generator=generator) ** 8
    maps[:50] *= maps[:50] > 0.9
    losses = TERMS[kind]().loss(maps, Regions(boxes(200)).of(None))
    assert float(losses.min()) >= 0
    assert float(losses.max()) <= 1


# Terms on the gradient with respect to the pixels ----------------------------------------


def jacobians(net, images):
    """The derivative of each logit by each pixel, (B, K, 3, H, W), one image at a time."""
    rows = [
        torch.autograd.functional.jacobian(lambda x: net(x[None])[0], image) for image in images
    ]
    return torch.stack(rows)


def test_rrr_is_the_sum_over_classes_of_log_probabilities():
    net, images = tiny().double(), pictures(6, dtype=torch.float64)
    out = guided_forward(net, images, LABELS, boxes(), [TERMS["rrr"]()])
    derived, p = jacobians(net, images), net(images).softmax(1)
    # d log p_k / dx = dy_k / dx - sum_j p_j dy_j / dx, summed over k.
    gradient = derived.sum(1) - 3 * torch.einsum("bk,bkcij->bcij", p, derived)
    outside = (1 - boxes(6, (8, 8)))[:, None]
    size = torch.nn.functional.interpolate(outside, images.shape[2:], mode="area")
    expected = (gradient * size).square().sum((1, 2, 3))
    torch.testing.assert_close(out.losses["rrr"], expected)


def test_gradmask_is_the_label_s_logit_against_the_others():
    net, images = tiny().double(), pictures(6, dtype=torch.float64)
    out = guided_forward(net, images, LABELS, boxes(), [TERMS["gradmask"]()])
    derived = jacobians(net, images)
    size = torch.nn.functional.interpolate((1 - boxes())[:, None], images.shape[2:], mode="area")
    for row, label in enumerate(LABELS.tolist()):
        others = [k for k in range(3) if k != label]
        gradient = derived[row, label] - derived[row, others].mean(0)
        expected = (gradient.abs() * size[row]).sum()
        torch.testing.assert_close(out.losses["gradmask"][row], expected)


def test_gradmask_of_two_classes_is_published():
    net, images = tiny(classes=2).double(), pictures(2, dtype=torch.float64)
    out = guided_forward(net, images, torch.tensor([0, 1]), boxes(2), [TERMS["gradmask"]()])
    derived = jacobians(net, images)
    size = torch.nn.functional.interpolate((1 - boxes(2))[:, None], images.shape[2:], mode="area")
    expected = ((derived[:, 0] - derived[:, 1]).abs() * size).sum((1, 2, 3))
    torch.testing.assert_close(out.losses["gradmask"], expected)


# Terms on other images -------------------------------------------------------------------


def full(images, regions):
    """Regions at the images' size."""
    return torch.nn.functional.interpolate(regions[:, None], images.shape[2:], mode="nearest")


@pytest.mark.parametrize("fill", ["mean", "zero", "blur"])
def test_masked_input_is_the_cross_entropy_of_the_masked_image(fill):
    net, images = tiny(norm=True).double(), pictures(6, dtype=torch.float64)
    inside = full(images, boxes()).double()
    out = guided_forward(net, images, LABELS, inside[:, 0], [MaskedInput(fill=fill)])
    masked = images.clone()
    for row in range(6):
        hole = inside[row, 0] == 0
        colour = images[row][:, hole].mean(1)
        masked[row][:, hole] = 0 if fill == "zero" else colour[:, None]
    if fill == "blur":
        losses = out.losses["masked_input"]
        mean = guided_forward(net, images, LABELS, inside[:, 0], [MaskedInput()])
        assert bool((losses != mean.losses["masked_input"]).all())
        return
    expected = cross_entropy(net(masked), LABELS, reduction="none")
    torch.testing.assert_close(out.losses["masked_input"], expected)


def test_backgrounds_go_round_among_the_images_with_regions():
    net, images = tiny().double(), pictures(4, dtype=torch.float64)
    inside = full(images, boxes(4)).double()[:, 0]
    present = torch.tensor([True, False, True, True])
    regions = Regions(inside, present=present)
    out = guided_forward(net, images, LABELS[:4], regions, [TERMS["background_swap"]()])
    for row, donor in ((0, 2), (2, 3), (3, 0)):
        other = images[donor].clone()
        subject = inside[donor] == 1
        other[:, subject] = other[:, ~subject].mean(1, keepdim=True)
        swapped = torch.where(inside[row] == 1, images[row], other)
        expected = cross_entropy(net(swapped[None]), LABELS[row : row + 1])
        torch.testing.assert_close(out.losses["background_swap"][row], expected)
    assert out.valid["background_swap"].tolist() == present.tolist()


def test_actdiff_is_the_distance_of_activations():
    net, images = tiny(norm=True).double(), pictures(6, dtype=torch.float64)
    inside = full(images, boxes()).double()
    out = guided_forward(net, images, LABELS, inside[:, 0], [ActDiff(layer="last")])
    apart = net.features(images) - net.features(images * inside)
    torch.testing.assert_close(out.losses["actdiff"], apart.square().mean((1, 2, 3)))


@pytest.mark.parametrize("kind", OF_INPUTS)
def test_other_passes_move_no_statistics_and_draw_no_numbers(kind):
    plain, net = tiny(norm=True).train(), tiny(norm=True).train()
    torch.manual_seed(3)
    expected = plain(pictures(6))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    out = guided_forward(net, pictures(6), LABELS, boxes(), [TERMS[kind]()])
    assert torch.equal(torch.rand(1), drawn)
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=0)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(net.get_buffer(name), buffer, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [kind for kind in OF_INPUTS if kind != "background_swap"])
def test_ignored_areas_are_treated_as_if_they_were_inside(kind):
    net, images = tiny().double(), pictures(6, dtype=torch.float64)
    inside = full(images, boxes()).double()[:, 0]
    part = torch.zeros_like(inside)
    part[:, :, -3:] = 1
    found = [
        guided_forward(net, images, LABELS, regions, [TERMS[kind]()]).losses[kind]
        for regions in (
            Regions(inside, ignore=part),
            Regions(inside.maximum(part)),
            Regions(inside),
        )
    ]
    torch.testing.assert_close(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


# Every method ----------------------------------------------------------------------------

DIFFERENTIABLE = [name for name in METHODS if METHODS[name].differentiable]
QUICK = {"smoothgrad": {"samples": 2}, "scorecam": {"max_n": 4}, "rise": {"masks": 8}}


@pytest.mark.parametrize("method", DIFFERENTIABLE)
def test_a_term_on_every_differentiable_method_moves_the_net(method):
    name = "vit" if "attention" in METHODS[method].needs else "cnn2-avg"
    net = zoo_net(name)
    size = 64 if name == "vit" else 96
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    options = dict(QUICK.get(method, {}))
    if METHODS[method].from_background:
        options |= {"background": images.flip(0), "samples": 2}
    term = Energy(method=method, sign="absolute", options=options)
    inside = torch.zeros(2, size, size)
    inside[:, : size // 2] = 1
    flags = [p.requires_grad for p in net.parameters()]
    try:
        net.requires_grad_(True)
        with evaluating(net):
            out = guided_forward(net, images, torch.tensor([0, 1]), inside, [term])
        assert bool(out.valid["energy"].all())
        found = torch.autograd.grad(out.loss(), list(net.parameters()), allow_unused=True)
    finally:
        for parameter, flag in zip(net.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
    assert max(float(g.abs().max()) for g in found if g is not None) > 0
    assert all(bool(g.isfinite().all()) for g in found if g is not None)


@pytest.mark.parametrize("linear", [True, False])
def test_stopped_weights_leave_the_head_alone(linear):
    torch.manual_seed(3)
    between = None if linear else nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    net, images = tiny(between=between).double(), pictures(6, dtype=torch.float64)
    flow = guided_forward(net, images, LABELS, boxes(), [Energy()])
    stop = guided_forward(net, images, LABELS, boxes(), [Energy(weights="stop")])
    torch.testing.assert_close(stop.losses["energy"], flow.losses["energy"])
    head, below = net.classifier.weight, net.last.weight
    found = torch.autograd.grad(stop.loss(), [head, below], allow_unused=True)
    assert found[0] is None or not found[0].any()
    assert float(found[1].abs().max()) > 1e-6
    activations = net.after(net.features(images))
    weights = regard_weights(net, images)
    maps = (weights[:, :, None, None] * activations).sum(1).relu()
    torch.testing.assert_close(maps, stop.maps["energy"])


def regard_weights(net, images):
    """The mean gradient of the label's logit at the grid, a constant."""
    grid = net.after(net.features(images)).detach().requires_grad_()
    pooled = net.pool(grid).flatten(1)
    value = net.classifier(net.between(pooled)).gather(1, LABELS[:, None]).sum()
    return torch.autograd.grad(value, grid)[0].mean((2, 3))


def test_weights_cannot_be_stopped_where_the_gradient_is_the_map():
    with pytest.raises(ConfigError, match="a method of a layer or of attention"):
        Energy(method="saliency", weights="stop")


def test_a_signed_map_counts_by_its_positive_part_or_by_its_size():
    net, images = tiny().double(), pictures(6, dtype=torch.float64)
    maps = regard.explain(net, images, LABELS, "input_x_gradient")
    inside = full(images, boxes()).double()[:, 0]
    for sign, counted in (("positive", maps.clamp_min(0)), ("absolute", maps.abs())):
        term = Energy(method="input_x_gradient", sign=sign)
        out = guided_forward(net, images, LABELS, inside, [term])
        expected = 1 - regard.score(counted, inside, "energy")
        torch.testing.assert_close(out.losses["energy"].float(), expected)


def test_terms_of_pixels_look_at_the_first_view():
    views = {"image": pictures(6), "segmented": pictures(6, seed=9)}
    net = TwoViews().eval()
    for kind in ("rrr", "gradmask", "masked_input", "background_swap"):
        out = guided_forward(net, views, LABELS, boxes(), [TERMS[kind]()])
        (found,) = torch.autograd.grad(out.loss(), [net.image.stem.weight])
        assert float(found.abs().max()) > 0


def test_energy_of_a_coarse_map_counts_shares_of_pixels_that_are_ignored_in_part():
    net, draw = zoo_net("cnn2-avg"), torch.Generator().manual_seed(4)
    images = torch.randn(2, 3, 96, 96, generator=draw)
    inside, ignore = torch.rand(2, 2, 96, 96, generator=draw)
    ignore[:, 20:50, 10:60] = 1
    regions, targets = Regions(inside, ignore=ignore), torch.tensor([0, 1])
    with evaluating(net):
        out = guided_forward(net, images, targets, regions, [Energy()])
    maps = regard.explain(net, images, targets, "gradcam")
    expected = 1 - regard.score(maps, regions, "energy")
    torch.testing.assert_close(out.losses["energy"].detach(), expected, rtol=1e-4, atol=1e-5)
