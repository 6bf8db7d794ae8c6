"""What every guidance term promises, and the one forward pass that serves them all."""

import pytest
import torch
from torch import nn

import regard
from regard.data.regions import Regions
from regard.errors import ConfigError, DataError, ModelError, TargetError
from regard.guidance import TERMS, Energy, MapTerm, guided_forward
from regard.guidance.forward_pass import Donors, donors_of
from regard.saliency import METHODS
from regard.saliency import watched as passes
from regard.saliency.resizing import resize
from smallnets import Segmenter, Tiny, TwoViews, Wrapped, pictures, tiny, untouched

each_term = pytest.mark.parametrize("kind", list(TERMS))
OF_MAPS = [kind for kind in TERMS if issubclass(TERMS[kind], MapTerm)]
each_of_maps = pytest.mark.parametrize("kind", OF_MAPS)
OF_LAYERS = [*OF_MAPS, "actdiff"]
LABELS = torch.tensor([0, 2, 1, 0, 1, 2])
HEADS = ("linear", "mlp")
each_head = pytest.mark.parametrize("head", HEADS)


def rectangles(count=6, size=(8, 8)):
    regions = torch.zeros(count, *size)
    for row in range(count):
        regions[row, row % 4 : row % 4 + 4, 1 + row % 3 : 6] = 1
    return regions


def some_missing():
    """Of six images one without a region, one with an empty and one with a full one."""
    regions, present = rectangles(), torch.ones(6, dtype=torch.bool)
    present[1] = False
    regions[3], regions[4] = 0, 1
    return Regions(regions, present=present), torch.tensor([1, 0, 1, 0, 0, 1]).bool()


def net_with(head="linear", **options):
    """A net with one linear layer above the pooling, or with two."""
    if head == "mlp":
        torch.manual_seed(2)
        options["between"] = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    return tiny(**options)


def double(**options):
    return net_with(**options).double(), pictures(6, dtype=torch.float64)


def term(kind, layer=None, **options):
    """A term, which reads the layer if it reads any."""
    return TERMS[kind](layer=layer, **options) if kind in OF_LAYERS else TERMS[kind](**options)


def gradients(loss, net):
    return torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)


def largest(found):
    return max(float(g.abs().max()) for g in found if g is not None)


# Losses of maps --------------------------------------------------------------------------


@each_of_maps
def test_a_perfect_map_has_no_loss(kind):
    regions = rectangles()
    losses = TERMS[kind]().loss(regions, Regions(regions).of(None))
    torch.testing.assert_close(losses, torch.zeros(6), rtol=0, atol=1e-6)


@each_of_maps
def test_a_map_outside_of_the_region_loses_most(kind):
    regions = rectangles()
    evidence = Regions(regions).of(None)
    worst = TERMS[kind]().loss(1 - regions, evidence)
    generator = torch.Generator().manual_seed(0)
    some = TERMS[kind]().loss(torch.rand(6, 8, 8, generator=generator), evidence)
    assert bool((worst > some).all())
    # A peak in the region is all that hagtr asks for.
    assert bool((some > 0).all()) or kind == "hagtr"


@each_of_maps
def test_a_zero_map_counts_as_a_uniform_one(kind):
    evidence = Regions(rectangles(), ignore=rectangles().flip(2)).of(None)
    zero = torch.zeros(6, 8, 8, requires_grad=True)
    losses = TERMS[kind]().loss(zero, evidence)
    torch.testing.assert_close(losses, TERMS[kind]().loss(torch.ones(6, 8, 8), evidence))
    if losses.requires_grad:
        (gradient,) = torch.autograd.grad(losses.sum(), zero)
        assert bool(gradient.isfinite().all())


