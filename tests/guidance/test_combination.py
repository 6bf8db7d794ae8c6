"""How terms and the cross-entropy become one loss, and what is refused before training."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from regard.data.regions import Regions
from regard.errors import ConfigError
from regard.guidance import (
    MAGTR,
    RRR,
    ActDiff,
    Combination,
    Energy,
    divisors,
    guided_forward,
    reaches,
)
from regard.training.step import warmed
from smallnets import pictures, tiny

LABELS = torch.tensor([0, 2, 1, 0, 1, 2])
KINDS = ("sum", "product", "quotient", "uncertainty")


def regions():
    inside, present = torch.zeros(6, 8, 8), torch.ones(6, dtype=torch.bool)
    inside[:, 2:6, 1:5] = 1
    present[1] = False
    return Regions(inside, present=present)


def run(net, rows=slice(None)):
    terms = [MAGTR(weight=2.0, contrast=True), Energy(contrast=True)]
    images = pictures(6, dtype=torch.float64)
    out = guided_forward(net, images[rows], LABELS[rows], regions()[rows], terms)
    losses = cross_entropy(out.logits, LABELS[rows], reduction="none")
    return terms, losses, out


def combined(kind, net, rows=slice(None), **options):
    terms, losses, out = run(net, rows)
    combination = Combination(kind, terms, **options).double()
    if kind == "uncertainty":
        with torch.no_grad():
            combination.log_variances.copy_(torch.tensor([0.3, -0.2, 0.5]))
    by = divisors(LABELS, regions(), terms)
    return combination, combination(losses, out, by)[0]


def test_each_kind_by_hand():
    net = tiny().double()
    terms, losses, out = run(net)
    magtr, energy = out.losses["magtr"], out.losses["energy"]
    valid = out.valid["magtr"]
    assert valid.tolist() == [True, False, True, True, True, True]
    total = combined("sum", net, cross_entropy=0.5)[1]
    torch.testing.assert_close(
        total, 0.5 * losses.mean() + 2 * magtr[valid].mean() + energy[valid].mean()
    )
    expected = torch.where(valid, losses * magtr**2 * energy, losses).mean()
    torch.testing.assert_close(combined("product", net)[1], expected)
    expected = torch.where(
        valid, losses / ((1 - magtr).clamp_min(1e-3) ** 2 * (1 - energy).clamp_min(1e-3)), losses
    ).mean()
    torch.testing.assert_close(combined("quotient", net)[1], expected)
    s = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    expected = (-s[0]).exp() * losses.mean() + (-s[1]).exp() * 2 * magtr[valid].mean()
    expected = expected + (-s[2]).exp() * energy[valid].mean() + s.sum() / 2
    torch.testing.assert_close(combined("uncertainty", net)[1], expected)
    half = expected - 0.5 * (-s[0]).exp() * losses.mean()
    torch.testing.assert_close(combined("uncertainty", net, cross_entropy=0.5)[1], half)
    assert len(terms) == 2


def test_uncertainty_moves_by_the_images_that_a_term_is_of():
    """Parts add up; a step without a region moves nothing; a term that warms up does so whole."""
    net = tiny().double()
    whole = combined("uncertainty", net)
    parts = [combined("uncertainty", net, slice(at, at + 2)) for at in (0, 2, 4)]
    (expected,) = torch.autograd.grad(whole[1], [whole[0].log_variances])
    found = sum(torch.autograd.grad(loss, [c.log_variances])[0] for c, loss in parts)
    torch.testing.assert_close(found, expected)

    terms = [Energy(weight=2.0)]
    combination = Combination("uncertainty", terms).double()
    losses, images = torch.ones(6, dtype=torch.float64), pictures(6, dtype=torch.float64)

    def gradient(where, warmed):
        out = guided_forward(net, images, LABELS, where, [Energy(weight=warmed)])
        loss = combination(losses, out, divisors(LABELS, where, terms))[0]
        return torch.autograd.grad(loss, [combination.log_variances])[0][1]

    nowhere = Regions(regions().attend, present=torch.zeros(6, dtype=torch.bool))
    assert gradient(nowhere, 2.0) == 0
    full = gradient(regions(), 2.0)
    assert full != 0
    torch.testing.assert_close(gradient(regions(), 0.5), full / 4)
    assert gradient(regions(), 0.0) == 0


def test_the_published_product_and_quotient():
    """CE x (1 - MAGTR), and CE / MAGTR, with one term of weight one."""
    net, images = tiny().double(), pictures(6, dtype=torch.float64)
    inside = regions().attend
    out = guided_forward(net, images, LABELS, inside, [MAGTR()])
    losses = cross_entropy(out.logits, LABELS, reduction="none")
    by, magtr = divisors(LABELS, Regions(inside), [MAGTR()]), 1 - out.losses["magtr"]
    product = Combination("product", [MAGTR()])(losses, out, by)[0]
    torch.testing.assert_close(product, (losses * (1 - magtr)).mean())
    quotient = Combination("quotient", [MAGTR()])(losses, out, by)[0]
    torch.testing.assert_close(quotient, (losses / magtr).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_parts_add_up_to_the_whole(kind):
    net = tiny(norm=True).double()
    whole, total = combined(kind, net)
    parameters = [*net.parameters(), *whole.parameters()]
    expected = torch.autograd.grad(total, parameters)
    sums = [torch.zeros_like(p) for p in parameters]
    value = 0.0
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        part, share = combined(kind, net, rows)
        value += float(share.detach())
        found = torch.autograd.grad(share, [*net.parameters(), *part.parameters()])
        for added, gradient in zip(sums, found, strict=True):
            added += gradient
    assert value == pytest.approx(float(total.detach()))
    for found, wanted in zip(sums, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_learned_weights_balance_losses_of_different_size():
    """Kendall's optimum: exp(s) is twice the loss."""
    terms = [Energy()]
    combination = Combination("uncertainty", terms)
    optimiser = torch.optim.Adam(combination.parameters(), lr=0.05)
    net, images = tiny(), pictures(6)
    out = guided_forward(net, images, LABELS, regions(), terms)
    losses = cross_entropy(out.logits, LABELS, reduction="none").detach()
    out.losses["energy"] = out.losses["energy"].detach()
    by = divisors(LABELS, regions(), terms)
    for _ in range(600):
        optimiser.zero_grad()
        combination(losses, out, by)[0].backward()
        optimiser.step()
    energy = out.losses["energy"][out.valid["energy"]].mean()
    expected = 2 * torch.stack([losses.mean(), energy])
    torch.testing.assert_close(combination.log_variances.exp(), expected, rtol=1e-3, atol=0)
    other = Combination("uncertainty", terms)
    other.restore(combination.state())
    assert torch.equal(other.log_variances, combination.log_variances)


