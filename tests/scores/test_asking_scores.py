"""Scores of the map alone and those that ask the model, against slow copies of their formulas."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import regard
from regard.errors import ConfigError, DataError, TargetError
from regard.images.backgrounds import blurred
from regard.saliency import PixelTarget
from regard.scores import SCORES
from regard.scores.base import Model
from regard.scores.faithfulness import rank_of
from smallnets import Segmenter, pictures, tiny, untouched

OTHERS = [name for name in SCORES if SCORES[name].asks != "region"]
OF_MODEL = [name for name in SCORES if SCORES[name].asks == "model"]
FAST = {"deletion": {"steps": 5}, "insertion": {"steps": 5}, "sanity": {"stages": 2}}
each_other = pytest.mark.parametrize("name", OTHERS)
each_of_model = pytest.mark.parametrize("name", OF_MODEL)


def maps_of(count=4, side=4, seed=0):
    return torch.rand(count, side, side, generator=torch.Generator().manual_seed(seed))


def scored(name, maps, net=None, images=None, targets=None, **options):
    net = tiny() if net is None else net
    images = pictures(len(maps)) if images is None else images
    chosen = FAST.get(name, {}) | options
    return regard.score(maps, None, name, net=net, images=images, targets=targets, **chosen)


# What all of them promise ----------------------------------------------------------------


@each_other
def test_zero_and_broken_maps_score_nan(name):
    maps = maps_of(5)
    maps[1], maps[2], maps[3, 0, 0] = 0, -1, torch.nan
    found = scored(name, maps)
    assert found.dtype == torch.float32
    assert found.isnan().tolist() == [False, True, True, True, False]


@each_other
def test_an_image_does_not_depend_on_the_others_nor_on_the_map_s_scale(name):
    maps, images, net, targets = maps_of(), pictures(), tiny(), torch.tensor([0, 1, 2, 0])
    before = maps.clone()
    with untouched(net, images):
        together = scored(name, maps, net, images, targets)
    alone = [
        scored(name, 7 * maps[i : i + 1], net, images[i : i + 1], targets[i : i + 1])
        for i in range(4)
    ]
    torch.testing.assert_close(together, torch.cat(alone))
    assert torch.equal(maps, before)


@each_of_model
def test_the_model_and_its_images_are_needed(name):
    with pytest.raises(DataError, match="found no net"):
        regard.score(maps_of(), None, name)
    with pytest.raises(DataError, match="expected net= and 4 images="):
        regard.score(maps_of(), None, name, net=tiny(), images=pictures(3))
    with pytest.raises(ConfigError, match="expected its own options"):
        scored(name, maps_of(), no_such_option=1)


@each_of_model
def test_no_targets_means_the_predicted_class(name):
    net, images = tiny(), pictures()
    with torch.no_grad():
        net.classifier.bias -= net(images).mean(0)
        predicted = net(images).argmax(1)
    assert len(predicted.unique()) > 1
    own = scored(name, maps_of(), net, images)
    torch.testing.assert_close(own, scored(name, maps_of(), net, images, predicted))


# Concentration ---------------------------------------------------------------------------


def slow_gini(values):
    """Mean absolute difference of all pairs over twice the mean."""
    differences = np.abs(values[:, None] - values[None]).mean()
    return differences / (2 * values.mean())


def test_sparseness_is_the_gini_index():
    maps = maps_of() ** 3
    expected = [slow_gini(row.flatten().double().numpy()) for row in maps]
    np.testing.assert_allclose(scored("sparseness", maps).numpy(), expected, rtol=1e-5)


def test_concentration_of_the_extremes():
    peak, even = torch.zeros(1, 5, 4), torch.full((1, 5, 4), 0.3)
    peak[0, 2, 1] = 4
    assert scored("sparseness", peak).item() == pytest.approx(1 - 1 / 20)
    assert scored("sparseness", even).item() == pytest.approx(0, abs=1e-6)
    assert scored("entropy", peak).item() == pytest.approx(0)
    assert scored("entropy", even).item() == pytest.approx(1)


def test_entropy_is_shannon_s():
    maps = maps_of()
    for row, found in zip(maps.double(), scored("entropy", maps), strict=True):
        p = (row / row.sum()).flatten().numpy()
        assert found.item() == pytest.approx(-(p * np.log(p)).sum() / np.log(16), rel=1e-5)


# Faithfulness ----------------------------------------------------------------------------


def probability(net, image, target):
    with torch.no_grad():
        return float(net(image[None]).softmax(1)[0, target])


def slow_path(net, image, ranked, before, after, target, steps):
    """The area under the curve of one pixel after another."""
    height, width = image.shape[1:]
    curve = []
    for step in range(steps + 1):
        current = before.clone()
        for place in ranked[: round(step * height * width / steps)]:
            current[:, place // width, place % width] = after[:, place // width, place % width]
        curve.append(probability(net, current, target))
    return sum((a + b) / 2 / steps for a, b in pairwise(curve))


def slow_order(saliency):
    """Places by falling saliency; of equals the one that comes first in rows."""
    values = saliency.flatten().tolist()
    return sorted(range(len(values)), key=lambda place: (-values[place], place))


@pytest.mark.parametrize("steps", [1, 7, 64])
@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_paths_are_those_of_one_pixel_after_another(name, steps):
    net, images, targets = tiny(), 3 * pictures(3), torch.tensor([1, 0, 2])
    maps = (maps_of(3, side=8) * 4).round() + 0.1  # with many ties
    found = scored(name, maps, net, images, targets, steps=steps)
    for row in range(3):
        image, ranked = images[row], slow_order(maps[row])
        if name == "deletion":
            ends = image, image.mean((1, 2), keepdim=True).expand_as(image)
        else:
            ends = blurred(images)[row], image
        area = slow_path(net, image, ranked, *ends, int(targets[row]), steps)
        assert found[row].item() == pytest.approx(area, rel=1e-5)


def test_ranks_are_dense_and_stable():
    maps = torch.tensor([[[2.0, 5.0], [5.0, 2.0]]])
    assert rank_of(maps).tolist() == [[[2, 0], [1, 3]]]


class Spot(nn.Module):
    """Knows one pixel only."""

    def forward(self, images):
        bright = images[:, 0, 2, 3]
        return torch.stack([10 * bright - 5, 5 - 10 * bright], 1)


def test_the_map_that_shows_what_matters_is_the_more_faithful():
    images = torch.zeros(1, 3, 8, 8)
    images[:, :, 2, 3] = 1
    right, wrong = torch.full((1, 8, 8), 0.01), torch.full((1, 8, 8), 1.0)
    right[0, 2, 3], wrong[0, 2, 3] = 1, 0.01
    for name in ("deletion", "insertion", "average_drop"):
        good, bad = (
            scored(name, m, Spot(), images, torch.tensor([0]), steps=64)
            if name != "average_drop"
            else scored(name, m, Spot(), images, torch.tensor([0]))
            for m in (right, wrong)
        )
        assert (good < bad) if SCORES[name].better == "lower" else (good > bad)


def test_drop_and_increase_by_hand():
    net, images, targets = tiny(), 3 * pictures(6), torch.tensor([0, 1, 2, 0, 1, 2])
    maps = maps_of(6, side=8)
    drop = scored("average_drop", maps, net, images, targets)
    rise = scored("increase", maps, net, images, targets)
    for row in range(6):
        whole = probability(net, images[row], targets[row])
        shown = probability(net, images[row] * maps[row] / maps[row].max(), targets[row])
        assert drop[row].item() == pytest.approx(max(0, whole - shown) / whole, abs=1e-5)
        assert rise[row].item() == float(shown > whole)
    assert set(rise.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("side", [(8, 8), (33, 20), (224, 224)])
def test_blurring_keeps_what_is_even_and_loses_no_light(side):
    even = torch.full((2, 3, *side), 0.4)
    torch.testing.assert_close(blurred(even), even)
    noise = torch.rand(1, 3, *side, generator=torch.Generator().manual_seed(0))
    assert blurred(noise).std() < 0.4 * noise.std()
    assert blurred(noise).mean().item() == pytest.approx(noise.mean().item(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "options"), [("deletion", {"steps": 0}), ("insertion", {"baseline": "x"})]
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ConfigError, match="expected "):
        scored(name, maps_of(), **options)


@each_of_model
@pytest.mark.parametrize(
    "targets", [torch.tensor([1]), torch.tensor([0, 1, 2, 1]), torch.tensor([0, 1, -1]),
                torch.tensor([0, 1, 3]), torch.tensor([0.0, 1.0, 2.0]), [0, 1]]
)  # fmt: skip
def test_targets_that_are_no_class_of_each_image_are_refused(name, targets):
    with pytest.raises(TargetError, match=r"^targets: expected "):
        scored(name, maps_of(3), targets=targets)


@each_of_model
def test_targets_may_be_a_list_or_one_for_all(name):
    expected = scored(name, maps_of(3), targets=torch.tensor([1, 1, 1]))
    for targets in ([1, 1, 1], 1):
        torch.testing.assert_close(
            scored(name, maps_of(3), targets=targets), expected, equal_nan=True
        )


# Sanity ----------------------------------------------------------------------------------


def test_sanity_is_the_mean_rank_correlation_over_the_stages():
    from scipy.stats import spearmanr

    from regard.saliency.resizing import resize
    from regard.scores.sanity import randomised

    net, images, targets = tiny(), pictures(3), torch.tensor([0, 1, 2])
    maps = regard.explain(net, images, targets)
    found = scored("sanity", maps, net, images, targets, stages=3)
    stages = []
    for other in randomised(net, images, 3, 0):
        theirs = resize(regard.explain(other, images, targets), (8, 8))
        ours = resize(maps, (8, 8))
        # Equal but for rounding, which is another one on every machine, is a tie.
        both = [
            [(m / m.max().clamp_min(1e-30)).flatten().numpy().round(5) for m in pair]
            for pair in zip(ours, theirs, strict=True)
        ]
        pairs = [spearmanr(a, b).statistic for a, b in both]
        stages.append(np.nan_to_num(pairs))
    np.testing.assert_allclose(found.numpy(), np.mean(stages, 0), atol=1e-5)


@pytest.mark.parametrize("sign", ["positive", "absolute"])
def test_a_net_that_forgets_nothing_passes_for_itself_of_either_sign(sign, monkeypatch):
    from regard.scores import sanity

    monkeypatch.setattr(sanity, "_shuffle", lambda *_: None)
    net, images, targets = tiny(), pictures(3), torch.tensor([0, 1, 2])
    maps = regard.explain(net, images, targets, "input_x_gradient")
    how = {"method": "input_x_gradient", "sign": sign}
    found = scored("sanity", maps, net, images, targets, **how)
    np.testing.assert_allclose(found.numpy(), 1, atol=1e-6)
    # Of maps with a graph, and within inference mode.
    assert torch.equal(scored("sanity", maps.requires_grad_(), net, images, targets, **how), found)
    with torch.inference_mode():
        assert torch.equal(scored("sanity", maps, net, images, targets, **how), found)


def test_randomising_shuffles_from_the_output_down_in_a_copy():
    from regard.scores.sanity import randomised

    net = tiny()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    changed = []
    for other in randomised(net, pictures(1), 3, 0):
        now = other.state_dict()
        changed.append({n.split(".")[0] for n in before if not torch.equal(now[n], before[n])})
        for name, value in before.items():
            assert torch.equal(now[name].flatten().sort().values, value.flatten().sort().values)
    assert changed == [
        {"classifier"},
        {"classifier", "last"},
        {"classifier", "last", "stem"},
    ]
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


class HeadFirst(nn.Module):
    """Its modules are registered in another order than they are called in."""

    def __init__(self):
        super().__init__()
        self.head, self.second, self.first = nn.Linear(4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(3, 4, 3)
        self.shift = nn.Parameter(torch.rand(4, 1, 1))
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, images):
        maps = self.second((self.first(images) + self.shift).relu())
        tokens = maps.flatten(2).transpose(1, 2)
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


def test_randomising_follows_the_order_of_the_pass():
    from regard.scores.sanity import randomised

    net, changed = HeadFirst().eval(), []
    before = {name: value.clone() for name, value in net.named_parameters() if value.std() > 0}
    for other in randomised(net, pictures(2), 6, 0):
        now = dict(other.named_parameters())
        changed += [{name for name in before if not torch.equal(now[name], before[name])}]
    steps = [{n.split(".")[0] for n in b - a} for a, b in pairwise([set(), *changed])]
    assert steps == [{"head"}, {"attention"}, {"attention"}, {"second"}, {"first"}, {"shift"}]


def test_the_layer_may_be_the_module_itself():
    net, images, targets = tiny(), pictures(3), torch.tensor([0, 1, 2])
    maps = regard.explain(net, images, targets, layer=net.stem)
    named = scored("sanity", maps, net, images, targets, layer="stem")
    assert torch.equal(scored("sanity", maps, net, images, targets, layer=net.stem), named)


def test_a_drawing_of_the_image_fails_the_sanity_check():
    """A map that only follows the pixels stays the same when the net forgets everything."""
    net, images = tiny(), pictures(3).abs()
    edges = images.mean(1)
    honest = scored("sanity", regard.explain(net, images, 0), net, images, torch.zeros(3).long())
    assert float(honest.max()) < 0.95
    constant = scored("sanity", edges, net, images, torch.zeros(3).long(), layer="stem")
    assert bool(constant.isfinite().all())


# Background reliance ---------------------------------------------------------------------


class Corner(nn.Module):
    """Sees the corner alone, which lies outside of every region here."""

    def forward(self, images):
        bright = images[:, 0, 0, 0]
        return torch.stack([-bright, bright], 1)


class Middle(nn.Module):
    def forward(self, images):
        bright = images[:, 0, 4, 4]
        return torch.stack([-bright, bright], 1)


def two_classes(count=40):
    labels = torch.arange(count) % 2
    images = torch.zeros(count, 3, 8, 8)
    images[:, :, 0, 0] = images[:, :, 4, 4] = (labels * 2.0 - 1)[:, None]
    regions = torch.zeros(count, 8, 8)
    regions[:, 3:6, 3:6] = 1
    return images, regions, labels


def test_a_net_of_the_background_relies_on_it_and_one_of_the_subject_does_not():
    images, regions, labels = two_classes()
    before = images.clone()
    corner = regard.scores.background_reliance(Corner(), images, regions, labels).means()
    assert torch.equal(images, before)
    middle = regard.scores.background_reliance(Middle(), images, regions, labels).means()
    assert middle == {
        "original": 1,
        "mean": 1,
        "blur": 1,
        "same_class": 1,
        "random_class": 1,
        "bg_gap": 0,
    }
    assert (corner["original"], corner["same_class"]) == (1, 1)
    assert 0.25 < corner["random_class"] < 0.75
    assert corner["bg_gap"] == pytest.approx(1 - corner["random_class"])


def test_the_gap_is_of_the_images_that_have_both_partners():
    images, regions, labels = two_classes(7)
    labels[0] = 2  # the only one of its class
    found = regard.scores.background_reliance(Corner(), images, regions, labels)
    means = found.means()
    assert found.same_class[0].isnan()
    assert means["random_class"] == pytest.approx(float(found.random_class[1:].mean()))
    assert means["bg_gap"] == pytest.approx(means["same_class"] - means["random_class"])


def test_partners_are_of_the_class_never_the_image_itself_and_keyed():
    from regard.scores.background import partners

    labels, usable = torch.arange(30) % 3, torch.arange(30) != 7
    same, anyone = partners(labels, usable, 0)
    assert bool((labels[same] == labels).all())
    for chosen in (same, anyone):
        assert not bool((chosen == torch.arange(30)).any())
        assert 7 not in chosen.tolist()
    assert all(map(torch.equal, partners(labels, usable, 0), (same, anyone)))
    assert not torch.equal(partners(labels, usable, 1)[1], anyone)
    assert partners(torch.tensor([0, 1, 1]), torch.ones(3).bool(), 0)[0].tolist()[0] == -1


def test_images_without_a_partner_or_a_region_are_undefined():
    images, regions, labels = two_classes(5)
    labels = torch.tensor([0, 1, 1, 1, 1])
    regions[4] = 0
    found = regard.scores.background_reliance(Middle(), images, regions, labels)
    assert found.same_class.isnan().tolist() == [True, False, False, False, True]
    assert found.original.isnan().tolist() == [False] * 4 + [True]
    with pytest.raises(DataError, match="pass one of each an image"):
        regard.scores.background_reliance(Middle(), images, regions[:3], labels)


class Keeps(nn.Module):
    """Keeps what it is asked about."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, images):
        self.asked.append(images.clone())
        return images.mean((2, 3))[:, :2]


