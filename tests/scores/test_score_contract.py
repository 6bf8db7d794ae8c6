"""What every score promises: when it is undefined, what it depends on, and its bounds."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regard
from regard.data.regions import Regions
from regard.errors import ConfigError, DataError, TargetError
from regard.scores import SCORES
from regard.scores.base import one_sign

OF_REGIONS = [name for name in SCORES if SCORES[name].asks == "region"]
each_score = pytest.mark.parametrize("name", OF_REGIONS)
SIZE = (12, 10)


def random_maps(count=4, size=(6, 5), seed=0):
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(seed))


def blocks(count=4, size=SIZE):
    """A rectangle an image, each elsewhere and of another size."""
    regions = torch.zeros(count, *size)
    for row in range(count):
        regions[row, row : row + 4 + row, 1 : 5 + row % 3] = 1
    return regions


def uniform_and_best(name, regions, **options):
    evidence = Regions(regions).of(None)
    return SCORES[name].uniform(evidence, **options), SCORES[name].best(evidence, **options)


# Undefined -------------------------------------------------------------------------------


@each_score
def test_missing_and_empty_regions_and_zero_maps_score_nan(name):
    maps, regions = random_maps(5), blocks(5)
    regions[1] = 0
    maps[2] = 0
    maps[3] = -maps[3]
    present = torch.tensor([True, True, True, True, False])
    found = regard.score(maps, Regions(regions, present=present), name)
    assert found.shape == (5,)
    assert found.dtype == torch.float32
    assert found.isnan().tolist() == [False, True, True, True, True]


@each_score
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_map_that_is_not_finite_scores_nan(name, value):
    maps = random_maps()
    maps[1, 2, 2] = value
    found = regard.score(maps, blocks(), name)
    assert found.isnan().tolist() == [False, True, False, False]
    torch.testing.assert_close(found[2:], regard.score(maps[2:], blocks()[2:], name))


@each_score
def test_a_region_of_the_whole_image(name):
    regions = blocks(2)
    regions[0] = 1
    found = regard.score(random_maps(2), regions, name)
    assert bool(found[0].isnan()) is not SCORES[name].whole
    # The same but for the rounding of a resized mask.
    regions[0] = 1 - 6e-8
    nearly = regard.score(random_maps(2), regions, name)
    torch.testing.assert_close(nearly, found, equal_nan=True)


@each_score
def test_a_region_that_is_nowhere_above_one_half(name):
    regions = blocks(2)
    regions[0] *= 0.4
    found = regard.score(random_maps(2), regions, name)
    assert bool(found[0].isnan()) is SCORES[name].binary
    assert bool(found[1].isfinite())


@each_score
def test_an_image_that_is_wholly_ignored_scores_nan(name):
    ignore = torch.zeros(2, *SIZE)
    ignore[0] = 1
    found = regard.score(random_maps(2), Regions(blocks(2), ignore=ignore), name)
    assert found.isnan().tolist() == [True, False]


# What a score depends on, and what not ---------------------------------------------------


@each_score
def test_the_others_of_a_batch_do_not_matter(name):
    maps, regions = random_maps(6), blocks(6)
    maps[2] = 0
    maps[3] *= 1e20
    ignore = torch.zeros(6, *SIZE)
    ignore[4, :6] = 1
    everything = Regions(regions, ignore=ignore)
    together = regard.score(maps, everything, name)
    alone = [
        regard.score(maps[i : i + 1], Regions(regions[i : i + 1], ignore=ignore[i : i + 1]), name)
        for i in range(6)
    ]
    torch.testing.assert_close(together, torch.cat(alone), equal_nan=True, rtol=1e-6, atol=0)
    turned = regard.score(maps.flip(0), Regions(regions.flip(0), ignore=ignore.flip(0)), name)
    torch.testing.assert_close(turned.flip(0), together, equal_nan=True, rtol=1e-6, atol=0)


@each_score
def test_nothing_is_changed_in_place(name):
    maps, regions, ignore = random_maps(size=SIZE), blocks(), torch.zeros(4, *SIZE)
    before = [t.clone() for t in (maps, regions, ignore)]
    versions = [t._version for t in (maps, regions, ignore)]
    for sign in ("positive", "absolute"):
        regard.score(maps, Regions(regions, ignore=ignore), name, sign=sign)
    for tensor, old in zip((maps, regions, ignore), before, strict=True):
        assert tensor.equal(old)
    assert [t._version for t in (maps, regions, ignore)] == versions


@each_score
@pytest.mark.parametrize("factor", [1e-44, 1e-30, 7.0, 1e30, 2e38])
def test_the_scale_of_a_map_does_not_matter(name, factor):
    maps = random_maps()
    if factor == 1e-44:
        # The smallest numbers have few digits.
        maps, factor = (maps * 64).round(), 2.0**-149
    expected = regard.score(maps, blocks(), name)
    assert bool(expected.isfinite().all())
    found = regard.score(maps * factor, blocks(), name)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@each_score
def test_other_floats_are_scored_too(name):
    maps = (random_maps() * 16).round() / 16
    expected = regard.score(maps, blocks(), name)
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        torch.testing.assert_close(regard.score(maps.to(dtype), blocks(), name), expected)
    double = maps.double() * 1e-200
    torch.testing.assert_close(regard.score(double, blocks(), name), expected)
    torch.testing.assert_close(regard.score(maps, blocks().bool(), name), expected)


@each_score
def test_maps_are_resized_to_the_regions(name):
    maps = random_maps()
    large = torch.nn.functional.interpolate(
        maps[:, None], SIZE, mode="bilinear", align_corners=False
    )
    expected = regard.score(large[:, 0], blocks(), name)
    torch.testing.assert_close(regard.score(maps, blocks(), name), expected)
    assert bool(expected.isfinite().all())


@each_score
def test_the_sign_says_what_counts_of_a_signed_map(name):
    maps = random_maps() - 0.5
    positive = regard.score(maps, blocks(), name)
    torch.testing.assert_close(positive, regard.score(maps.clamp_min(0), blocks(), name))
    absolute = regard.score(maps, blocks(), name, sign="absolute")
    torch.testing.assert_close(absolute, regard.score(maps.abs(), blocks(), name))
    with pytest.raises(ConfigError, match="positive or absolute, found 'both'"):
        one_sign(maps, "both")


@each_score
def test_ignored_pixels_do_not_count(name):
    maps, regions = random_maps(size=SIZE), blocks()
    ignore = torch.zeros(4, *SIZE)
    ignore[:, 3:6, 2:7] = 1
    expected = regard.score(maps, Regions(regions, ignore=ignore), name)
    other, elsewhere = maps.clone(), regions.clone()
    other[:, 3:6, 2:7] = 50 * torch.rand(4, 3, 5)
    elsewhere[:, 3:6, 2:7] = torch.rand(4, 3, 5).round()
    found = regard.score(other, Regions(elsewhere, ignore=ignore), name)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, regard.score(other, elsewhere, name))


@each_score
def test_areas_to_avoid_are_outside(name):
    maps, regions, avoid = random_maps(size=SIZE), blocks(), torch.zeros(4, *SIZE)
    avoid[:, :, 2] = 1
    found = regard.score(maps, Regions(regions, avoid=avoid), name)
    torch.testing.assert_close(found, regard.score(maps, regions * (1 - avoid), name))


@each_score
def test_targets_choose_among_regions_by_class(name):
    maps, targets = random_maps(), torch.tensor([2, 0, 1, 1])
    by_class = torch.stack([blocks().roll(k, 2) for k in range(3)], 1)
    present = torch.ones(4, 3, dtype=torch.bool)
    present[2, 1] = present[0, 1] = False
    found = regard.score(maps, Regions(by_class, present=present), name, targets=targets)
    chosen = by_class[torch.arange(4), targets]
    expected = regard.score(maps, chosen, name)
    assert found.isnan().tolist() == [False, False, True, False]
    torch.testing.assert_close(found[[0, 1, 3]], expected[[0, 1, 3]])
    with pytest.raises(DataError, match="targets to choose"):
        regard.score(maps, by_class, name)


# Bounds ----------------------------------------------------------------------------------


@each_score
def test_a_perfect_map_gets_the_best(name):
    # A fifth of 120 pixels is what iou takes for its map at the default quantile.
    regions = torch.zeros(3, *SIZE)
    regions[0, 3:7, 2:8] = regions[1, 8:, 4:] = regions[2, :2] = 1
    _, best = uniform_and_best(name, regions)
    torch.testing.assert_close(regard.score(regions, regions, name), best * _reached(name))


def _reached(name):
    # Above the 0.8 quantile of 120 values that differ are 24, and 20 pixels of a smaller region.
    return torch.tensor([1, 1, 6 / 5]) if name == "iou" else 1


@each_score
def test_a_uniform_map_gets_the_uniform_score(name):
    regions = blocks()
    uniform, _ = uniform_and_best(name, regions)
    if name == "iou":
        # Nothing is above its own quantile; what is told instead is what chance gets.
        assert regard.score(torch.ones(4, *SIZE), regions, name).tolist() == [0] * 4
        many = [regard.score(random_maps(size=SIZE, seed=s), regions, name) for s in range(300)]
        torch.testing.assert_close(torch.stack(many).mean(0), uniform, rtol=0.05, atol=0)
        return
    for level in (0.3, 1.0):
        found = regard.score(torch.full((4, 5, 5), level), regions, name)
        torch.testing.assert_close(found, uniform)


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_the_bounds_of_iou_follow_its_quantile(quantile):
    regions = blocks()
    uniform, best = uniform_and_best("iou", regions, quantile=quantile)
    many = [random_maps(size=SIZE, seed=seed) for seed in range(300)]
    found = torch.stack([regard.score(m, regions, "iou", quantile=quantile) for m in many])
    torch.testing.assert_close(found.mean(0), uniform, rtol=0.1, atol=0)
    # Values that all differ, the highest of them in the region.
    found = regard.score(1 + regions + many[0], regions, "iou", quantile=quantile)
    torch.testing.assert_close(found, best, rtol=0.01, atol=0)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.02, 0.98),
    power=st.sampled_from([0.2, 1.0, 6.0]),
    name=st.sampled_from(OF_REGIONS),
    inside=st.floats(0, 0.99),
)
def test_no_map_beats_the_best(seed, share, power, name, inside):
    generator = torch.Generator().manual_seed(seed)
    regions = (torch.rand(3, 15, 14, generator=generator) < share).float()
    # Values that all differ, drawn towards the region.
    order = torch.rand(3, 210, generator=generator).argsort(1).reshape(3, 15, 14) + 1.0
    maps = (order / 210) ** power * (1 - inside * (1 - regions))
    found = regard.score(maps, regions, name)
    _, best = uniform_and_best(name, regions)
    # Iou counts pixels: one more or less of 210.
    room = 1 / 42 if name == "iou" else 1e-5
    beyond = found - best if SCORES[name].better == "higher" else best - found
    assert bool((beyond.nan_to_num(-1.0) <= room * best.abs().clamp_min(1)).all())
    defined = found[found.isfinite()]
    assert bool((defined >= 0).all())


@each_score
def test_better_says_which_way_is_up(name):
    regions, kind = blocks(), SCORES[name]
    noise = 0.2 * random_maps(size=SIZE)
    good = regard.score(noise + regions, regions, name)
    bad = regard.score(noise + (1 - regions), regions, name)
    assert kind.better in ("higher", "lower")
    assert bool(((good > bad) if kind.better == "higher" else (good < bad)).all())


# Mistakes --------------------------------------------------------------------------------


@each_score
def test_what_cannot_be_scored_is_refused(name):
    with pytest.raises(DataError, match="expected regions, found None"):
        regard.score(random_maps(), None, name)
    with pytest.raises(DataError, match=r"expected 3 maps .* found maps of shape \(4, 6, 5\)"):
        regard.score(random_maps(), blocks(3), name)
    with pytest.raises(ConfigError, match=r"expected its own options.*found 'no_such_option'"):
        regard.score(random_maps(), blocks(), name, no_such_option=1)


def test_an_unknown_score_names_the_near_ones():
    with pytest.raises(ConfigError, match=r"did you mean .*energy"):
        regard.score(random_maps(), blocks(), "energie")
    assert regard.scores.scores() == sorted(SCORES)


@pytest.mark.parametrize(
    ("name", "options"),
    [("iou", {"quantile": 1.0}), ("iou", {"quantile": -0.1}), ("pointing", {"tolerance": -1})],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ConfigError, match=f"score {name}"):
        regard.score(random_maps(), blocks(), name, **options)


def test_an_error_in_a_formula_is_not_taken_for_a_wrong_option(monkeypatch):
    def broken(maps, evidence):
        raise TypeError("a fault of the formula")

    kind = SCORES["energy"]
    monkeypatch.setitem(SCORES._entries, "broken", replace(kind, formula=broken))
    with pytest.raises(TypeError, match="a fault of the formula"):
        regard.score(random_maps(), blocks(), "broken")


@pytest.mark.parametrize(
    "targets", [torch.tensor([1]), torch.tensor([0, 1, 2]), torch.tensor([0, 1, -1]),
                torch.tensor([0.0, 1.0, 1.0])]
)  # fmt: skip
def test_targets_without_a_region_are_refused(targets):
    by_class = torch.rand(3, 2, 4, 4).round()
    with pytest.raises(TargetError, match=r"^targets: expected "):
        regard.score(torch.rand(3, 4, 4), by_class, "energy", targets=targets)