@each_of_maps
def test_losses_are_of_each_image_alone(kind):
    generator = torch.Generator().manual_seed(1)
    maps, regions = torch.rand(6, 8, 8, generator=generator), rectangles()
    together = TERMS[kind]().loss(maps, Regions(regions).of(None))
    alone = [
        TERMS[kind]().loss(maps[i : i + 1], Regions(regions[i : i + 1]).of(None)) for i in range(6)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_energy_by_hand():
    maps = torch.tensor([[[3.0, 1.0], [0.0, 4.0]]])
    region = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    assert Energy().loss(maps, Regions(region).of(None)).item() == pytest.approx(1 - 3.5 / 8)
    ignore = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    found = Energy().loss(maps, Regions(region, ignore=ignore).of(None))
    assert found.item() == pytest.approx(1 - 3.5 / 4)


def test_energy_is_what_is_missing_from_the_score():
    out = guided_forward(tiny(), pictures(6), LABELS, rectangles(), [Energy()])
    score = regard.score(out.maps["energy"].detach(), rectangles(), "energy")
    dead = score.isnan()
    assert int(dead.sum()) < 6
    torch.testing.assert_close(out.losses["energy"][~dead], 1 - score[~dead])


# Gradients -------------------------------------------------------------------------------


@each_term
@each_head
def test_gradients_are_those_of_finite_differences(kind, head):
    net, images = double(after=nn.Softplus(), head=head)
    maps = torch.stack([regard.explain(net, images[:2], k) for k in range(3)])
    labels = maps.flatten(2).amax(2).argmax(0)
    chosen = [(net.stem, "weight"), (net.last, "weight"), (net.classifier, "weight")]
    values = [getattr(module, name).detach().clone() for module, name in chosen]
    for module, name in chosen:
        delattr(module, name)
    # Squares of small gradients would drown in the tolerance.
    own = [term(kind, layer="after", weight=1e4 if kind == "rrr" else 1.0)]

    def loss(*values):
        for (module, name), value in zip(chosen, values, strict=True):
            setattr(module, name, value)
        return guided_forward(net, images[:2], labels, rectangles(2), own).loss()

    values = [value.requires_grad_() for value in values]
    torch.manual_seed(0)
    # Fast mode compares along random directions instead of one parameter at a time.
    assert torch.autograd.gradcheck(loss, values, eps=1e-6, atol=1e-7, rtol=1e-5, fast_mode=True)
    found = torch.autograd.grad(loss(*values), values, allow_unused=True)
    for (module, _), gradient in zip(chosen, found, strict=True):
        if kind == "actdiff" and module is net.classifier:
            assert gradient is None
        else:
            assert float(gradient.abs().max()) > 1e-5


@each_term
@each_head
@pytest.mark.parametrize("training", [False, True])
def test_a_term_alone_moves_the_parameters(kind, head, training):
    net = net_with(norm=True, head=head).train(training)
    out = guided_forward(net, pictures(6), LABELS, rectangles(), [TERMS[kind]()])
    found = dict(
        zip((n for n, _ in net.named_parameters()), gradients(out.loss(), net), strict=True)
    )
    for name in ("stem.weight", "last.weight", "classifier.weight"):
        if (kind, name) != ("actdiff", "classifier.weight"):
            assert float(found[name].abs().max()) > 1e-6, name


@pytest.mark.parametrize("kind", [kind for kind in TERMS if kind != "actdiff"])
def test_a_frozen_backbone_leaves_the_head_to_move(kind):
    net = tiny(between=nn.Sequential(nn.Linear(6, 6), nn.Tanh()))
    net.requires_grad_(False)
    net.classifier.requires_grad_(True)
    out = guided_forward(net, pictures(6), LABELS, rectangles(), [TERMS[kind]()])
    (found,) = torch.autograd.grad(out.loss(), [net.classifier.weight])
    assert float(found.abs().max()) > 1e-6


@each_term
@each_head
def test_images_without_a_telling_region_have_no_part(kind, head):
    net, images = double(head=head)
    regions, telling = some_missing()
    out = guided_forward(net, images, LABELS, regions, [TERMS[kind]()])
    assert out.valid[kind].tolist() == telling.tolist()
    assert bool((out.losses[kind][~telling] == 0).all())
    # A map that is zero, and so uniform, is all that the inside alone can ask for.
    assert bool((out.losses[kind][telling] > 0).all()) or kind in ("hagtr", "magtr")
    found = gradients(out.loss(), net)
    alone = guided_forward(
        net, images[telling], LABELS[telling], regions.attend[telling], [TERMS[kind]()]
    )
    expected = gradients(alone.loss(), net)
    assert largest(found) > 1e-6
    torch.testing.assert_close(out.loss(), alone.loss())
    for left, right in zip(found, expected, strict=True):
        assert (left is None) == (right is None)
        if left is not None:
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@each_term
def test_without_any_region_the_loss_is_zero(kind):
    net = tiny()
    absent = Regions(rectangles(), present=torch.zeros(6, dtype=torch.bool))
    out = guided_forward(net, pictures(6), LABELS, absent, [TERMS[kind](weight=3.0)])
    assert out.loss().item() == 0
    assert not out.valid[kind].any()
    for gradient in gradients(out.loss(), net):
        assert gradient is None or not gradient.any()


@each_of_maps
@each_head
def test_a_dead_net_gives_finite_gradients(kind, head):
    net = net_with(after=nn.ReLU(), head=head)
    with torch.no_grad():
        net.last.weight.zero_()
        net.last.bias.fill_(-1)
    terms = [TERMS[kind](layer="after")]
    out = guided_forward(net, pictures(6), LABELS, rectangles(), terms)
    assert bool((out.maps[kind] == 0).all())
    area = rectangles().mean((1, 2))
    uniform = TERMS[kind]().loss(torch.ones(6, 8, 8), Regions(rectangles()).of(None))
    torch.testing.assert_close(out.losses[kind].detach(), uniform)
    assert bool((area < 1).all())
    for gradient in gradients(out.loss() + out.logits.sum(), net):
        assert bool(gradient.isfinite().all())


@each_of_maps
@pytest.mark.parametrize("exponent", [-45, -42, -40, -39, -38, -37, -36, -30, -20])
def test_the_smallest_maps_give_finite_gradients(kind, exponent):
    """A net that is sure of its answer has gradients at the end of what a float can hold."""
    maps = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0)).double() * 10.0**exponent
    maps = maps.float().requires_grad_()
    losses = TERMS[kind]().loss(maps, Regions(rectangles()).of(None))
    assert bool(losses.isfinite().all())
    (gradient,) = torch.autograd.grad(losses.sum(), maps)
    assert bool(gradient.isfinite().all())


