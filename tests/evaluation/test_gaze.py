"""Pooled scores from a table: round trip, number, interval, paired difference; and standings."""

from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.gaze import (
    column,
    each_image,
    kept,
    paired_scores,
    score_interval,
    score_names,
)
from regard.evaluation.paired import holm, paired_bootstrap
from regard.evaluation.standings import all_standings, dead_share, leaders, standings
from regard.scores import SCORES, score, tally

POOLED = ("max_box_acc", "pxap")
each_pooled = pytest.mark.parametrize("name", POOLED)


def drawn(count=40, noise=1.0, seed=0):
    """Maps that lie about a block, and the blocks; the last image has none."""
    generator = torch.Generator().manual_seed(seed)
    regions = torch.zeros(count, 12, 12)
    for row in range(count - 1):
        regions[row, row % 5 : row % 5 + 5, row % 3 : row % 3 + 6] = 1
    maps = regions * (0.2 + torch.rand(count, 1, 1, generator=generator))
    steps = torch.rand(count, 12, 12, generator=generator).mul(20).floor() / 20
    return maps + noise * steps, regions


@cache
def table(method="gradcam", noise=1.0, seed=0, names=POOLED, count=40):
    maps, regions = drawn(count, noise, seed)
    columns = {name: column(name, tally(maps, regions, name).numpy()) for name in names}
    columns["energy"] = column("energy", score(maps, regions, "energy").numpy())
    frame = pl.DataFrame({"index": range(count), "method": [method] * count, "dead": False})
    return frame.with_columns(**columns)


def looped(rows, name, times):
    """The number of images taken so many times each, by putting them in a list."""
    chosen = torch.from_numpy(np.repeat(rows, times, axis=0))
    return SCORES[name].together(chosen)


@each_pooled
def test_counts_come_back_from_the_file_as_they_were(name, tmp_path):
    own = table()
    path = tmp_path / "test.parquet"
    pl.concat([own, own.drop(name)], how="diagonal").write_parquet(path)
    rows = kept(pl.read_parquet(path), name)
    expected = tally(*drawn(), name).numpy()
    np.testing.assert_array_equal(rows[:40], expected)
    assert np.isnan(rows[39:]).all()
    found = each_image(own, name)
    np.testing.assert_allclose(found, score(*drawn(), name), rtol=1e-6)
    assert score_names(own) == ["energy", *POOLED]


@each_pooled
def test_the_interval_is_about_the_number_of_the_set(name):
    own = table()
    found = score_interval(own, name)
    assert found.value == pytest.approx(SCORES[name].together(tally(*drawn(), name)))
    assert (found.n, found.undefined, found.method) == (39, 1, "bca")
    assert found.low < found.value < found.high
    # It is no mean of what images have by themselves.
    assert abs(found.value - np.nanmean(each_image(own, name))) > 1e-3


@each_pooled
def test_the_interval_s_width_is_that_of_a_plain_bootstrap(name):
    rows = tally(*drawn(), name).numpy()[:39]
    rng = np.random.default_rng(5)
    draws = [np.bincount(rng.integers(39, size=39), minlength=39) for _ in range(400)]
    spread = np.std([looped(rows, name, times) for times in draws])
    found = score_interval(table(), name)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.3)


def test_other_scores_keep_the_interval_of_their_mean():
    own = table()
    assert score_interval(own, "energy") == bootstrap_interval(own["energy"].to_numpy())
    other = table("cam", 2.0, 1)
    expected = paired_bootstrap(own["energy"].to_numpy(), other["energy"].to_numpy())
    assert paired_scores(own, other, "energy") == expected


@each_pooled
def test_a_score_that_no_image_has(name):
    found = score_interval(table().tail(1), name)
    assert np.isnan(found.value)
    assert (found.n, found.undefined, found.reason) == (0, 1, "no value is defined")
    alone = score_interval(table().head(1), name)
    assert (alone.value, alone.n) == (each_image(table(), name)[0], 1)
    assert np.isnan(alone.low)
    test = paired_scores(table().tail(1), table("cam", 2.0).tail(1), name)
    assert np.isnan(test.p_value)
    assert test.difference.n == 0


