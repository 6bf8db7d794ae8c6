"""Images that were drawn in groups: intervals and tests that take groups whole."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from regard.evaluation import resampling
from regard.evaluation.bootstrap import bootstrap_interval, mean_replicates
from regard.evaluation.calibration import _latent, ece_interval
from regard.evaluation.comparison import accuracy_of
from regard.evaluation.comparison_metrics import compare_metrics
from regard.evaluation.confusion import class_intervals, mean_proportion
from regard.evaluation.counted import resampled_predictions
from regard.evaluation.crossed import by_unit, crossed_test
from regard.evaluation.curves import reliability_diagram
from regard.evaluation.design_effect import correlation, design_effect
from regard.evaluation.flips import compare_accuracy, mcnemar_exact
from regard.evaluation.gaze import paired_scores, score_interval
from regard.evaluation.intervals import proportion_interval, wilson_interval
from regard.evaluation.metrics import bca_intervals, evaluate
from regard.evaluation.paired import paired_bootstrap, percentile_test
from regard.evaluation.pixels import Boundary
from regard.evaluation.ranking import Ranking
from regard.evaluation.segmentation import evaluate_segmentation
from regard.evaluation.table import predictions_table
from regard.evaluation.units import Units, shared_groups, units_of

SIZES = [7, 1, 4, 4, 12, 2, 9, 3]


def of_sizes(sizes):
    return Units(np.repeat(np.arange(len(sizes)), sizes), len(sizes))


def drawn(rng, groups, mean):
    """Units with groups of sizes like an exponential's."""
    return of_sizes(1 + np.floor(rng.exponential(mean - 1, groups)).astype(int))


def predictions(rng, n, groups=None, right=0.8, names=("fern", "moss")):
    labels = rng.integers(len(names), size=n)
    scores = rng.normal(size=(n, len(names))) + right * 2 * np.eye(len(names))[labels]
    proba = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    table = predictions_table(range(n), [f"{i}.png" for i in range(n)], labels, proba, names)
    return table if groups is None else table.with_columns(group=pl.Series(groups))


def test_images_of_a_group_and_rows_of_an_image_are_one_unit():
    table = pl.DataFrame({"index": [3, 4, 5, 6, 6], "group": ["a", None, "a", None, None]})
    assert units_of(table).of.tolist() == [2, 0, 2, 1, 1]
    assert units_of(table.drop("group")).of.tolist() == [0, 1, 2, 3, 3]
    numbered = pl.DataFrame({"index": [0, 1], "group": ["1", None]})
    assert not units_of(numbered).grouped  # the group "1" is not the image 1
    units = Units.grouped_by(["a", None, "a", None, "b"])
    assert (units.count, units.groups, units.sizes.tolist()) == (4, 4, [2, 1, 1, 1])
    kept = units.where(np.array([True, False, False, True, True]))
    # Three images of three groups that were drawn, of which others have more.
    assert (len(kept), kept.lumped, kept.groups) == (3, False, 3)
    assert Units.alone(5).where(np.arange(5) > 1).groups is None
    nothing = units_of(table.clear())
    assert (len(nothing), nothing.count) == (0, 0)


def test_freedom_is_the_effective_number_of_groups_less_one():
    assert of_sizes([5] * 11).freedom == pytest.approx(10)
    assert of_sizes([30, 20, 10]).freedom == pytest.approx(60**2 / 1400 - 1)
    assert of_sizes([1000, 1]).freedom == 1


@pytest.mark.parametrize("groups", [5, 12, 80])
def test_percentiles_of_groups_reach_as_far_as_students_t(groups):
    units = of_sizes([4] * groups)
    reach = stats.t.ppf(0.975, groups - 1) * math.sqrt(groups / (groups - 1))
    assert stats.norm.ppf((1 + units.wide(0.95)) / 2) == pytest.approx(reach)
    assert units.wide_p(1 - units.wide(0.95)) == pytest.approx(0.05)
    assert units.reached(units.reach(0.9)) == pytest.approx(0.1)
    assert Units.alone(groups).wide(0.95) == 0.95
    assert Units.alone(groups).wide_p(0.03) == 0.03