@each_term
@each_head
@pytest.mark.parametrize("parts", [(3, 3), (1, 5), (2, 2, 2), (1,) * 6])
def test_parts_of_a_batch_add_up_to_its_gradient(kind, head, parts):
    net, images = double(norm=True, head=head)
    regions, telling = some_missing()
    whole = guided_forward(net, images, LABELS, regions, [TERMS[kind]()])
    expected = gradients(whole.loss(), net)
    sums, start = [torch.zeros_like(p) for p in net.parameters()], 0
    lent = donors_of(images, regions.of(LABELS))
    for count in parts:
        rows = slice(start, start + count)
        given = images[rows], LABELS[rows], regions[rows]
        donors = Donors(*(each[rows] for each in lent))
        out = guided_forward(net, *given, [TERMS[kind]()], donors=donors)
        share = out.losses[kind].sum() / telling.sum()
        for total, part in zip(sums, gradients(share, net), strict=True):
            if part is not None:
                total += part
        start += count
    assert largest(expected) > 1e-6
    for total, gradient in zip(sums, expected, strict=True):
        found = torch.zeros_like(total) if gradient is None else gradient
        torch.testing.assert_close(total, found, rtol=1e-9, atol=1e-13)


# The forward pass ------------------------------------------------------------------------


def test_the_net_runs_once_and_maps_are_shared(monkeypatch):
    net, made = tiny(), []
    monkeypatch.setattr(
        METHODS["gradcam"],
        "maps",
        lambda self, seen, own=METHODS["gradcam"].maps: made.append(seen) or own(self, seen),
    )
    terms = [
        Energy(name="found", weight=0.5),
        Energy(name="again", weight=2.0),
        Energy(name="named", layer="after"),
        Energy(name="early", layer="stem"),
        Energy(name="cam", method="cam"),
    ]
    guided_forward(net, pictures(6), LABELS, rectangles(), terms)
    before, already = net.calls, len(made)
    out = guided_forward(net, pictures(6), LABELS, rectangles(), terms)
    assert net.calls == before + 1
    assert len(made) == already + 2
    assert list(out.losses) == ["found", "again", "named", "early", "cam"]
    assert out.maps["found"] is out.maps["again"] is out.maps["named"]
    assert out.maps["early"].shape == (6, 4, 4)
    assert not torch.equal(out.maps["early"], out.maps["found"])


