"""A threshold from one table, held against another: scikit-learn's curves, and counting slowly."""

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from regard.errors import ConfigError, DataError
from regard.evaluation.metrics import evaluate
from regard.evaluation.settings import Evaluate
from regard.evaluation.table import predictions_table
from regard.evaluation.thresholds import (
    AT_THRESHOLD,
    ROOM,
    Choice,
    at_threshold,
    choose,
    positive_class,
)

NAMES = ["healthy", "ill"]


def make(n, seed=0, *, ties=False, share=0.2):
    """Predictions of two classes, one of them rare, and of some skill."""
    rng = np.random.default_rng(seed)
    true = (rng.random(n) < share).astype(int)
    true[:2] = 0, 1
    ill = 1 / (1 + np.exp(-(rng.normal(size=n) + 2 * true - 1.5)))
    ill = np.round(ill, 1) if ties else ill
    images = [f"{i}.png" for i in range(n)]
    return predictions_table(range(n), images, true, np.stack([1 - ill, ill], 1), NAMES), true, ill


def calls_as(found, exact, scores):
    """Whether a threshold calls what the exact one does, from close below."""
    alike = np.array_equal(scores >= found, scores >= exact)
    return alike and max(0.0, exact - ROOM) <= found <= exact and found not in scores[scores > 0]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("target", [0.05, 0.5, 0.7, 0.9, 0.95, 1.0])
def test_it_is_the_highest_threshold_with_that_recall(target, ties):
    for seed in range(3):
        table, true, ill = make(40, seed, ties=ties)
        found = choose(table, Choice("recall", target, "ill"))
        recalls = {t: sk.recall_score(true, ill >= t) for t in np.unique(ill)}
        exact = max(t for t, recall in recalls.items() if recall >= target - 1e-12)
        assert calls_as(found, exact, ill)
        _, recall, at = sk.precision_recall_curve(true, ill)
        assert exact == at[recall[:-1] >= target - 1e-12].max()


def test_a_share_that_is_a_whole_number_of_images_takes_that_many():
    # 0.7 x 10 is 7.000000000000001 in floating point.
    ill = np.linspace(0.05, 0.95, 10)
    true = np.r_[np.ones(10, int), np.zeros(10, int)]
    both = np.r_[ill, np.zeros(10)]
    images = [str(i) for i in range(20)]
    table = predictions_table(range(20), images, true, np.stack([1 - both, both], 1), NAMES)
    assert choose(table, Choice("recall", 0.7, "ill")) == ill[3] - ROOM
    assert choose(table, Choice("recall", 0.71, "ill")) == ill[2] - ROOM


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("by", ["f1", "youden"])
def test_it_is_the_best_of_all_thresholds(by, ties):
    for seed in range(5):
        table, true, ill = make(60, seed, ties=ties)
        worth = {
            t: sk.f1_score(true, ill >= t)
            if by == "f1"
            else 2 * sk.balanced_accuracy_score(true, ill >= t) - 1
            for t in np.unique(ill)
        }
        found = choose(table, Choice(by, None, "ill"))
        best = max(worth.values())
        assert calls_as(found, max(t for t, value in worth.items() if value > best - 1e-12), ill)


def test_the_other_class_may_be_the_positive_one():
    table, true, _ = make(80)
    found = choose(table, Choice("recall", 0.9, "healthy"))
    healthy = table["probability:healthy"].to_numpy()
    assert (healthy[true == 0] >= found).mean() >= 0.9
    assert (healthy[true == 0] > found + ROOM).mean() < 0.9
    values = at_threshold(table, "healthy", found)
    assert values["recall"].value == sk.recall_score(true, healthy < found, pos_label=0)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9])