def test_resamples_and_jackknife_take_whole_groups(monkeypatch):
    units = of_sizes(SIZES)
    whole = np.concatenate([*resampling.counts(units, 40, 3)], axis=1)
    assert whole.shape == (len(units), 40)
    first = np.searchsorted(units.of, np.arange(units.count))
    assert (whole == whole[first][units.of]).all()
    assert (whole[first].sum(0) == units.count).all()
    rows = np.concatenate([*resampling.draws(units.count, 40, 3)])
    np.testing.assert_array_equal(whole[first, 5], np.bincount(rows[5], minlength=units.count))
    monkeypatch.setattr(resampling, "_CHUNK", 100)
    np.testing.assert_array_equal(whole, np.concatenate([*resampling.counts(units, 40, 3)], 1))
    left = np.concatenate([*resampling.jackknife_counts(units, 0)], axis=1)
    assert left.shape == (len(units), units.count)
    assert sorted((left == 0).sum(0)) == sorted(SIZES)


def test_groups_of_one_image_change_nothing():
    rng = np.random.default_rng(0)
    table = predictions(rng, 60)
    named = table.with_columns(group=pl.Series([f"p{i}" for i in range(60)]))
    assert evaluate(named, resamples=200) == evaluate(table, resamples=200)
    x, y = rng.random((2, 60))
    alone = Units.alone(60)
    assert paired_bootstrap(x, y, units=alone) == paired_bootstrap(x, y)
    assert mcnemar_exact(x > 0.5, y > 0.4, alone) == mcnemar_exact(x > 0.5, y > 0.4)


@pytest.mark.parametrize("of", ["mean", "median"])
def test_replicates_are_those_of_images_put_together(of):
    """Against resamples that are gathered group by group, the plain way."""
    units, x = of_sizes(SIZES), np.random.default_rng(2).exponential(size=sum(SIZES))
    statistic = getattr(np, of)
    found = bootstrap_interval(
        x, statistic, units=units, method="percentile", resamples=300, seed=4
    )
    parts = [x[units.of == g] for g in range(units.count)]
    rows = np.concatenate([*resampling.draws(units.count, 300, 4)])
    slow = np.array([statistic(np.concatenate([parts[g] for g in row])) for row in rows])
    half = units.reach(0.95) * slow.std()
    assert (found.method, found.groups) == ("group-t", units.count)
    assert (found.high - found.low) / 2 == pytest.approx(half)
    assert found.value == pytest.approx(statistic(x))


def test_bootstrap_t_of_groups_is_that_of_a_ratio():
    units, x = of_sizes(SIZES), np.random.default_rng(5).exponential(size=sum(SIZES))
    mean, error, t, observed = mean_replicates(x, units, 50, 1)
    parts = [x[units.of == g] for g in range(units.count)]

    def told(groups):
        own, n = np.concatenate(groups).mean(), sum(map(len, groups))
        return own, math.sqrt(sum((g.sum() - len(g) * own) ** 2 for g in groups)) / n

    assert (mean, error) == pytest.approx(told(parts))
    assert observed == pytest.approx(mean / error)
    for row, own in zip(np.concatenate([*resampling.draws(units.count, 50, 1)]), t, strict=True):
        value, spread = told([parts[g] for g in row])
        assert own == pytest.approx((value - mean) / spread)


def test_design_effect_is_the_ratio_of_variances_where_much_is_told():
    rng, units = np.random.default_rng(1), of_sizes([20] * 300)
    rho, p = 0.3, 0.6
    rates = rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), size=300)
    x = (rng.random(len(units)) < rates[units.of]).astype(float)
    assert correlation(x == 1, units) == pytest.approx(rho, abs=0.05)
    assert design_effect(x, units) == pytest.approx(1 + rho * 19, rel=0.15)
    slow = sum((x[units.of == g] - x.mean()).sum() ** 2 for g in range(300)) * 300 / 299
    assert design_effect(x, units) == pytest.approx(slow / ((x - x.mean()) ** 2).sum(), rel=0.01)
    flat = (rng.random(len(units)) < p).astype(float)
    assert 1 <= design_effect(flat, units) < 1.2
    assert design_effect(x, Units.alone(len(x))) == 1


