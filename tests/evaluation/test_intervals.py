import numpy as np
import pytest
from scipy import stats

from regard.errors import ConfigError
from regard.evaluation import resampling
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.intervals import student_interval, wilson_interval
from regard.evaluation.units import Units


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_bootstrap_is_that_of_scipy(method, statistic):
    x = np.random.default_rng(0).exponential(size=150)
    mine = bootstrap_interval(x, statistic, method=method, resamples=20_000)
    theirs = stats.bootstrap(
        (x,),
        statistic,
        n_resamples=20_000,
        method="BCa" if method == "bca" else method,
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert [mine.low, mine.high] == pytest.approx(list(theirs), abs=0.05 * width)


def test_grouped_jackknife_gives_the_same_acceleration():
    x = np.random.default_rng(0).exponential(size=4000)
    total = np.concatenate(
        [c.T @ x / c.sum(0) for c in resampling.jackknife_counts(Units.alone(4000), 0)]
    )
    d = x - x.mean()
    exact = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
    assert resampling.acceleration(total) == pytest.approx(exact, abs=0.003)


def test_counts_are_draws_and_do_not_depend_on_blocks(monkeypatch):
    whole = np.concatenate(list(resampling.counts(Units.alone(30), 50, 7)), axis=1)
    monkeypatch.setattr(resampling, "_CHUNK", 100)
    parts = np.concatenate(list(resampling.counts(Units.alone(30), 50, 7)), axis=1)
    np.testing.assert_array_equal(whole, parts)
    assert (whole.sum(axis=0) == 30).all()
    rows = np.concatenate(list(resampling.draws(30, 50, 7)))
    np.testing.assert_array_equal(whole[:, 3], np.bincount(rows[3], minlength=30))


@pytest.mark.parametrize("hits", [0, 1, 50, 93, 100])
def test_wilson_is_that_of_scipy(hits):
    theirs = stats.binomtest(hits, 100).proportion_ci(method="wilson")
    mine = wilson_interval(hits, 100)
    assert [mine.low, mine.high] == pytest.approx([theirs.low, theirs.high], abs=1e-12)


@pytest.mark.parametrize("n", [100, 200, 500])
@pytest.mark.parametrize("p", [0.6, 0.75, 0.8, 0.9, 0.95])
def test_accuracy_interval_covers(n, p):
    hits = np.arange(n + 1)
    bounds = [wilson_interval(h, n) for h in hits]
    inside = np.array([i.low <= p <= i.high for i in bounds])
    assert 0.93 <= stats.binom.pmf(hits, n, p) @ inside <= 0.97  # exact, not simulated


@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda rng: rng.exponential(size=100), 1.0),
        (lambda rng: rng.beta(0.5, 3, size=100), 0.5 / 3.5),
    ],
    ids=["exponential", "beta"],
)
def test_mean_interval_covers(draw, mean):
    rng = np.random.default_rng(11)
    found = [bootstrap_interval(draw(rng), resamples=599, seed=r) for r in range(2000)]
    assert {i.method for i in found} == {"studentised"}
    assert 0.93 <= np.mean([i.low <= mean <= i.high for i in found]) <= 0.97


@pytest.mark.parametrize("n", [3, 5])
def test_student_interval_covers_over_seeds(n):
    x = np.random.default_rng(n).normal(size=(3000, n))
    found = [student_interval(row) for row in x]
    assert 0.94 <= np.mean([i.low <= 0 <= i.high for i in found]) <= 0.96


def test_percentile_bootstrap_over_three_seeds_does_not_cover():
    x = np.random.default_rng(0).normal(size=(10_000, 3))
    every = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)
    means = x[:, every].mean(axis=2)  # all 27 resamples, so the limit of many draws
    low, high = np.quantile(means, [0.025, 0.975], axis=1, method="inverted_cdf")
    assert 0.70 <= ((low <= 0) & (high >= 0)).mean() <= 0.80


def test_student_interval_is_that_of_scipy():
    x = [0.8, 0.83, 0.9, 0.7]
    theirs = stats.ttest_1samp(x, 0).confidence_interval(0.9)
    mine = student_interval(x, 0.9)
    assert [mine.low, mine.high] == pytest.approx([theirs.low, theirs.high])
    assert np.isnan(student_interval([0.5]).low)
    assert student_interval([0.5]).value == 0.5
    assert student_interval([0.5, np.nan, 0.7]).undefined == 1
    assert student_interval([0.5, 0.5]).reason


def test_undefined_values_are_left_out_and_counted():
    x = np.random.default_rng(0).beta(2, 3, size=50)
    alone = bootstrap_interval(x)
    holes = bootstrap_interval(np.insert(x, [3, 9], np.nan))
    assert (holes.n, holes.undefined) == (50, 2)
    assert (holes.low, holes.high) == (alone.low, alone.high)
    nothing = bootstrap_interval([np.nan, np.nan])
    assert nothing.as_dict()["value"] is None
    assert nothing.undefined == 2
    assert nothing.reason


def test_few_values_that_differ_do_not_run_away():
    x = np.zeros(100)
    x[:3] = [0.5, 0.3, 1e-6]
    found = bootstrap_interval(x)
    assert found.method == "bca"
    assert found.high < 0.1
    assert bootstrap_interval(np.r_[np.zeros(50), np.ones(50)]).method == "wilson"
    assert bootstrap_interval([0.3] * 20).reason == "all values are equal"


def test_bounds_stay_within_what_is_possible():
    x = np.random.default_rng(0).beta(2, 3, size=20)
    free = bootstrap_interval(x)
    possible = (free.low + 0.01, free.high - 0.01)
    cut = bootstrap_interval(x, within=possible)
    assert (cut.low, cut.high) == possible


def test_options_are_checked():
    with pytest.raises(ConfigError, match="level"):
        bootstrap_interval([1.0, 2.0], level=1.0)
    with pytest.raises(ConfigError, match="resamples"):
        bootstrap_interval([1.0, 2.0], resamples=0)
    with pytest.raises(ConfigError, match="method"):
        bootstrap_interval([1.0, 2.0], np.median, method="studentised")
