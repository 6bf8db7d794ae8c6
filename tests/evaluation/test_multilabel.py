"""Metrics of sets of labels against scikit-learn and slow re-implementations."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from regard.errors import ConfigError, DataError
from regard.evaluation.curves import precision_recall_curve
from regard.evaluation.flips import compare_accuracy, same_images
from regard.evaluation.label_sets import predicted_of, sets_table, truth_of, validate_sets
from regard.evaluation.multilabel import (
    BY_CLASS,
    BY_IMAGE,
    POOLED,
    PooledSets,
    by_image,
    evaluate_multilabel,
    set_metrics,
    with_image_metrics,
)

NAMES = ["berry", "fern", "moss", "sky", "tree"]


def drawn(seed, n=80, k=5, rate=0.3, digits=1):
    """Truth and probabilities that know something of it, with many ties."""
    draw = np.random.default_rng(seed)
    truth = draw.random((n, k)) < rate
    return truth, np.clip(draw.random((n, k)) * 0.7 + 0.3 * truth, 0, 1).round(digits)


def table_of(truth, probabilities, names=None):
    rows = len(truth)
    names = names or NAMES[: truth.shape[1]]
    return sets_table(range(rows), [f"{i}.jpg" for i in range(rows)], truth, probabilities, names)


def expected(truth, proba):
    guess = proba >= 0.5
    return {
        "accuracy": sk.accuracy_score(truth, guess),
        "map": sk.average_precision_score(truth, proba, average="macro"),
        "ap_micro": sk.average_precision_score(truth, proba, average="micro"),
        "f1_macro": sk.f1_score(truth, guess, average="macro", zero_division=0),
        "f1_micro": sk.f1_score(truth, guess, average="micro"),
        "f1_samples": sk.f1_score(truth, guess, average="samples", zero_division=1),
        "precision_macro": sk.precision_score(truth, guess, average="macro", zero_division=0),
        "recall_macro": sk.recall_score(truth, guess, average="macro", zero_division=0),
        "hamming_loss": sk.hamming_loss(truth, guess),
        "ranking_loss": sk.label_ranking_loss(truth, proba),
        "log_loss": np.mean([sk.log_loss(t, p, labels=[0, 1]) for t, p in zip(truth.T, proba.T,
                                                                              strict=True)]),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_values_are_scikit_learn_s(seed):
    truth, proba = drawn(seed)
    truth[:6] = False  # of none of the classes
    found = evaluate_multilabel(table_of(truth, proba), resamples=50)
    for name, value in expected(truth, proba).items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-12), name
    guess = proba >= 0.5
    rates = sk.precision_recall_fscore_support(truth, guess, zero_division=np.nan)
    for c, name in enumerate(NAMES):
        own = found["per_class"][name]
        values = [own[key]["value"] for key in ("precision", "recall", "f1")]
        assert values == pytest.approx([rates[i][c] for i in range(3)])
        assert own["support"] == rates[3][c]
        ap = sk.average_precision_score(truth[:, c], proba[:, c])
        assert own["average_precision"]["value"] == pytest.approx(ap)
    assert found["unlabelled"] == int((~truth.any(1)).sum()) >= 6
    assert found["labels"] == pytest.approx(truth.sum(1).mean())
    assert json.dumps(found)


def test_pairs_of_classes_are_counted_one_by_one():
    truth, proba = drawn(9)
    guess = proba >= 0.5
    found = evaluate_multilabel(table_of(truth, proba), resamples=20)
    for a in range(5):
        assert found["missed"][a] == sum(t[a] and not g[a] for t, g in zip(truth, guess,
                                                                          strict=True))  # fmt: skip
        for b in range(5):
            both = sum(t[a] and t[b] for t in truth)
            alarms = sum(t[a] and g[b] and not t[b] for t, g in zip(truth, guess, strict=True))
            assert found["cooccurrence"][a][b] == both
            assert found["false_alarms"][a][b] == alarms


def test_classes_without_an_image_are_named_and_left_out_of_means():
    truth, proba = drawn(1)
    truth[:, 2] = False
    proba[:, 4], truth[:, 4] = 0.1, False  # neither true nor predicted
    found = evaluate_multilabel(table_of(truth, proba), resamples=20)
    assert found["absent"] == ["moss", "tree"]
    seen = [0, 1, 3]
    value = sk.average_precision_score(truth[:, seen], proba[:, seen], average="macro")
    assert found["map"]["value"] == pytest.approx(value)
    assert found["per_class"]["moss"]["average_precision"]["value"] is None
    guess = proba[:, :4] >= 0.5
    f1 = sk.f1_score(truth[:, :4], guess, average="macro", zero_division=0)
    assert found["f1_macro"]["value"] == pytest.approx(f1)


def test_a_right_empty_set_counts_as_right():
    truth = np.array([[False, False], [False, False], [True, False]])
    proba = np.array([[0.1, 0.2], [0.1, 0.9], [0.8, 0.2]])
    assert by_image(truth, proba >= 0.5, proba)["f1_samples"].tolist() == [1.0, 0.0, 1.0]
    table = table_of(truth, proba)
    assert table["labels"].to_list() == [[], [], ["berry"]]
    assert table["predicted"].to_list() == [[], ["fern"], ["berry"]]
    assert table["correct"].to_list() == [True, False, True]
    found = evaluate_multilabel(table, resamples=20)
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["map"]["value"] == 1.0  # of berry alone


def test_an_image_taken_twice_counts_as_two():
    truth, proba = drawn(4, n=30)
    times = np.random.default_rng(0).integers(0, 4, (30, 3)).astype(float)
    found = PooledSets(truth, proba >= 0.5, proba)(times)
    for b in range(3):
        rows = np.repeat(np.arange(30), times[:, b].astype(int))
        own = PooledSets(truth[rows], proba[rows] >= 0.5, proba[rows])(np.ones((len(rows), 1)))
        for name in (*POOLED, *(f"{n}.{c}" for n in BY_CLASS for c in range(5))):
            np.testing.assert_allclose(found[name][b], own[name][0], atol=1e-12, err_msg=name)


def test_a_class_that_a_resample_lacks_is_left_out_of_its_mean():
    truth = np.array([[True, False], [True, True], [False, False]])
    proba = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.3]])
    times = np.array([[1.0], [0.0], [1.0]])  # without the only image of the second class
    found = PooledSets(truth, proba >= 0.5, proba)(times)
    assert found["map"][0] == found["f1_macro"][0] == found["recall_macro"][0] == 1.0


def test_intervals_cover_about_as_often_as_they_say():
    """Of 60 sets of 60 images; at 95 %, fewer than 51 would come once in ten thousand."""
    population = drawn(0, n=4000, digits=3)
    whole, hits = set_metrics(*population), dict.fromkeys(("map", "f1_micro", "hamming_loss"), 0)
    draw = np.random.default_rng(1)
    for seed in range(60):
        rows = draw.integers(4000, size=60)
        truth, proba = population[0][rows], population[1][rows]
        found = evaluate_multilabel(table_of(truth, proba), resamples=150, seed=seed)
        for name in hits:
            hits[name] += found[name]["low"] <= whole[name] <= found[name]["high"]
    assert all(51 <= count for count in hits.values()), hits


def test_by_image_metrics_are_columns_and_their_means_the_metrics():
    truth, proba = drawn(2)
    table = with_image_metrics(table_of(truth, proba))
    values = set_metrics(truth, proba)
    for name in BY_IMAGE:
        assert table[name].mean() == pytest.approx(values[name])
    validate_sets(table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.lit(["grass"]).alias("labels"), "names of classes, found 'grass'"),
        (pl.lit(True).alias("correct"), "whether both sets are the same"),
        (pl.lit(1.5).alias("probability:fern"), r"numbers in \[0, 1\]"),
        (pl.lit(None, pl.List(pl.String)).alias("labels"), "no missing values"),
        (pl.lit("fern").alias("predicted"), r"'predicted': expected List\(String\)"),
        (pl.lit(0).alias("index"), "every row once"),
    ],
)
def test_tables_that_are_none_are_refused(change, said):
    table = table_of(*drawn(0))
    change = change.cast(pl.Int64) if "index" in said or "row once" in said else change
    with pytest.raises(DataError, match=said) as caught:
        validate_sets(table.with_columns(change))
    assert "\n" not in str(caught.value)


def test_shapes_and_options_are_checked():
    truth, proba = drawn(0)
    with pytest.raises(DataError, match="truth and probabilities of shape"):
        sets_table(range(80), ["x"] * 80, truth[:, :2], proba, NAMES)
    with pytest.raises(ConfigError, match="confidence level"):
        evaluate_multilabel(table_of(truth, proba), level=1.0)


def test_a_table_of_one_image_has_values_and_no_bounds():
    found = evaluate_multilabel(table_of(np.array([[True, False]]), np.array([[0.9, 0.2]])))
    assert found["map"]["value"] == 1.0
    assert found["map"]["low"] is None
    assert "two images" in found["map"]["reason"]


def test_curves_and_pairs_take_sets():
    truth, proba = drawn(3)
    table = table_of(truth, proba)
    curve = precision_recall_curve(table, "moss")
    precision, recall, _ = sk.precision_recall_curve(truth[:, 2], proba[:, 2])
    assert curve["recall"] == pytest.approx(recall)
    assert curve["precision"] == pytest.approx(precision)
    other = table_of(truth, drawn(8)[1])
    found = compare_accuracy(table, other)
    right = [(truth_of(t) == predicted_of(t)).all(1) for t in (table, other)]
    assert found["difference"]["value"] == pytest.approx(right[1].mean() - right[0].mean())
    with pytest.raises(DataError, match="column 'labels'"):
        same_images(table, table_of(~truth, proba))


def test_a_metric_of_a_class_is_of_the_images_that_have_to_do_with_it():
    truth = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]], bool)
    guess = np.array([[0, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]], bool)
    pooled = PooledSets(truth, guess, guess * 0.8 + 0.1)
    assert [pooled.concerned(f"recall.{c}").sum() for c in range(3)] == [1, 0, 3]
    assert [pooled.concerned(f"f1.{c}").sum() for c in range(3)] == [2, 2, 3]
    assert [pooled.concerned(f"average_precision.{c}").sum() for c in range(3)] == [1, 0, 3]
    assert pooled.concerned("map").sum() == pooled.concerned("f1_micro").sum() == 4
