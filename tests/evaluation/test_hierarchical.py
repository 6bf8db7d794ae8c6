"""Metrics by level of a hierarchy against slow re-implementations."""

import numpy as np
import polars as pl
import pytest

from regard.data.hierarchy import Hierarchy
from regard.evaluation.hierarchical import hierarchical_metrics, told, with_levels
from regard.evaluation.label_sets import predicted_of, sets_table
from regard.evaluation.table import predictions_table

PARENTS = {
    "cat": "mammal", "dog": "mammal", "hen": "bird", "owl": "bird", "lorry": "vehicle",
    "mammal": "animal", "bird": "animal", "animal": None, "vehicle": None,
}  # fmt: skip
CLASSES = ("lorry", "owl", "dog", "hen", "cat")
TREE = Hierarchy(CLASSES, PARENTS)
K = len(CLASSES)


def above(name):
    """The label and all above it but the root, which several trees have in common."""
    return [name, *(above(PARENTS[name]) if PARENTS[name] else [])]


def at(name, depth):
    line = above(name)[::-1]
    return line[min(depth, len(line)) - 1]


def edges(a, b):
    one, other = ["root", *above(a)[::-1]], ["root", *above(b)[::-1]]
    shared = sum(x == y for x, y in zip(one, other, strict=False))
    return len(one) + len(other) - 2 * shared


def labelled(seed, n=60):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, K, n)
    proba = draw.dirichlet(np.ones(K), n) + 0.4 * np.eye(K)[labels]
    proba /= proba.sum(1, keepdims=True)
    names = [f"{i}.jpg" for i in range(n)]
    return predictions_table(range(n), names, labels, proba, list(CLASSES))


@pytest.mark.parametrize("seed", range(3))
def test_levels_shares_and_distances_of_single_labels(seed):
    table = labelled(seed)
    pairs = list(zip(table["label"], table["predicted"], strict=True))
    found = {n: own.value for n, own in hierarchical_metrics(table, TREE, resamples=50).items()}
    for depth in (1, 2):
        share = np.mean([at(a, depth) == at(b, depth) for a, b in pairs])
        assert found[f"accuracy_level_{depth}"] == pytest.approx(share)
    assert "accuracy_level_3" not in found
    both = sum(len(set(above(a)) & set(above(b))) for a, b in pairs)
    said, true = (sum(len(above(pair[i])) for pair in pairs) for i in (1, 0))
    precision, recall = both / said, both / true
    assert found["hierarchical_precision"] == pytest.approx(precision)
    assert found["hierarchical_recall"] == pytest.approx(recall)
    f1 = 2 * precision * recall / (precision + recall)
    assert found["hierarchical_f1"] == pytest.approx(f1)
    assert found["tree_distance"] == pytest.approx(np.mean([edges(a, b) for a, b in pairs]))
    wrong = [edges(a, b) for a, b in pairs if a != b]
    assert found["mistake_distance"] == pytest.approx(np.mean(wrong))
    # A coarser level is never harder.
    accuracy = table["correct"].mean()
    assert found["accuracy_level_1"] >= found["accuracy_level_2"] >= accuracy


def test_intervals_hold_their_values_and_know_what_they_rest_on():
    table = labelled(5)
    found = hierarchical_metrics(table, TREE, resamples=200)
    for name, own in found.items():
        assert own.low <= own.value <= own.high, name
    mistakes = int((~table["correct"]).sum())
    assert found["mistake_distance"].n == mistakes
    assert found["mistake_distance"].undefined == len(table) - mistakes


def test_columns_of_the_predictions_are_what_the_metrics_are_means_of():
    table = with_levels(labelled(6), TREE)
    found = hierarchical_metrics(labelled(6), TREE, resamples=50)
    for name in ("accuracy_level_1", "accuracy_level_2", "tree_distance"):
        assert table[name].cast(float).mean() == pytest.approx(found[name].value)


def test_without_a_mistake_there_is_no_distance_of_one():
    table = predictions_table([0, 1], ["a", "b"], [0, 1], np.eye(K)[:2], list(CLASSES))
    found = hierarchical_metrics(table, TREE, resamples=20)
    assert np.isnan(found["mistake_distance"].value)
    assert found["tree_distance"].value == 0
    assert found["hierarchical_f1"].value == 1


def test_sets_of_labels_have_all_that_stands_above_them():
    draw = np.random.default_rng(2)
    truth, proba = draw.random((50, K)) < 0.3, draw.random((50, K))
    names = [f"{i}.jpg" for i in range(50)]
    table = sets_table(range(50), names, truth, proba, CLASSES)
    found = {n: own.value for n, own in hierarchical_metrics(table, TREE, resamples=50).items()}
    guess = predicted_of(table)

    def up(row):
        return {label for k in np.flatnonzero(row) for label in above(CLASSES[k])}

    sides = [(up(t), up(g)) for t, g in zip(truth, guess, strict=True)]
    both = sum(len(t & g) for t, g in sides)
    assert found["hierarchical_precision"] == pytest.approx(both / sum(len(g) for _, g in sides))
    assert found["hierarchical_recall"] == pytest.approx(both / sum(len(t) for t, _ in sides))

    def coarse(row):
        return {at(CLASSES[k], 1) for k in np.flatnonzero(row)}

    share = np.mean([coarse(t) == coarse(g) for t, g in zip(truth, guess, strict=True)])
    assert found["accuracy_level_1"] == pytest.approx(share)
    assert "mistake_distance" not in found


def test_what_a_file_is_told():
    own = told(TREE)
    assert own["order"] == ["hen", "owl", "cat", "dog", "lorry"]
    assert own["lines"]["cat"] == ["animal", "mammal", "cat"]


def test_levels_are_over_groups_of_images():
    table = labelled(0).with_columns(group=pl.Series([f"p{i // 4}" for i in range(60)]))
    found = hierarchical_metrics(table, TREE, resamples=200)
    alone = hierarchical_metrics(table.drop("group"), TREE, resamples=200)
    for name, own in found.items():
        assert own.value == alone[name].value, name
        # Mistakes alone are of fewer groups.
        assert own.groups == (8 if name == "mistake_distance" else 15), name
        assert alone[name].groups is None
        assert (own.low, own.high) != (alone[name].low, alone[name].high)