def test_options_that_differ_in_the_middle_of_a_tensor_give_other_maps():
    """Its repr shows the corners alone."""
    net, images = tiny(), pictures(2, side=40)
    around = torch.zeros(4, 3, 40, 40)
    terms = []
    for value in (1.0, -3.0):
        background = around.clone()
        background[:, :, 8:32, 8:32] = value
        how = {"method": "expected_gradients", "options": {"background": background, "samples": 4}}
        terms.append(Energy(name=str(value), **how))
    region = rectangles(2, (40, 40))
    together = guided_forward(net, images, LABELS[:2], region, terms).losses
    for term in terms:
        apart = guided_forward(net, images, LABELS[:2], region, [term]).losses[term.title]
        torch.testing.assert_close(together[term.title], apart)
    assert not torch.equal(*together.values())


@pytest.mark.parametrize(
    "head",
    [{"pool": "max"}, {"between": nn.Sequential(nn.Linear(6, 6, bias=False), nn.Tanh())}],
    ids=["max", "mlp"],
)
def test_dead_images_first_do_not_make_it_another_head(head):
    """Of dead activations any pooling, and a head without biases, gives what a linear one does."""
    fresh, later = tiny(**head), tiny(**head)
    with torch.no_grad():
        for net in (fresh, later):
            net.stem.bias.zero_()
            net.last.bias.zero_()
    term = Energy(method="hirescam", layer="after")
    guided_forward(later, torch.zeros(2, 3, 8, 8), LABELS[:2], rectangles(2), [term])
    losses = [
        guided_forward(net, pictures(6), LABELS, rectangles(), [term]).losses
        for net in (fresh, later)
    ]
    torch.testing.assert_close(losses[0]["energy"], losses[1]["energy"])


@each_head
def test_maps_are_those_of_explain(head):
    net, images = net_with(head=head), pictures(6)
    out = guided_forward(net, images, LABELS, rectangles(), [Energy()])
    torch.testing.assert_close(out.maps["energy"], regard.explain(net, images, LABELS))
    early = [Energy(layer="stem")]
    out = guided_forward(net, images, LABELS, rectangles(), early)
    expected = regard.explain(net, images, LABELS, layer="stem")
    torch.testing.assert_close(out.maps["energy"], expected)
    losses = Energy().loss(resize(expected, (8, 8)), Regions(rectangles()).of(None))
    torch.testing.assert_close(out.losses["energy"], losses)


def test_the_loss_is_the_weighted_sum_of_means_over_the_valid():
    regions, telling = some_missing()
    terms = [Energy(weight=0.5, name="a"), Energy(weight=3.0, name="b", layer="stem")]
    out = guided_forward(tiny(), pictures(6), LABELS, regions, terms)
    means = [out.losses[name][telling].mean() for name in ("a", "b")]
    torch.testing.assert_close(out.loss(), 0.5 * means[0] + 3 * means[1])
    assert out.loss().dtype == torch.float32


@each_head
@pytest.mark.parametrize("training", [False, True])
def test_logits_and_statistics_are_the_plain_net_s(head, training):
    options = {"norm": True, "head": head}
    plain, net = net_with(**options).train(training), net_with(**options).train(training)
    expected = plain(pictures(6))
    out = guided_forward(net, pictures(6), LABELS, rectangles(), [Energy()])
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=0)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(net.get_buffer(name), buffer, rtol=0, atol=0)
    assert int(net.norm.num_batches_tracked) == int(training)
    assert net.training == training


def test_dropout_draws_what_a_plain_step_draws():
    net = tiny(between=nn.Dropout(0.5)).train()
    torch.manual_seed(8)
    expected = net(pictures(6))
    torch.manual_seed(8)
    out = guided_forward(net, pictures(6), LABELS, rectangles(), [Energy()])
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=0)


def test_the_cross_entropy_s_gradient_is_the_plain_one():
    net, images = double(norm=True)
    plain = gradients(nn.functional.cross_entropy(net(images), LABELS), net)
    out = guided_forward(net, images, LABELS, rectangles(), [Energy()])
    found = gradients(nn.functional.cross_entropy(out.logits, LABELS), net)
    for left, right in zip(found, plain, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-15)


def test_no_terms_is_a_plain_pass():
    net = tiny()
    out = guided_forward(net, pictures(6), LABELS, rectangles(), [])
    torch.testing.assert_close(out.logits, net(pictures(6)), rtol=0, atol=0)
    assert out.loss().item() == 0
    assert out.maps == out.losses == out.valid == {}