def test_no_mistake_in_few_groups_is_worth_hardly_more_than_groups():
    units = of_sizes([50] * 6)
    sure, known = proportion_interval(np.ones(300), units), wilson_interval(300, 300)
    assert known.low > 0.98
    assert wilson_interval(6, 6).low - 0.15 < sure.low < 0.8
    assert (sure.value, sure.n, sure.groups, sure.method) == (1, 300, 6, "wilson")
    lows = []
    for wrong in range(8):
        x = np.ones(300)
        x[50 * np.arange(6)[:wrong] if wrong <= 6 else [0, 50, 100, 150, 200, 250, 1]] = 0
        lows.append(proportion_interval(x, units).low)
    # Mistakes that lie apart show that groups are not all alike.
    assert lows[1] > lows[0]


def covers(found, truth):
    return np.mean([own.low <= truth <= own.high for own in found])


WORLDS = [(6, 10), (10, 10), (20, 20), (60, 5)]


@pytest.mark.parametrize(("groups", "mean"), WORLDS)
@pytest.mark.parametrize(("p", "rho"), [(0.7, 0.2), (0.95, 0.1), (0.95, 0.4)])
def test_proportion_covers(groups, mean, p, rho):
    rng, found, alone = np.random.default_rng(7), [], []
    for _ in range(400):
        units = drawn(rng, groups, mean)
        rates = rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), size=groups)
        x = rng.random(len(units)) < rates[units.of]
        found.append(proportion_interval(x, units))
        alone.append(proportion_interval(x))
    assert covers(found, p) >= 0.91
    assert covers(found, p) > covers(alone, p)


def test_one_large_group_among_small_ones_is_nearly_all_that_is_known():
    rng, units, p, rho = np.random.default_rng(3), of_sizes([200] + [10] * 10), 0.7, 0.05
    found = []
    for _ in range(300):
        rates = rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), size=11)
        found.append(proportion_interval(rng.random(300) < rates[units.of], units))
    assert covers(found, p) >= 0.95


@pytest.mark.parametrize(("groups", "mean"), [(6, 10), (60, 5)])
def test_means_and_balanced_accuracy_cover(groups, mean):
    rng, means, shares = np.random.default_rng(8), [], []
    for r in range(200):
        units = drawn(rng, groups, mean)
        x = np.exp(0.4 * rng.normal(size=groups))[units.of] * rng.exponential(size=len(units))
        means.append(bootstrap_interval(x, units=units, resamples=599, seed=r))
        labels = rng.choice(3, p=[0.6, 0.3, 0.1], size=len(units))
        rates = rng.beta(0.85 * 3, 0.15 * 3, size=groups)
        right = rng.random(len(units)) < rates[units.of]
        shares.append(mean_proportion(right, labels, units, 0.95))
    assert covers(means, np.exp(0.08)) >= 0.9
    assert covers(shares, 0.85) >= 0.9


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_calibration_error_covers(gap):
    rng, found, alone = np.random.default_rng(3), [], []
    for r in range(200):
        units = drawn(rng, 20, 10)
        u = rng.uniform(0.6, 1, size=len(units))
        latent = 0.5 * rng.normal(size=20)[units.of] + math.sqrt(0.75) * rng.normal(size=len(units))
        right = stats.norm.cdf(latent) < u - gap
        found.append(ece_interval(u, right, units=units, resamples=300, seed=r))
        alone.append(ece_interval(u, right, resamples=300, seed=r))
    assert covers(found, gap) >= 0.93
    assert covers(alone, gap) <= 0.9


