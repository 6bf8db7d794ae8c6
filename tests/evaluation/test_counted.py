"""Metrics by how often each image is taken, against tables that have each image so often."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import bootstrap

from regard.evaluation.counted import PredictionStatistics, resampled_predictions
from regard.evaluation.crossed import pseudo_values
from regard.evaluation.metrics import evaluate
from regard.evaluation.table import predictions_table


def make(n, k, seed=0, held=None):
    rng = np.random.default_rng(seed)
    true = rng.integers(held or k, size=n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), true] += 1
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"c{i}" for i in range(k)]
    return predictions_table(np.arange(n), [f"{i}.jpg" for i in range(n)], true, proba, names)


def repeated(table, times):
    rows = np.repeat(np.arange(len(table)), times)
    return table[rows.tolist()].with_columns(index=pl.Series(np.arange(len(rows))))


def values(table):
    found = evaluate(table, resamples=2)
    plain = {k: v["value"] for k, v in found.items() if isinstance(v, dict) and "value" in v}
    own = {
        f"{name}:{label}": told[name]["value"]
        for label, told in found["per_class"].items()
        for name in ("precision", "recall", "f1")
    }
    return plain | own


@pytest.mark.parametrize(("k", "held"), [(2, None), (4, None), (4, 3)])
def test_a_resample_s_metrics_are_those_of_its_table(k, held):
    table = make(60, k, held=held)
    statistics, rng = PredictionStatistics(table), np.random.default_rng(1)
    counts = np.stack([np.ones(60), rng.multinomial(60, np.full(60, 1 / 60))], 1)
    found = statistics(counts.astype(float))
    for column in range(2):
        expected = values(repeated(table, counts[:, column].astype(int)))
        assert set(expected) == set(found)
        for name, value in expected.items():
            own = found[name][column]
            assert own == pytest.approx(np.nan if value is None else value, nan_ok=True), name


def test_resamples_are_a_bootstrap_and_what_is_left_out_a_jackknife():
    table = make(80, 3)
    own = resampled_predictions(table.sample(fraction=1, shuffle=True, seed=2))
    correct = table["correct"].to_numpy().astype(float)
    assert own.whole["accuracy"] == correct.mean()
    theirs = bootstrap((correct,), np.mean, n_resamples=2000, rng=np.random.default_rng(0))
    assert own.resamples["accuracy"].std() == pytest.approx(theirs.standard_error, rel=0.1)
    pieces = pseudo_values(own.whole["accuracy"], own.left_out["accuracy"])
    assert sorted(pieces.round(9)) == sorted(correct.tolist())
    first = np.arange(80) < 30
    assert own.of(first, "f1_macro") == pytest.approx(values(table.head(30))["f1_macro"])


@pytest.mark.parametrize("positive", [None, "c0", "c1"])
def test_the_positive_class_can_be_either(positive):
    table = make(60, 2)
    found = resampled_predictions(table, positive).whole
    told = evaluate(table, resamples=2, positive=positive)
    for name in ("precision", "recall", "f1", "specificity", "average_precision"):
        assert found[name] == pytest.approx(told[name]["value"]), name