@each_term
@each_head
@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_without_gradients_the_values_are_the_same(kind, head, mode):
    net, images = net_with(head=head), pictures(6)
    terms = [TERMS[kind](), term(kind, name="early", layer="stem")]
    expected = guided_forward(net, images, LABELS, rectangles(), terms)
    with mode(), untouched(net, images):
        out = guided_forward(net, images, LABELS, rectangles(), terms)
        graph = torch.is_grad_enabled()
    for name in (kind, "early"):
        torch.testing.assert_close(out.losses[name], expected.losses[name])
        assert out.losses[name].requires_grad is graph
        if kind in OF_MAPS:
            torch.testing.assert_close(out.maps[name], expected.maps[name])
            assert out.maps[name].requires_grad is graph
    assert out.logits.requires_grad is graph


@each_of_maps
@each_head
def test_terms_are_computed_in_float32_outside_of_autocast(kind, head, monkeypatch):
    net, images, seen = net_with(head=head), pictures(6), []
    own = TERMS[kind].loss

    def note(self, maps, evidence):
        seen.append((maps.dtype, torch.is_autocast_enabled("cpu")))
        return own(self, maps, evidence)

    monkeypatch.setattr(TERMS[kind], "loss", note)
    with torch.autocast("cpu", torch.bfloat16):
        out = guided_forward(net, images, LABELS, rectangles(), [TERMS[kind]()])
    assert seen == [(torch.float32, False)]
    assert out.logits.dtype == torch.bfloat16
    assert out.losses[kind].dtype == out.maps[kind].dtype == out.loss().dtype == torch.float32
    expected = guided_forward(net, images, LABELS, rectangles(), [TERMS[kind]()])
    torch.testing.assert_close(out.losses[kind], expected.losses[kind], rtol=3e-2, atol=2e-2)
    assert largest(gradients(out.loss(), net)) > 1e-6


def test_double_precision_is_kept():
    net, images = double()
    out = guided_forward(net, images, LABELS, rectangles(), [Energy()])
    assert out.losses["energy"].dtype == out.loss().dtype == torch.float64


def test_hooks_are_gone_after_an_exception():
    class Breaks(nn.Module):
        def forward(self, maps):
            raise FloatingPointError("broken on purpose")

    net, images = tiny(), pictures(6)
    guided_forward(net, images, LABELS, rectangles(), [Energy()])
    net.classifier = Breaks()
    with untouched(net, images), pytest.raises(FloatingPointError):
        guided_forward(net, images, LABELS, rectangles(), [Energy(layer="last")])


def test_a_wrapped_net_and_one_of_several_views():
    expected = guided_forward(tiny(), pictures(6), LABELS, rectangles(), [Energy()])
    wrapped = Wrapped(tiny(), "module").eval()
    out = guided_forward(wrapped, pictures(6), LABELS, rectangles(), [Energy()])
    torch.testing.assert_close(out.loss(), expected.loss())
    views = {"image": pictures(6), "segmented": pictures(6, seed=9)}
    net = TwoViews().eval()
    out = guided_forward(net, views, LABELS, rectangles(), [Energy(layer=net.image.last)])
    alone = regard.explain(net.image, views["image"], LABELS, layer="last")
    torch.testing.assert_close(out.maps["energy"], alone)


def test_the_head_s_weights_stand_in_for_a_second_backward_pass(monkeypatch):
    net, images = double()
    quick = guided_forward(net, images, LABELS, rectangles(), [Energy()])
    monkeypatch.setattr(passes, "linear_head", lambda *_: None)
    slow = guided_forward(net, images, LABELS, rectangles(), [Energy()])
    torch.testing.assert_close(quick.loss(), slow.loss())
    for left, right in zip(gradients(quick.loss(), net), gradients(slow.loss(), net), strict=True):
        assert (left is None) == (right is None)
        if left is not None:
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-13)


# Mistakes --------------------------------------------------------------------------------


@each_term
@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_no_weight_is_refused(kind, weight):
    with pytest.raises(ConfigError, match=f"term {kind}: expected a finite weight of 0 or more"):
        TERMS[kind](weight=weight)
    assert TERMS[kind](weight=0.0).weight == 0