def test_areas_cover():
    rng, found = np.random.default_rng(0), []
    for r in range(150):
        units = drawn(rng, 30, 8)
        y = rng.random(len(units)) < 0.4
        f = Ranking(0.7 * rng.normal(size=30)[units.of] + rng.normal(size=len(units)) + 1.5 * y, y)
        options = {"resamples": 300, "seed": r, "level": 0.95}
        found.append(bca_intervals(lambda w, f=f: {"auc": f(w)[0]}, units, **options)["auc"])
    assert covers(found, stats.norm.cdf(1.5 / math.sqrt(2 * 1.49))) >= 0.9


def test_areas_of_few_groups_have_students_limits_within_what_is_possible():
    rng, units = np.random.default_rng(2), of_sizes([10] * 4)
    y = rng.random(40) < 0.5
    f = Ranking(rng.normal(size=40) + 2.5 * y, y)
    options = {"resamples": 500, "seed": 0, "level": 0.95}
    found = bca_intervals(lambda w: {"auc": f(w)[0]}, units, **options)["auc"]
    drawn_ = np.concatenate([f(c)[0] for c in resampling.counts(units, 500, 0)])
    half = stats.t.ppf(0.975, 3) * math.sqrt(4 / 3) * drawn_.std()
    assert found.method == "group-t"
    assert found.low == pytest.approx(found.value - half)
    assert found.high == min(1.0, found.value + half) == 1


@pytest.mark.parametrize("sizes", [[3, 1, 2, 5, 1, 4], [2] * 9, [1, 1, 1, 6, 2, 2, 3, 1]])
def test_mcnemar_exchanges_the_answers_of_whole_groups(sizes):
    units, rng = of_sizes(sizes), np.random.default_rng(sum(sizes))
    for _ in range(20):
        a, b = rng.random((2, len(units))) < [[0.6], [0.8]]
        d = np.bincount(units.of, weights=b.astype(float) - a)
        signs = np.array([*itertools.product((-1, 1), repeat=len(sizes))])
        exact = (np.abs(signs @ d) >= abs(d.sum()) - 1e-9).mean()
        found = mcnemar_exact(a, b, units)
        assert found.p_value == pytest.approx(exact)
        assert (found.won - found.lost, found.groups) == (d.sum(), len(sizes))


def test_a_group_that_changes_as_a_whole_is_one_change():
    units = of_sizes([10] * 8)
    a, b = np.zeros(80), np.zeros(80)
    b[:10] = 1
    assert mcnemar_exact(a, b).p_value < 0.01
    assert mcnemar_exact(a, b, units).p_value == 1
    assert paired_bootstrap(a, b).difference.low > 0
    found = paired_bootstrap(a, b, units=units)
    assert found.difference.low < 0 < found.difference.value == 0.125
    assert found.p_value > 0.1
    assert found.difference.groups == 8


def test_paired_tests_hold_their_level_over_groups():
    rng, grouped, alone = np.random.default_rng(4), [], []
    for r in range(200):
        units = drawn(rng, 12, 10)
        n = len(units)
        hard = rng.beta(1.2, 2.8, size=12)[units.of]
        won = rng.random(n) < np.where(rng.random(12) < 0.5, 0.85, 0.15)[units.of]
        d = (rng.random(n) < hard) * np.where(won, 1.0, -1.0)
        x = 0.5 * rng.normal(size=12)[units.of] + rng.normal(size=n)
        for of, store in ((units, grouped), (None, alone)):
            flips = (d < 0, d > 0)
            store.append(
                (
                    mcnemar_exact(*flips, of).p_value,
                    paired_bootstrap(*flips, units=of).p_value,
                    paired_bootstrap(np.zeros(n), x, units=of, resamples=399, seed=r).p_value,
                )
            )
    assert ((np.array(grouped) < 0.05).mean(0) <= 0.1).all()
    assert ((np.array(alone) < 0.05).mean(0) >= 0.2).all()