def test_the_net_is_asked_about_the_subject_before_each_background():
    from regard.images.backgrounds import emptied, mean_outside
    from regard.scores.background import partners

    draw = torch.Generator().manual_seed(2)
    images, labels = torch.rand(6, 3, 8, 8, generator=draw), torch.arange(6) % 2
    regions = torch.rand(6, 8, 8, generator=draw)  # all edges are soft
    net = Keeps()
    regard.scores.background_reliance(net, images, regions, labels, seed=3, chunk=6)
    inside = regions[:, None]
    same, anyone = partners(labels, torch.ones(6).bool(), 3)
    empty = emptied(images, inside)
    around = [
        images,
        mean_outside(images, inside).expand_as(images),
        blurred(empty),
        empty[same],
        empty[anyone],
    ]
    assert len(net.asked) == len(around)
    for asked, background in zip(net.asked, around, strict=True):
        torch.testing.assert_close(asked, inside * images + (1 - inside) * background)


def test_more_images_than_regions_or_labels_are_refused():
    images, regions, labels = two_classes(4)
    for own, marks in ((regions[:3], labels), (regions, labels[:3])):
        with pytest.raises(DataError, match="pass one of each an image"):
            regard.scores.background_reliance(Middle(), images, own, marks)


def test_of_a_segmenter_the_mean_probability_over_the_pixels_is_asked_for():
    net, images = Segmenter().eval(), pictures(2)
    where = torch.zeros(2, 8, 8, dtype=torch.bool)
    where[:, 2:5, 1:7] = True
    model = Model(net, images, PixelTarget(1, where))
    with torch.no_grad():
        shares = net(images).softmax(1)[:, 1]
    expected = torch.stack([share[own].mean() for share, own in zip(shares, where, strict=True)])
    torch.testing.assert_close(model.probabilities(images), expected)
