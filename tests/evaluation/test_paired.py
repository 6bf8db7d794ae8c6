import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from regard.errors import DataError
from regard.evaluation.flips import compare_accuracy, flips, mcnemar_exact
from regard.evaluation.paired import holm, paired_bootstrap, paired_student
from regard.evaluation.table import predictions_table


def slow_holm(p):
    return [max(min(1.0, sum(r >= q for r in p) * q) for q in p if q <= own) for own in p]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True))
def test_holm_is_the_definition(p):
    assert holm(p).tolist() == pytest.approx(slow_holm(p))
    assert (holm(p) >= np.array(p)).all()


def test_holm_with_ties_and_missing_tests():
    assert holm([0.02, np.nan, 0.02]).tolist() == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert holm([]).size == 0
    with pytest.raises(DataError):
        holm([1.2])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_binomial_test(pairs):
    a, b = np.array(pairs).T
    found = mcnemar_exact(a, b)
    m = found.won + found.lost
    expected = stats.binomtest(found.won, m).pvalue if m else 1.0
    assert found.p_value == pytest.approx(expected)
    assert found.p_value == mcnemar_exact(b, a).p_value


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.2])
@pytest.mark.parametrize("n", [100, 200])
def test_mcnemar_error_rate(n, rate):
    # Exact: over the number of flips m and of those won; it depends on nothing else.
    exact = 0.0
    for m in range(min(n, 180) + 1):
        p_m = stats.binom.pmf(m, n, rate)
        if p_m < 1e-6:
            continue
        for won in range(m + 1):
            a = np.arange(m) >= won
            p = p_m * stats.binom.pmf(won, m, 0.5)
            exact += p * (mcnemar_exact(a, ~a).p_value < 0.05)
    assert exact <= 0.05


def test_paired_student_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=5), rng.normal(size=5)
    theirs = stats.ttest_rel(b, a)
    ci = theirs.confidence_interval()
    mine = paired_student(a, b)
    assert mine.p_value == pytest.approx(theirs.pvalue)
    assert [mine.difference.low, mine.difference.high] == pytest.approx([ci.low, ci.high])
    assert np.isnan(paired_student([1.0], [2.0]).p_value)
    assert paired_student([1.0, 2.0], [1.0, 2.0]).p_value == 1
    assert paired_student([1.0, 2.0], [2.0, 3.0]).as_dict()["p_value"] is None


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.beta(0.5, 3, size=100) - rng.beta(0.5, 3, size=100),
        lambda rng: rng.exponential(size=100) - 1,
    ],
    ids=["symmetric", "skewed"],
)
@pytest.mark.parametrize(
    ("tries", "apart"), [(700, 0.02), pytest.param(2000, 0.02, marks=pytest.mark.torture)]
)
def test_paired_bootstrap_covers_and_keeps_its_level(draw, tries, apart):
    rng, zeros = np.random.default_rng(5), np.zeros(100)
    found = [paired_bootstrap(zeros, draw(rng), resamples=499, seed=r) for r in range(tries)]
    inside = np.array([t.difference.low <= 0 <= t.difference.high for t in found])
    below = np.array([t.p_value < 0.05 for t in found])
    assert abs(inside.mean() - 0.95) <= apart
    assert 0.03 <= below.mean() <= 0.065
    assert all((t.p_value >= 0.05) == i for t, i in zip(found, inside, strict=True))


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: np.where(rng.random(n) < 4 / n, rng.normal(0.3, 0.3, n), 0),
        lambda rng, n: np.where(rng.random(n) < 0.05, rng.normal(0, 1, n), 0.1),
    ],
    ids=["few differ", "most are alike"],
)
def test_p_and_interval_agree_also_where_the_interval_is_that_of_bca(draw):
    rng, methods = np.random.default_rng(0), []
    for n in rng.choice([20, 60, 200], 150):
        found = paired_bootstrap(np.zeros(n), draw(rng, n), resamples=499)
        methods.append(found.difference.method)
        held = found.difference.low <= 0 <= found.difference.high
        assert (found.p_value >= 0.05) == held, found
    assert methods.count("bca") > 30


def test_scores_that_differ_nowhere_are_no_yes_or_no_answers():
    x = np.random.default_rng(0).random(8)
    found = paired_bootstrap(x, x)
    assert found.p_value == 1
    assert found.difference.method != "bonett-price"
    assert found.difference.reason == "all values are equal"
    # Nor are those that differ by a whole.
    assert paired_bootstrap([0.5, 0, 1.5, 1, 0.2], [1.5, 1, 1.5, 1, 1.2]).difference.low > 0
    right = (x > 0.5).astype(float)
    alike = paired_bootstrap(right, right).difference
    assert alike.method == "bonett-price"
    assert alike.low < 0 < alike.high