@each_of_maps
def test_a_method_that_cannot_be_part_of_a_loss_is_refused(kind, monkeypatch):
    monkeypatch.setattr(METHODS["cam"], "differentiable", False)
    with pytest.raises(ConfigError, match="expected a differentiable method, found cam"):
        TERMS[kind](method="cam")
    with pytest.raises(ConfigError, match="did you mean gradcam"):
        TERMS[kind](method="gradcan")


@each_term
def test_names_have_to_differ(kind):
    net, images = tiny(), pictures(6)
    with pytest.raises(ConfigError, match=f"found '{kind}' twice"):
        guided_forward(net, images, LABELS, rectangles(), [TERMS[kind](), TERMS[kind](weight=2.0)])
    with pytest.raises(ConfigError, match="found 'a' twice"):
        guided_forward(
            net, images, LABELS, rectangles(), [TERMS[kind](name="a"), Energy(name="a", weight=2.0)]
        )
    assert net.calls == 0


@pytest.mark.parametrize("count", [1, 5])
def test_another_number_of_regions_is_refused(count):
    with pytest.raises(DataError, match=f"expected 6 regions, one an image, found {count}"):
        guided_forward(tiny(), pictures(6), LABELS, rectangles(count), [Energy()])


def test_nets_and_targets_that_do_not_fit_are_refused():
    images, regions = pictures(6), rectangles()
    with pytest.raises(TargetError, match="classes 0 to 2, found 3"):
        guided_forward(tiny(), images, LABELS + 1, regions, [Energy()])
    with pytest.raises(TargetError, match="PixelTarget"):
        guided_forward(Segmenter(), images, LABELS, regions, [Energy()])
    with pytest.raises(ModelError, match="expected a layer of Tiny"):
        guided_forward(Tiny(), images, LABELS, regions, [Energy(layer="none")])


def test_names_are_listed():
    assert regard.guidance.terms() == sorted(TERMS)
    for name, kind in TERMS.items():
        assert kind.kind == kind().title == name
        assert kind(name="own").title == "own"


# Several classes an image ----------------------------------------------------------------


@each_term
@each_head
def test_pairs_are_images_given_once_for_each_class(kind, head):
    net, images = double(head=head)
    rows, classes = torch.tensor([4, 0, 4, 2, 0, 4, 5]), torch.tensor([1, 0, 2, 1, 2, 0, 0])
    region = Regions(
        rectangles(7),
        ignore=rectangles(7).flip(2) * 0.5,
        present=torch.tensor([True, True, True, True, False, True, True]),
    )
    own = [term(kind)]
    lent = Donors(images.roll(1, 0), rectangles().double())
    ours = guided_forward(net, images, classes, region, own, rows=rows, donors=lent)
    theirs = guided_forward(
        net, images[rows], classes, region, own, donors=Donors(*(each[rows] for each in lent[:2]))
    )
    assert ours.logits.shape == (6, 3)
    assert ours.valid[kind].tolist() == theirs.valid[kind].tolist()
    torch.testing.assert_close(ours.losses[kind], theirs.losses[kind], rtol=1e-9, atol=1e-12)
    if kind in OF_MAPS:
        torch.testing.assert_close(ours.maps[kind], theirs.maps[kind], rtol=1e-9, atol=1e-12)
    found, expected = gradients(ours.loss(), net), gradients(theirs.loss(), net)
    assert largest(expected) > 1e-9
    for left, right in zip(found, expected, strict=True):
        assert (left is None) == (right is None)
        if left is not None:
            torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-12)


def test_pairs_need_one_pass_and_may_be_none():
    net = tiny()
    guided_forward(net, pictures(6), LABELS, rectangles(), [Energy()])
    before = net.calls
    rows, classes = torch.tensor([0, 0, 3]), torch.tensor([0, 1, 2])
    out = guided_forward(net, pictures(6), classes, rectangles(3), [Energy()], rows=rows)
    assert net.calls == before + 1
    assert out.losses["energy"].shape == (3,)
    none = torch.zeros(0, dtype=torch.long)
    out = guided_forward(net, pictures(6), none, rectangles(0), [Energy()], rows=none)
    assert (out.losses["energy"].shape, out.loss().item()) == ((0,), 0)
    torch.testing.assert_close(out.logits, net(pictures(6)))