def test_the_numbers_at_a_threshold_are_scikit_learns(threshold):
    table, true, ill = make(120, 3)
    called = (ill >= threshold).astype(int)
    expected = {
        "accuracy": sk.accuracy_score(true, called),
        "balanced_accuracy": sk.balanced_accuracy_score(true, called),
        "precision": sk.precision_score(true, called),
        "recall": sk.recall_score(true, called),
        "specificity": sk.recall_score(true, called, pos_label=0),
        "f1": sk.f1_score(true, called),
    }
    found = at_threshold(table, "ill", threshold)
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(expected)
    assert [f"{name}_at_threshold" for name in found] == list(AT_THRESHOLD)
    for interval in found.values():
        assert interval.low <= interval.value <= interval.high
    assert found["recall"].n == true.sum()


def test_at_one_half_they_are_those_of_the_most_probable_class():
    table, _, _ = make(150, 4)
    half, plain = at_threshold(table, "ill", 0.5), evaluate(table, resamples=20)
    for name, interval in half.items():
        assert interval.as_dict() == plain[name]
    assert plain["specificity"] == plain["per_class"]["healthy"]["recall"]
    assert "specificity" not in evaluate(
        predictions_table([0], ["a"], [0], [[0.5, 0.3, 0.2]], ["a", "b", "c"])
    )


def test_nothing_above_the_threshold_has_no_precision():
    table, _, _ = make(30)
    found = at_threshold(table, "ill", 1.1)
    assert np.isnan(found["precision"].value)
    assert found["precision"].reason == "the class is never predicted"
    assert (found["recall"].value, found["specificity"].value) == (0, 1)


def test_intervals_of_recall_cover_what_is_true():
    """Recall on new images of a threshold that is given, over many draws."""
    table, _, _ = make(40_000, 9, share=0.5)
    at, inside = 0.6, 0
    truth = at_threshold(table, "ill", at)["recall"].value
    for seed in range(300):
        recall = at_threshold(make(100, 100 + seed, share=0.5)[0], "ill", at)["recall"]
        inside += recall.low <= truth <= recall.high
    assert 0.92 <= inside / 300 <= 0.98


def test_one_class_alone_gives_no_threshold():
    table = predictions_table([0, 1], ["a", "b"], [0, 0], [[0.9, 0.1], [0.4, 0.6]], NAMES)
    for how in (Choice("recall", 0.9, "ill"), Choice("f1", None, "ill")):
        with pytest.raises(DataError, match="expected images of both classes, found 0 of 'ill'"):
            choose(table, how)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="expected two classes, of which one is the positive"):
        Evaluate(target_recall=0.9).choice(["a", "b", "c"])
    with pytest.raises(ConfigError, match="expected healthy or ill, found 'il'; did you mean"):
        positive_class(NAMES, "il")
    with pytest.raises(ConfigError, match="target recall: expected a number above 0"):
        Choice("recall", 1.2, "ill")
    with pytest.raises(ConfigError, match="target recall"):
        Choice("f1", 0.9, "ill")
    with pytest.raises(ConfigError, match="threshold: expected recall, f1, youden"):
        Choice("best", None, "ill")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="both target_recall and threshold"):
        Evaluate(target_recall=0.9, threshold="f1")


def test_without_anything_set_nothing_is_chosen():
    assert Evaluate().choice(["a", "b", "c"]) is None
    assert Evaluate(positive="ill").choice(NAMES) is None
    assert Evaluate(threshold="f1").choice(NAMES) == Choice("f1", None, "ill")
    assert Evaluate(target_recall=0.8, positive="healthy").choice(NAMES) == Choice(
        "recall", 0.8, "healthy"
    )


def test_what_a_threshold_makes_is_over_groups():
    table, *_ = make(120, share=0.5)
    grouped = table.with_columns(group=pl.Series([f"p{i // 10}" for i in range(120)]))
    found, alone = (at_threshold(t, "ill", 0.4) for t in (grouped, table))
    assert {own.groups for own in found.values()} == {12}
    assert {own.groups for own in alone.values()} == {None}
    for name, own in found.items():
        assert own.value == pytest.approx(alone[name].value)