def test_a_p_value_is_no_less_than_the_sign_test_of_groups_allows():
    units = of_sizes([30] * 4)
    replicates = np.full(2000, 0.2) + 1e-6 * np.arange(2000)
    assert percentile_test(0.2, replicates, units).p_value == 2**-3
    assert paired_bootstrap(np.zeros(120), np.ones(120), units=units).p_value >= 2**-3
    x = np.random.default_rng(0).normal(5, 0.1, size=120)
    assert paired_bootstrap(np.zeros(120), x, units=units).p_value >= 2**-3


@pytest.mark.parametrize("equal", [True, False])
def test_trainings_and_groups_crossed_hold_their_level(equal):
    rng, grouped, alone = np.random.default_rng(1), [], []
    for _ in range(300):
        units = of_sizes([10] * 10) if equal else drawn(rng, 10, 10)
        n, zero = len(units), np.zeros(5)
        pieces = 0.1 * rng.normal(size=(5, 1)) + 0.5 * rng.normal(size=10)[units.of]
        pieces = pieces + 0.2 * rng.normal(size=(5, 10))[:, units.of]
        pieces = pieces + 0.5 * rng.normal(size=(5, n)) + 0.5 * rng.normal(size=n)
        means = pieces.mean(1)
        own, left = by_unit(pieces, units)
        grouped.append(crossed_test(zero, means, own, units=left).p_value < 0.05)
        alone.append(crossed_test(zero, means, pieces).p_value < 0.05)
    assert np.mean(grouped) <= 0.09
    assert np.mean(alone) >= 0.25


def test_pieces_of_groups_are_what_leaving_each_out_says():
    units, rng = of_sizes(SIZES), np.random.default_rng(6)
    pieces = rng.normal(size=(3, len(units)))
    pieces[1, 4] = np.nan
    known = ~np.isnan(pieces).any(0)
    found, left = by_unit(pieces, units)
    assert left.sizes.sum() == known.sum()
    assert found.shape == (3, len(SIZES))
    for s, g in itertools.product(range(3), range(len(SIZES))):
        whole, rest = pieces[s, known], pieces[s, known & (units.of != g)]
        assert found[s, g] == pytest.approx(len(SIZES) * whole.mean() - 7 * rest.mean())
    alone = Units.alone(len(units))
    same, left = by_unit(pieces, alone)
    assert same is pieces
    assert left is alone


def test_one_group_has_no_interval_and_says_why():
    rng, units = np.random.default_rng(0), of_sizes([30])
    table = predictions(rng, 30, ["ann"] * 30)
    found = evaluate(table)
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "ece"):
        own = found[name]
        assert own["value"] is not None, name
        assert (own["low"], own["groups"], own["reason"]) == (None, 1, "needs two groups or more")
    x = rng.random(30)
    for a, b in ((x, x[::-1]), (x > 0.5, x[::-1] > 0.5)):
        test = paired_bootstrap(a, b, units=units)
        assert math.isnan(test.p_value)
        assert test.difference.reason == "needs two groups or more"
    assert mcnemar_exact(x > 0.5, x > 0.2, units).p_value == 1
    assert math.isnan(percentile_test(0.1, rng.random(50), units).p_value)


def test_a_class_whose_images_are_of_one_group_has_no_interval():
    own = np.array([True] * 8 + [False] * 24)
    called = own.copy()
    called[:2] = False
    found = class_intervals(own, called, of_sizes([8] * 4), 0.95)
    assert found["recall"].value == 0.75
    assert math.isnan(found["recall"].low)
    assert class_intervals(~own, ~called, of_sizes([8] * 4), 0.95)["recall"].groups == 3


def test_every_number_of_a_table_is_over_its_groups():
    rng = np.random.default_rng(9)
    groups = [f"p{i // 12}" for i in range(240)]
    table = predictions(rng, 240, groups, right=0.4, names=("a", "b", "c"))
    found = evaluate(table, resamples=300)
    intervals = [value for value in found.values() if isinstance(value, dict) and "low" in value]
    intervals += [own[k] for own in found["per_class"].values() for k in ("recall", "f1")]
    assert {own["groups"] for own in intervals} == {20}
    assert accuracy_of(table) == found["accuracy"]
    told = resampled_predictions(table)
    assert (told.units.groups, len(told.left_out["ece"])) == (20, 20)
    other = predictions(rng, 240, groups, right=0.4, names=("a", "b", "c")).with_columns(
        table["label"], correct=pl.col("predicted") == table["label"]
    )
    assert compare_accuracy(table, other)["mcnemar"]["groups"] == 20
    compared = compare_metrics([table], [other])
    assert compared["metrics"]["brier"]["difference"]["groups"] == 20
    assert compared["per_class"]["a"]["recall"]["difference"]["groups"] == 20