@each_pooled
def test_paired_differences_are_of_the_same_images(name):
    good, bad = table(noise=0.5), table("cam", 4.0)
    test = paired_scores(good, bad, name)
    expected = score_interval(bad, name).value - score_interval(good, name).value
    assert test.difference.value == pytest.approx(expected)
    assert test.difference.high < 0
    assert test.p_value < 0.05
    turned = paired_scores(bad, good.reverse(), name)
    assert turned.difference.value == pytest.approx(-expected)
    assert turned.difference.low == pytest.approx(-test.difference.high)
    same = paired_scores(good, good, name)
    assert (same.difference.value, same.p_value) == (0, 1)


def test_the_paired_test_finds_nothing_where_there_is_nothing():
    """Of pairs of methods that are equally good, few are told apart at 5 %."""
    pairs = [[table(seed=2 * i + j, names=("pxap",)) for j in (0, 1)] for i in range(10)]
    found = [paired_scores(*pair, "pxap") for pair in pairs]
    assert sum(test.p_value < 0.05 for test in found) <= 2
    for test in found:
        outside = test.difference.low > 0 or test.difference.high < 0
        assert outside == (test.p_value < 0.05) or abs(test.p_value - 0.05) < 0.01


# Standings -------------------------------------------------------------------------------


def three():
    tables = [table("cam", 4.0), table("gradcam", 0.5), table("layercam", 0.5, 1)]
    return pl.concat([own.with_columns(deletion=own["energy"] * 0 + 1 - own["energy"])
                      for own in tables])  # fmt: skip


@pytest.mark.parametrize("name", ["energy", "pxap", "deletion"])
def test_the_best_leads_and_what_is_not_told_apart_leads_too(name):
    scores = three()
    found = standings(scores, name)
    values = [standing.interval.value for standing in found]
    assert values == sorted(values, reverse=SCORES[name].better == "higher")
    assert {standing.method for standing in found} == {"cam", "gradcam", "layercam"}
    assert found[-1].method == "cam"
    assert [standing.leads for standing in found] == [True, True, False]
    assert found[0].behind is None
    # The last image has no region.
    by_method = {m: scores.filter(method=m).head(39) for m in scores["method"].unique()}
    best = by_method[found[0].method]
    tests = [paired_scores(best, by_method[standing.method], name) for standing in found[1:]]
    assert [standing.behind for standing in found[1:]] == tests
    corrected = holm([test.p_value for test in tests]).tolist()
    assert [standing.p_value for standing in found[1:]] == corrected


def test_scores_that_one_method_alone_has_rank_nothing():
    scores = three().with_columns(
        entropy=pl.when(pl.col("method") == "cam").then(0.5), unheard_of=pl.lit(1.0)
    )
    found = all_standings(scores)
    assert list(found) == ["energy", "max_box_acc", "pxap", "deletion"]
    assert all_standings(table()) == {}
    led = leaders(found, ["energy", "pxap"])
    assert dict(led) == {"gradcam": 2, "layercam": 2, "cam": 0}
    assert led[-1] == ("cam", 0)


def test_methods_are_compared_on_the_images_that_all_of_them_score():
    """A method that is dead on the hard images is not the better for it."""
    good = table(noise=1.0)
    easy = (good["energy"] > 0.35) & good["energy"].is_not_nan()
    assert 20 < easy.sum() < 35
    picky = good.with_columns(
        energy=pl.when(easy).then(pl.col("energy") - 0.01).otherwise(float("nan")),
        method=pl.lit("picky"),
    )
    assert score_interval(picky, "energy").value > score_interval(good, "energy").value
    rare = picky.with_columns(method=pl.lit("rare"), energy=pl.when(pl.col("index") < 5).then(1.0))
    both = pl.concat([good, picky, rare])
    found = standings(both, "energy")
    assert [standing.method for standing in found] == ["gradcam", "picky"]
    assert {standing.interval.n for standing in found} == {int(easy.sum())}
    assert found[1].behind is not None
    assert found[1].behind.difference.value == pytest.approx(-0.01)
    assert not found[1].leads


def test_dead_maps_are_counted_by_method():
    scores = three().with_columns(dead=(pl.col("method") == "cam") & (pl.col("index") < 10))
    assert dead_share(scores, "cam") == 0.25
    assert dead_share(scores, "gradcam") == 0
