"""Differences over trainings and images, and over folds, against slow sums and by simulation."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from regard.errors import DataError
from regard.evaluation.crossed import corrected_folds, crossed_test, images_part
from regard.evaluation.paired import paired_student


def slow_part(table):
    """The expected mean squares of two crossed random factors, sum by sum."""
    s, n = len(table), len(table[0])
    grand = sum(map(sum, table)) / (s * n)
    rows = [sum(row) / n for row in table]
    columns = [sum(table[i][j] for i in range(s)) / s for j in range(n)]
    of_images = s * sum((c - grand) ** 2 for c in columns) / (n - 1)
    rest = sum((table[i][j] - rows[i] - columns[j] + grand) ** 2
               for i in range(s) for j in range(n)) / ((s - 1) * (n - 1))  # fmt: skip
    return max(0.0, (of_images - rest) / (s * n))


tables = st.tuples(st.integers(2, 4), st.integers(2, 6)).flatmap(
    lambda shape: st.lists(
        st.lists(st.floats(-1, 1), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0], max_size=shape[0],
    )
)  # fmt: skip


@settings(deadline=None)
@given(tables)
def test_the_images_part_is_that_of_the_mean_squares(table):
    assert images_part(np.array(table)) == pytest.approx(slow_part(table), abs=1e-12)


@settings(deadline=None)
@given(tables)
@example([[0.0, 0.0], [0.0, 1.3e-294]])  # of which the square is zero
def test_it_claims_no_more_than_the_test_over_seeds(table):
    b = np.mean(table, axis=1)
    seeds, both = paired_student(0 * b, b), crossed_test(0 * b, b, table)
    if np.isnan(seeds.p_value):
        assert np.isnan(both.p_value)
        return
    assert both.p_value >= seeds.p_value
    if np.isnan(seeds.difference.low):
        assert np.isnan(both.difference.low)
        return
    assert both.difference.low <= seeds.difference.low
    outside = not both.difference.low <= 0 <= both.difference.high
    if abs(both.p_value - 0.05) > 1e-6:
        assert outside == (both.p_value < 0.05)


def test_by_hand():
    table = np.array([[1.0, 0.0, 0.5, -0.2], [0.8, 0.1, 0.7, -0.4], [1.1, -0.2, 0.2, 0.1]])
    d = table.mean(1)
    own, extra = d.var(ddof=1) / 3, slow_part(table.tolist())
    total = own + extra
    t = d.mean() / np.sqrt(total)
    p = 2 * stats.t.sf(t, 2 * (total / own) ** 2)
    found = crossed_test([0, 0, 0], d, table)
    assert found.p_value == pytest.approx(max(p, stats.ttest_1samp(d, 0).pvalue))
    assert found.difference.method == "crossed"


def test_what_is_not_told_apart_by_image_is_the_t_test():
    a, b = [0.5, 0.6, 0.4], [0.7, 0.65, 0.6]
    assert crossed_test(a, b, None) == paired_student(a, b)
    alike = np.repeat(np.subtract(b, a)[:, None], 5, axis=1)
    assert crossed_test(a, b, alike) == paired_student(a, b)
    holes = np.array([[0.1, np.nan, 0.3], [0.2, 0.2, np.nan], [0.1, 0.5, 0.2]])
    assert images_part(holes) == 0.0  # one image is left
    assert crossed_test([0.5], [0.7], [[0.2, 0.2]]).as_dict()["p_value"] is None
    seed_left_out = crossed_test([0, np.nan, 0], [1, 2, 3], np.ones((3, 4)))
    assert seed_left_out.difference.undefined == 1
    with pytest.raises(DataError, match="a row each"):
        crossed_test(a, b, [[1.0, 2.0]])


def drawn(rng, studies, seeds, images, suits, training):
    """Differences (studies, S, N) of two arms that are equally good over all images."""
    easy = 2 * rng.normal(size=(studies, 1, images))
    sides = []
    for _ in range(2):
        own = suits * rng.normal(size=(studies, 1, images))
        own = own + training * rng.normal(size=(studies, seeds, 1))
        sides.append(1.5 + easy + own + rng.normal(size=(studies, seeds, images)) > 0)
    return sides[1].astype(float) - sides[0]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("suits", "training"), [(0.0, 0.1), (0.7, 0.05), (0.7, 0.3)])
def test_error_rate_over_trainings_and_images(seeds, suits, training):
    rng, zeros = np.random.default_rng(seeds), np.zeros(seeds)
    found = [crossed_test(zeros, d.mean(1), d)
             for d in drawn(rng, 1200, seeds, 200, suits, training)]  # fmt: skip
    assert np.mean([test.p_value < 0.05 for test in found]) <= 0.065


def test_neither_seeds_nor_images_alone_keep_their_level():
    """Why both vary in one test: images that suit an arm, and trainings that turned out well."""
    rng = np.random.default_rng(0)
    d = drawn(rng, 600, 5, 200, 0.7, 0.05)
    seeds = stats.ttest_1samp(d.mean(2), 0, axis=1).pvalue
    d = drawn(rng, 600, 5, 200, 0.0, 0.3)
    images = stats.ttest_1samp(d.mean(1), 0, axis=1).pvalue
    assert np.mean(seeds < 0.05) > 0.08
    assert np.mean(images < 0.05) > 0.2


def test_corrected_folds_by_hand_and_at_the_edges():
    d = np.array([0.02, 0.05, -0.01, 0.03, 0.04])
    for ratio in (1 / 3, 1e-12):
        found = corrected_folds(d, ratio)
        t = d.mean() / np.sqrt((0.2 + ratio) * d.var(ddof=1))
        assert found.p_value == pytest.approx(2 * stats.t.sf(t, 4))
        assert found.difference.low < d.mean() < found.difference.high
    plain = stats.ttest_1samp(d, 0)  # without what the trainings share
    assert found.p_value == pytest.approx(plain.pvalue)
    assert found.difference.low == pytest.approx(plain.confidence_interval().low)
    assert corrected_folds(d, 1 / 3, value=0.5).difference.value == 0.5
    assert corrected_folds([0.1, np.nan], 1).as_dict()["p_value"] is None
    assert corrected_folds([0.0, 0.0, 0.0], 1).p_value == 1
    assert np.isnan(corrected_folds([0.1, 0.1, 0.1], 1).p_value)
    with pytest.raises(DataError, match="positive share"):
        corrected_folds(d, 0)


def test_differences_that_are_equal_but_for_rounding_are_no_proof():
    a, b = np.array([18, 17, 16]) / 20, np.array([19, 18, 17]) / 20
    pieces = np.zeros((3, 20))
    pieces[[0, 1, 2], [1, 5, 9]] = 1
    found = crossed_test(a, b, pieces)
    assert np.isnan(found.p_value)
    assert found.difference.method == "student"
    folds = corrected_folds(b - a, 0.5)
    assert np.isnan(folds.p_value)
    assert folds.difference.reason == "all folds differ alike"
    nothing = corrected_folds([1e-17, -1e-17, 3e-17], 0.5, scale=0.8)
    assert nothing.p_value == 1