def test_only_losses_within_bounds_are_multiplied():
    for kind in ("product", "quotient"):
        with pytest.raises(ConfigError, match=r"losses between 0 and 1 .* term rrr"):
            Combination(kind, [RRR()])
    with pytest.raises(ConfigError, match="sum, product, quotient, uncertainty"):
        Combination("max", [Energy()])


def test_a_term_warms_up_along_a_straight_line():
    terms = (Energy(weight=2.0, warmup_epochs=4), Energy(name="now"))
    weights = [{t.title: t.weight for t in warmed(terms, epochs)} for epochs in (0, 1, 2.5, 4, 9)]
    assert [w.get("energy") for w in weights] == [0.0, 0.5, 1.25, 2.0, 2.0]
    assert all(w["now"] == 1 for w in weights)
    with pytest.raises(ConfigError, match="finite warmup_epochs of 0 or more, found -1"):
        Energy(warmup_epochs=-1)


# Whether a term can do anything ----------------------------------------------------------


def test_a_gradient_that_cannot_arrive_is_seen():
    net = tiny(between=nn.Sequential(nn.Linear(6, 6), nn.Tanh()))
    images = pictures(2)
    head = list(net.classifier.parameters())
    assert reaches(net, images, 3, Energy())
    assert reaches(net, images, 3, Energy(), head)
    assert not reaches(net, images, 3, Energy(weights="stop"), head)
    assert not reaches(net, images, 3, Energy(method="scorecam", options={"max_n": 2}), head)
    assert not reaches(net, images, 3, ActDiff(), head)
    assert reaches(net, images, 3, ActDiff())
    assert reaches(net, images, 3, RRR(), head)
    assert all(p.grad is None for p in net.parameters())


def test_a_gradient_that_the_net_itself_stops_is_seen():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny()

        def forward(self, images):
            with torch.no_grad():
                grid = self.inner.after(self.inner.features(images))
            return self.inner.head(grid)

    net = Detached()
    below = list(net.inner.stem.parameters())
    assert not reaches(net, pictures(2), 3, Energy(layer="inner.after"), below)


def test_a_satisfied_term_reaches():
    """The loss has no gradient where the peak lies in the region; the map has."""
    net = tiny()
    net.requires_grad_(False)
    assert reaches(net, pictures(2), 3, Energy())
    assert not any(p.requires_grad for p in net.parameters())


def test_each_term_has_a_variance_of_its_own():
    """With three terms, whose places cannot be taken for each other."""
    net = tiny().double()
    terms = [MAGTR(contrast=True), Energy(contrast=True), ActDiff(weight=0.5)]
    out = guided_forward(net, pictures(6, dtype=torch.float64), LABELS, regions(), terms)
    losses = cross_entropy(out.logits, LABELS, reduction="none")
    by = divisors(LABELS, regions(), terms)
    sums, own = Combination("sum", terms).double()(losses, out, by)
    combination = Combination("uncertainty", terms).double()
    variances = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
    with torch.no_grad():
        combination.log_variances.copy_(variances)
    total, _ = combination(losses, out, by)
    weights = [1.0, *(out.weights[term.title] for term in terms)]
    parts = [own["cross_entropy"], *(own[f"loss.{term.title}"] for term in terms)]
    expected = sum(
        w * part * torch.exp(-s) + s / 2
        for w, part, s in zip(weights, parts, variances, strict=True)
    )
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(sums, sum(w * p for w, p in zip(weights, parts, strict=True)))