def test_few_images_claim_no_more_than_their_signs_do():
    """Resamples of two differences all lie on one side, which is worth nothing."""
    for n in (2, 3, 5):
        nearly = 0.25 + np.arange(n) * 1e-6
        assert paired_bootstrap(np.zeros(n), nearly).p_value == 2.0 ** (1 - n)
        assert paired_bootstrap(np.zeros(n), np.full(n, 0.25)).p_value == 2.0 ** (1 - n)
    many = paired_bootstrap(np.zeros(40), np.full(40, 0.25), resamples=499)
    assert many.p_value == 2 / 500
    assert many.difference.reason == "all values are equal"


def test_differences_that_are_equal_but_for_rounding_are_no_proof():
    """One image more of twenty in each of three seeds, which are three numbers in float64."""
    a, b = np.array([18, 17, 16]) / 20, np.array([19, 18, 17]) / 20
    assert np.ptp(b - a) > 0
    found = paired_student(a, b)
    assert np.isnan(found.p_value)
    assert found.difference.value == pytest.approx(0.05)
    assert np.isnan([found.difference.low, found.difference.high]).all()
    assert found.difference.reason == "all values are equal"
    assert paired_student([0.3, 0.1], [0.1 + 0.2, 0.1]).p_value == 1
    # What is small beside nothing larger is no rounding.
    assert paired_student([0, 0, 0], [1e-20, 2e-20, 3e-20]).p_value == pytest.approx(
        0.0742, abs=1e-4
    )


def test_no_p_value_is_zero():
    right, n = np.zeros(10_000, dtype=bool), 10_000
    right[:3000] = True
    better = np.arange(n) < 9000
    assert 0 < mcnemar_exact(right, better).p_value < 1e-300
    assert 0 < paired_bootstrap(right, better).p_value < 1e-300


@pytest.mark.parametrize("rates", [(0.05, 0.10), (0.05, 0.05), (0.01, 0.06)])
def test_paired_correctness_covers(rates):
    lost, won = rates
    rng = np.random.default_rng(6)
    d = rng.choice([-1, 0, 1], p=[lost, 1 - lost - won, won], size=(2000, 150))
    found = [paired_bootstrap(row < 0, row > 0).difference for row in d]
    assert {i.method for i in found} == {"bonett-price"}
    assert 0.93 <= np.mean([i.low <= won - lost <= i.high for i in found]) <= 0.97


def test_paired_bootstrap_at_the_edges():
    same = paired_bootstrap([1, 0, 1], [1, 0, 1])
    assert (same.difference.value, same.p_value) == (0, 1)
    assert same.difference.low < 0 < same.difference.high
    holes = paired_bootstrap([0.1, np.nan, 0.3, 0.2], [0.2, 0.5, np.nan, 0.5])
    assert (holes.difference.n, holes.difference.undefined) == (2, 2)
    assert np.isnan(paired_bootstrap([0.1], [0.3]).p_value)
    assert np.isnan(paired_bootstrap([], []).p_value)
    with pytest.raises(DataError, match="one length"):
        paired_bootstrap([1.0], [1.0, 2.0])


def table(index, guesses, labels=(0, 0, 1, 1)):
    proba = np.array([[0.8, 0.2], [0.2, 0.8]])[list(guesses)]
    return predictions_table(index, [f"{i}.jpg" for i in index], labels, proba, ["x", "y"])


def test_flips_are_rows_of_the_manifest():
    a = table([10, 20, 30, 40], [0, 0, 0, 0])
    b = table([40, 30, 20, 10], [0, 1, 1, 0], labels=(1, 1, 0, 0))
    found = flips(a, b)
    assert found == {"lost": [20], "won": [30], "both_wrong": [40], "both_right": [10]}
    report = compare_accuracy(a, b)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert (report["mcnemar"]["lost"], report["mcnemar"]["won"]) == (1, 1)


def test_other_images_are_refused():
    a = table([0, 1, 2, 3], [0, 0, 1, 1])
    with pytest.raises(DataError, match="same images"):
        flips(a, table([0, 1, 2, 4], [0, 0, 1, 1]))
    with pytest.raises(DataError, match="'label'"):
        flips(a, table([0, 1, 2, 3], [0, 0, 1, 1], labels=(0, 0, 0, 1)))
    with pytest.raises(DataError, match="'index'"):
        flips(a, a.head(3))