def test_answers_of_several_trainings_are_of_the_same_images():
    table = predictions(np.random.default_rng(0), 200, right=0.5)
    one = reliability_diagram(table, least=20)
    thrice = reliability_diagram(pl.concat([table] * 3), least=60)
    assert thrice["accuracy"] == pytest.approx(one["accuracy"])
    # Three nets that say the same tell no more than one, as far as mistakes show it.
    for share, low, own in zip(thrice["accuracy"], thrice["low"], one["low"], strict=True):
        assert own - 0.03 <= low <= own + (0.04 if share == 1 else 0.005)


def test_scores_of_maps_are_over_groups():
    rng, n = np.random.default_rng(3), 80
    of = np.arange(n) // 8
    energy = 0.4 + 0.2 * rng.normal(size=10)[of] + 0.02 * rng.normal(size=n)
    scores = pl.DataFrame(
        {
            "index": range(n),
            "image": [f"{i}.png" for i in range(n)],
            "group": [f"p{g}" for g in of],
            "method": "grad_cam",
            "area": 0.2,
            "dead": False,
            "energy": energy.clip(0, 1),
        }
    )
    told, alone = (score_interval(t, "energy") for t in (scores, scores.drop("group")))
    assert told.groups == 10
    assert told.high - told.low > 2 * (alone.high - alone.low)
    after = scores.with_columns(energy=pl.col("energy") + 0.05 * rng.normal(size=10)[of])
    assert paired_scores(scores, after, "energy").difference.groups == 10
    assert paired_scores(scores, after, "energy").p_value > 0.05
    by_class = pl.concat([scores.with_columns(label=pl.lit(x), share=0.5) for x in "ab"])
    assert score_interval(by_class, "energy").groups == 10
    assert paired_scores(by_class, by_class, "energy").difference.groups == 10


@pytest.mark.parametrize("few", [1, 2, 4])
def test_a_class_of_few_groups_is_known_no_better_than_these(few):
    """Of 30 groups, of which some have the class: an area and an IoU of it."""
    rng, units, found, shares = np.random.default_rng(4), of_sizes([6] * 30), [], []
    for _ in range(100):
        y = units.of < few
        scores = 0.7 * rng.normal(size=30)[units.of] + rng.normal(size=180) + 1.5 * y
        proba = stats.norm.cdf(scores)
        table = predictions_table(
            range(180), [str(i) for i in range(180)], y.astype(int),
            np.stack([1 - proba, proba], 1), ["ok", "ill"],
        ).with_columns(group=pl.Series([f"p{g}" for g in units.of]))  # fmt: skip
        found.append(evaluate(table, resamples=300)["roc_auc"])
        right = rng.binomial(400, rng.uniform(0.4, 0.8, size=30)[units.of]) * y
        cells = np.zeros((180, 2, 2), dtype=int)
        cells[:, 0, 0], cells[:, 1, 0], cells[:, 1, 1] = 1000, 400 * y - right, right
        edges = [Boundary(*np.zeros((4, 2), dtype=int))] * 180
        told = evaluate_segmentation(cells, edges, ["a", "b"], units=units, resamples=200)
        shares.append(told["per_class"]["b"]["iou"])
    for each, truth in ((found, stats.norm.cdf(1.5 / math.sqrt(2 * 1.49))), (shares, 0.6)):
        assert {own["groups"] for own in each} == {few}
        if few == 1:
            assert {own["reason"] for own in each} == {"needs two groups or more"}
        else:
            assert {own["method"] for own in each} == {"group-t"}
            assert np.mean([own["low"] <= truth <= own["high"] for own in each]) >= 0.9
    assert told["per_class"]["a"]["iou"]["groups"] == 30