@pytest.mark.parametrize(
    ("rows", "classes", "regions", "message"),
    [
        ([0, 1], [0, 1, 2], 2, "as many rows as targets and regions, found 2, 3 and 2"),
        ([0, 1], [0, 1], 3, "found 2, 2 and 3"),
        ([0, 6], [0, 1], 2, "expected images 0 to 5, found 6"),
        ([-1, 0], [0, 1], 2, "expected images 0 to 5, found -1"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(rows, classes, regions, message):
    rows, classes = torch.tensor(rows), torch.tensor(classes)
    with pytest.raises(DataError, match=message):
        guided_forward(tiny(), pictures(6), classes, rectangles(regions), [Energy()], rows=rows)
    with pytest.raises(TargetError):
        guided_forward(
            tiny(), pictures(6), torch.tensor([7]), rectangles(1), [Energy()], rows=rows[:1] * 0
        )


@pytest.mark.usefixtures("unchecked")
def test_weights_of_another_kind_are_refused():
    with pytest.raises(ConfigError, match="expected weights: flow or stop"):
        Energy(weights="stp")


@pytest.mark.parametrize("kind", ["masked_input", "background_swap"])
def test_the_outside_is_exchanged_in_every_view(kind):
    """What lies outside in the second view changes nothing: that is exchanged, too."""
    net, inside = TwoViews().double().eval(), rectangles(4).double()
    keep = inside[:, None]
    views = {name: pictures(4, dtype=torch.float64) for name in ("image", "segmented")}
    other = torch.rand_like(views["segmented"])
    changed = views | {"segmented": keep * views["segmented"] + (1 - keep) * other}
    labels = torch.tensor([0, 1, 0, 1])
    term = TERMS[kind](**({"fill": "zero"} if kind == "masked_input" else {}))
    lent = Donors({name: view.roll(1, 0) for name, view in views.items()}, inside.roll(1, 0))
    before = guided_forward(net, views, labels, inside, [term], donors=lent)
    after = guided_forward(net, changed, labels, inside, [term], donors=lent)
    assert not torch.equal(before.logits, after.logits)
    torch.testing.assert_close(before.losses[kind], after.losses[kind])


def test_activations_differ_by_what_lies_outside_in_any_view():
    net, inside = TwoViews().double().eval(), rectangles(4).double()
    picture = pictures(4, dtype=torch.float64)
    masked = picture * inside[:, None]
    labels = torch.tensor([0, 1, 0, 1])
    convolutions = (n for n, part in net.named_modules() if isinstance(part, nn.Conv2d))
    layer = next(name for name in convolutions if name.startswith("segmented."))
    term = TERMS["actdiff"](layer=layer)
    views = {"image": masked, "segmented": picture}
    assert (guided_forward(net, views, labels, inside, [term]).losses["actdiff"] > 0).all()
    views = {"image": picture, "segmented": masked}
    assert guided_forward(net, views, labels, inside, [term]).losses["actdiff"].sum() == 0


def test_an_image_that_is_alone_with_its_region_has_no_background_to_take():
    net, images = tiny(), pictures(4)
    present = torch.tensor([False, True, False, False])
    alone = Regions(rectangles(4), present=present)
    term = TERMS["background_swap"]()
    out = guided_forward(net, images, torch.tensor([0, 1, 0, 1]), alone, [term])
    assert out.valid["background_swap"].tolist() == [False] * 4
    two = Regions(rectangles(4), present=torch.tensor([False, True, False, True]))
    out = guided_forward(net, images, torch.tensor([0, 1, 0, 1]), two, [term])
    assert out.valid["background_swap"].tolist() == [False, True, False, True]


def test_ablations_run_under_autocast_as_the_pass_did():
    """Activations seen in bfloat16 go into passes that run in the net's own type."""
    net, images, labels = tiny(), pictures(4), torch.tensor([0, 1, 0, 1])
    head = nn.Sequential(net, nn.ReLU(), nn.Linear(net(images).shape[1], 2))  # none to fold
    term = Energy(method="ablationcam")
    with torch.autocast("cpu", torch.bfloat16):
        out = guided_forward(head, images, labels, rectangles(4), [term])
    assert out.losses["energy"].isfinite().all()
    exact = guided_forward(head, images, labels, rectangles(4), [term])
    torch.testing.assert_close(out.losses["energy"], exact.losses["energy"], atol=0.1, rtol=0)
