"""Intervals end where their quantities do, and have no bounds where these are equal."""

import math

import numpy as np
import pytest
from scipy import stats

from regard.evaluation import hierarchical, multilabel, segmentation
from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.comparison_metrics import METRICS
from regard.evaluation.counted import resampled_predictions
from regard.evaluation.crossed import corrected_folds, crossed_test
from regard.evaluation.intervals import Interval, bounded, student_interval
from regard.evaluation.paired import paired_student
from regard.evaluation.ranges import ANY, SHARE, UPWARDS, difference_range, range_of
from regard.evaluation.table import predictions_table
from regard.evaluation.thresholds import AT_THRESHOLD
from regard.runs.reliance import GAP, MEASURED
from regard.scores.base import SCORES


def test_the_range_of_every_metric_and_score_is_known():
    known = [*METRICS, *AT_THRESHOLD, *MEASURED, GAP, "accuracy", "accuracy_level_2", "dead_maps"]
    known += [*multilabel.POOLED, *multilabel.BY_IMAGE, *multilabel.BY_CLASS]
    known += [*segmentation.BY_CLASS, *segmentation.MEANS.values()]
    known += [*hierarchical.SHARES, *hierarchical.DISTANCES, "iou.5", "precision:my.moss: a"]
    table = predictions_table([0, 1], ["a", "b"], [0, 1], [[0.9, 0.1], [0.4, 0.6]], ["x", "y"])
    known += resampled_predictions(table).whole
    assert all(range_of(name) != ANY for name in known)
    assert {name: range_of(name) for name in SCORES} == {n: SCORES[n].within for n in SCORES}
    assert range_of("tree_distance") == range_of("energy_gain") == UPWARDS
    assert range_of("loss.energy") == range_of("unheard_of") == ANY


def test_differences_reach_from_the_lowest_less_the_highest():
    assert difference_range(SHARE) == (-1, 1)
    assert difference_range((0.0, 2.0)) == (-2, 2)
    assert difference_range(UPWARDS) == difference_range(ANY) == ANY


@pytest.mark.parametrize("values", [[0.0, 0.2, 0.2], [0.99, 1.0], [0.9, 1.0, 1.0]])
def test_over_few_seeds_a_share_is_a_share(values):
    free, cut = student_interval(values), student_interval(values, within=SHARE)
    assert min(free.low, 1 - free.high) < 0
    assert (cut.low, cut.high) == (max(free.low, 0), min(free.high, 1))
    assert cut.value == free.value
    assert cut.reason is None


def test_cutting_loses_no_coverage():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        values = rng.beta(0.6, 0.2, 3)
        free, cut = student_interval(values), student_interval(values, within=SHARE)
        held.append([own.low <= 0.75 <= own.high for own in (free, cut)])
    assert (np.array(held)[:, 0] == np.array(held)[:, 1]).all()


def test_differences_of_shares_are_within_one():
    a, b, pieces = [0.1, 0.5], [0.9, 0.4], [[0.8, 0.8], [0.3, -0.5]]
    for own in (
        paired_student(a, b, within=(-1, 1)),
        crossed_test(a, b, pieces, within=(-1, 1)),
        corrected_folds([0.8, -0.1], 0.5, within=(-1, 1)),
    ):
        assert (own.difference.low, own.difference.high) == (-1, 1)
        assert own.p_value > 0.05
    free = paired_student(a, b)
    assert free.difference.high > 1
    assert free.p_value == pytest.approx(stats.ttest_rel(b, a).pvalue)


def test_seeds_that_agree_have_no_interval():
    found = student_interval([0.2, 0.2, 0.2], within=SHARE)
    assert (found.value, found.reason) == (pytest.approx(0.2), "all values are equal")
    assert found.as_dict()["low"] is found.as_dict()["high"] is None
    same = paired_student([0.2, 0.4], [0.2, 0.4])
    assert (same.p_value, same.difference.value) == (1, 0)
    assert same.difference.as_dict()["low"] is None


def test_equal_bounds_are_none_with_a_reason():
    given = Interval(0.5, 0.5, 0.5, 0.95, 9, "bca")
    found = bounded(given, SHARE)
    assert math.isnan(found.low)
    assert found.reason == "the same in every resample: too narrow"
    nothing = Interval(0.5, math.nan, math.nan, 0.95, 1, "bca", reason="needs two values or more")
    assert bounded(nothing, SHARE).as_dict() == nothing.as_dict()


def test_equal_values_too_small_for_their_squares_have_no_interval():
    found = bootstrap_interval([4.532101462592394e-262] * 3)
    assert (found.low, found.high) == pytest.approx((math.nan, math.nan), nan_ok=True)
    assert found.reason == "all values are equal"