@pytest.mark.parametrize("groups", [4, 12, 30])
@pytest.mark.parametrize("values", [(0.1, 0.2, -0.3), (0.3, 0.1, 0.25, -0.65), (0.4, -0.1)])
def test_rounding_is_no_difference_of_groups(groups, values):
    x = np.tile(values, groups)
    units = of_sizes([len(values)] * groups)
    found = paired_bootstrap(np.zeros(len(x)), x, units=units)
    own = found.difference
    assert own.value == pytest.approx(np.mean(values), abs=1e-15)
    assert np.isnan([own.low, own.high]).all()
    assert own.reason == "the same in every resample: too narrow"
    if sum(values) < 0.1:
        assert (own.value, found.p_value) == (0, 1)
    else:
        assert found.p_value == max(2 / 2001, 2.0 ** (1 - groups))


def test_trainings_and_one_group_crossed_are_not_tested():
    units, rng = of_sizes([4] * 10), np.random.default_rng(0)
    pieces = rng.normal(1, 0.1, size=(4, 40))
    pieces[:, units.of > 0] = np.nan
    own, left = by_unit(pieces, units)
    found = crossed_test(np.zeros(4), np.nanmean(pieces, 1), own, units=left)
    assert math.isnan(found.p_value)
    assert found.difference.reason == "needs two groups or more"
    assert found.difference.value == pytest.approx(1, abs=0.1)
    nothing, none = by_unit(np.full((4, 40), np.nan), units)
    assert nothing.shape == (4, 0)
    assert len(none) == 0


def test_a_p_value_of_more_groups_is_no_larger():
    ps = []
    for groups in (4, 6, 8, 9, 10, 12, 20):
        units = of_sizes([5] * groups)
        replicates = np.random.default_rng(0).normal(0.2, 0.002, size=2000)
        ps.append(percentile_test(0.2, replicates, units).p_value)
    assert ps == sorted(ps, reverse=True)
    assert ps[-1] == 2 / 2001


def test_differences_lie_within_what_is_possible():
    rng, units = np.random.default_rng(0), of_sizes([5] * 3)
    wild = percentile_test(0.4, rng.normal(0.4, 0.5, size=500), units, within=(-1, 1)).difference
    assert (wild.low, wild.high) == (-1, 1)
    a, b = rng.random((2, 15)) * [[1], [3]]
    assert paired_bootstrap(a, b, units=units, within=(-1, 1)).difference.high == 1


@pytest.mark.parametrize("p", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("rho", [0.1, 0.4, 0.8])
def test_coins_of_a_group_come_up_together_as_often_as_they_should(p, rho):
    r = _latent(rho, p)
    h = stats.norm.ppf(p)
    both = stats.multivariate_normal(cov=[[1, r], [r, 1]]).cdf([h, h])
    assert (both - p**2) / (p * (1 - p)) == pytest.approx(rho, abs=1e-3)
    assert _latent(0.0, p) == _latent(rho, 1.0) == 0


def test_groups_that_one_of_two_tables_tells_are_those_of_both():
    rng = np.random.default_rng(1)
    told = predictions(rng, 60, [f"p{i // 10}" for i in range(60)])
    other = predictions(rng, 60).with_columns(
        told["label"], correct=pl.col("predicted") == told["label"]
    )
    both, swapped = compare_accuracy(told, other), compare_accuracy(other, told)
    assert both["mcnemar"]["groups"] == swapped["mcnemar"]["groups"] == 6
    assert both["mcnemar"]["p_value"] == swapped["mcnemar"]["p_value"]
    metrics = compare_metrics([other], [told])["metrics"]
    assert metrics["ece"]["difference"]["groups"] == 6
    assert all(a is b for a, b in zip(shared_groups([other] * 2), [other] * 2, strict=True))
