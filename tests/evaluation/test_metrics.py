import json
import tracemalloc

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm
from sklearn import metrics as sk

from regard.errors import ConfigError, DataError
from regard.evaluation import table as tables
from regard.evaluation.calibration import ece_interval
from regard.evaluation.confusion import MacroF1, mean_proportion
from regard.evaluation.curves import precision_recall_curve, reliability_diagram, roc_curve
from regard.evaluation.metrics import bca_intervals, evaluate
from regard.evaluation.ranking import Ranking
from regard.evaluation.table import predictions_table, validate
from regard.evaluation.units import Units

SCALARS = (
    "accuracy balanced_accuracy precision_macro recall_macro f1_macro roc_auc "
    "average_precision log_loss brier ece"
).split()


def make(n, k, seed=0, held=None, ties=False, skill=1.0):
    rng = np.random.default_rng(seed)
    true = rng.integers(held or k, size=n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), true] += skill
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:
        proba = np.round(proba * 4) + 0.25
        proba /= proba.sum(axis=1, keepdims=True)
    names = [f"c{i}" for i in range(k)]
    return predictions_table(np.arange(n), [f"{i}.jpg" for i in range(n)], true, proba, names)


def slow_ece(table):
    proba, correct = tables.probabilities(table).max(axis=1), table["correct"].to_numpy()
    total = 0.0
    for b in range(15):
        held = (proba > b / 15) & (proba <= (b + 1) / 15)
        if held.any():
            total += held.mean() * abs(correct[held].mean() - proba[held].mean())
    return total


@pytest.mark.parametrize("k", [2, 7])
@pytest.mark.parametrize("held", [None, 2])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [25, 300])
def test_values_are_those_of_scikit_learn(k, held, ties, n):
    table = make(n, k, seed=n + k, held=held, ties=ties)
    true, guess, proba = tables.labels(table), tables.predicted(table), tables.probabilities(table)
    found = evaluate(table, resamples=50)
    macro = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(true, guess),
        "balanced_accuracy": np.mean([np.mean(guess[true == c] == c) for c in np.unique(true)]),
        "precision_macro": sk.precision_score(true, guess, **macro),
        "recall_macro": sk.recall_score(true, guess, **macro),
        "f1_macro": sk.f1_score(true, guess, **macro),
        "log_loss": sk.log_loss(true, proba, labels=list(range(k))),
        "brier": sk.brier_score_loss(true, proba, labels=list(range(k))),
        "ece": slow_ece(table),
    }
    chosen = [1] if k == 2 else list(np.unique(true))
    expected["roc_auc"] = np.mean([sk.roc_auc_score(true == c, proba[:, c]) for c in chosen])
    expected["average_precision"] = np.mean(
        [sk.average_precision_score(true == c, proba[:, c]) for c in chosen]
    )
    if k == 2:
        for name in ("precision", "recall", "f1"):
            expected[name] = getattr(sk, f"{name}_score")(true, guess, zero_division=0)
    assert {m: found[m]["value"] for m in expected} == pytest.approx(expected, abs=1e-12)
    matrix = sk.confusion_matrix(true, guess, labels=list(range(k)))
    np.testing.assert_array_equal(found["confusion"], matrix)
    p, r, f, s = sk.precision_recall_fscore_support(
        true, guess, labels=list(range(k)), zero_division=np.nan
    )
    for c, name in enumerate(found["classes"]):
        mine = found["per_class"][name]
        assert mine["support"] == s[c]
        for key, theirs in (("precision", p[c]), ("recall", r[c]), ("f1", f[c])):
            value = np.nan if mine[key]["value"] is None else mine[key]["value"]
            assert value == pytest.approx(theirs, nan_ok=True)


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_ranking_and_f1_are_those_of_scikit_learn(ties):
    table = make(80, 3, ties=ties)
    true, guess, proba = tables.labels(table), tables.predicted(table), tables.probabilities(table)
    counts = np.random.default_rng(0).multinomial(80, np.full(80, 1 / 80), size=20).T.astype(float)
    auc, ap = Ranking(proba[:, 1], true == 1)(counts)
    f1 = MacroF1(true, guess, 3)(counts)["f1_macro"]
    for i, w in enumerate(counts.T):
        args = (true == 1, proba[:, 1])
        assert auc[i] == pytest.approx(sk.roc_auc_score(*args, sample_weight=w))
        assert ap[i] == pytest.approx(sk.average_precision_score(*args, sample_weight=w))
        theirs = sk.f1_score(true, guess, average="macro", sample_weight=w)
        assert f1[i] == pytest.approx(theirs)


def test_output_is_json_and_deterministic():
    table = make(200, 3)
    first = evaluate(table, resamples=200, seed=3)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first == evaluate(table, resamples=200, seed=3)
    assert first["roc_auc"] != evaluate(table, resamples=200, seed=4)["roc_auc"]
    for name in SCALARS:
        assert first[name]["low"] <= first[name]["value"] <= first[name]["high"]
        assert type(first[name]["value"]) is float


def test_empty_single_and_one_class_tables_are_defined():
    empty = make(0, 3)
    found = evaluate(empty)
    assert found["n"] == 0
    assert all(found[m]["value"] is None and found[m]["reason"] for m in SCALARS)
    single = evaluate(make(1, 3))
    assert single["accuracy"]["low"] is not None
    assert single["log_loss"]["low"] is None
    assert single["roc_auc"]["value"] is None
    one = evaluate(make(50, 3, held=1), resamples=50)
    assert one["absent"] == ["c1", "c2"]
    assert one["roc_auc"]["value"] is None
    assert "needs" in one["roc_auc"]["reason"]
    assert one["per_class"]["c1"]["recall"]["value"] is None
    assert json.dumps([found, single, one], allow_nan=False)


def test_resamples_without_a_class_are_counted():
    table = predictions_table(
        range(20),
        [str(i) for i in range(20)],
        [1] + [0] * 19,
        np.linspace([0.1, 0.9], [0.9, 0.1], 20),
        ["a", "b"],
    )
    lost = evaluate(table, resamples=4000)["roc_auc"]["undefined_resamples"] / 4000
    assert lost == pytest.approx((19 / 20) ** 20, abs=0.03)


def test_a_model_without_errors_keeps_a_lower_bound():
    found = evaluate(make(100, 2, skill=60.0), resamples=100)
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1"):
        assert found[name]["value"] == 1
        assert found[name]["low"] < 0.97
    assert "too narrow" in found["f1_macro"]["reason"]


def test_positive_class():
    table = make(60, 2)
    first, last = evaluate(table, resamples=9, positive="c0"), evaluate(table, resamples=9)
    assert last["positive"] == "c1"
    assert first["recall"] == first["per_class"]["c0"]["recall"]
    assert first["average_precision"]["value"] != last["average_precision"]["value"]
    with pytest.raises(ConfigError, match="positive class"):
        evaluate(table, positive="moss")
    with pytest.raises(ConfigError, match="two classes"):
        evaluate(make(9, 3), positive="c1")
    with pytest.raises(ConfigError, match="level"):
        evaluate(table, level=95)


def test_memory_is_bounded():
    table = make(20_000, 3)
    tracemalloc.start()
    evaluate(table, resamples=120)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # 120 x 20,000 counts and their ranks at once would be some 300 MB


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 10**6), st.booleans())
def test_bounds_hold_for_any_table(n, k, seed, ties):
    found = evaluate(make(n, k, seed=seed, ties=ties), resamples=40)
    for name in SCALARS:
        i = found[name]
        if i["low"] is not None:
            assert -1e-12 <= i["low"] <= i["high"]
            if name not in ("log_loss", "brier"):
                assert i["high"] <= 1 + 1e-12


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"index": [0, 0, 2]}, "duplicates"),
        ({"label": ["c0", "moss", "c1"]}, "moss"),
        ({"label": ["c0", None, "c1"]}, "missing"),
        ({"probability:c0": [0.5, 2.0, 0.1]}, r"\[0, 1\]"),
        ({"probability:c0": [0.5, float("nan"), 0.1]}, "NaN"),
        ({"probability:c0": [0.0, 0.0, 0.0]}, "summing"),
        ({"correct": [1, 0, 1]}, "booleans"),
    ],
)
def test_a_damaged_table_is_refused(change, match):
    table = make(3, 2)
    damaged = table.with_columns(**{k: pl.Series(v) for k, v in change.items()})
    with pytest.raises(DataError, match=match):
        validate(damaged)


def test_table_shapes_are_checked():
    with pytest.raises(DataError, match="shape"):
        predictions_table([0], ["a"], [0], [[0.5, 0.5]], ["x"])
    with pytest.raises(DataError, match="labels in"):
        predictions_table([0], ["a"], [2], [[0.5, 0.5]], ["x", "y"])
    with pytest.raises(DataError, match="unique"):
        predictions_table([0], ["a"], [0], [[0.5, 0.5]], ["x", "x"])
    with pytest.raises(DataError, match="summing"):
        predictions_table([0], ["a"], [0], [[0.5, 0.4]], ["x", "y"])
    wrong = make(3, 2)
    with pytest.raises(DataError, match="correct"):
        validate(wrong.with_columns(correct=~wrong["correct"]))
    with pytest.raises(DataError, match="no index"):
        validate(wrong.drop("index"))


def test_curves_keep_their_area():
    table = make(5000, 3)
    true, proba = tables.labels(table), tables.probabilities(table)
    for c, name in enumerate(tables.classes(table)):
        roc, pr = roc_curve(table, name), precision_recall_curve(table, name)
        assert json.dumps([roc, pr], allow_nan=False)
        assert len(roc["threshold"]) <= 200
        area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
        assert area == pytest.approx(sk.roc_auc_score(true == c, proba[:, c]), abs=2e-3)
        area = -np.trapezoid(pr["precision"], pr["recall"])
        ap = sk.average_precision_score(true == c, proba[:, c])
        assert area == pytest.approx(ap, abs=5e-3)
    bins = reliability_diagram(table)
    assert json.dumps(bins, allow_nan=False)
    gaps = [
        n * abs(a - b)
        for n, a, b in zip(bins["count"], bins["accuracy"], bins["confidence"], strict=True)
        if n
    ]
    assert sum(gaps) / 5000 == pytest.approx(slow_ece(table))
    joined = reliability_diagram(table, least=400)
    assert min(joined["count"]) >= 400
    assert len(joined["count"]) < 15
    assert joined["upper"][:-1] == joined["lower"][1:]
    assert (joined["lower"][0], joined["upper"][-1], sum(joined["count"])) == (0, 1, 5000)
    top, right = proba.max(1), table["correct"].to_numpy()
    for number, (low, high) in enumerate(zip(joined["lower"], joined["upper"], strict=True)):
        own = (top > low) & (top <= high)
        assert joined["count"][number] == own.sum()
        assert joined["confidence"][number] == pytest.approx(top[own].mean())
        assert joined["accuracy"][number] == pytest.approx(right[own].mean())
    assert reliability_diagram(table[:3], least=20)["count"] == [3]
    assert roc_curve(make(5, 2, held=1), "c1")["reason"]
    assert reliability_diagram(make(0, 2))["count"] == [0] * 15


def covers(intervals, truth):
    return np.mean([i.low <= truth <= i.high for i in intervals])


# How often, and by how much the share that covers may then differ from 0.95.
OFTEN = pytest.mark.parametrize(
    ("tries", "apart"), [(500, 0.02), pytest.param(2000, 0.02, marks=pytest.mark.torture)]
)


@OFTEN
def test_auc_interval_covers(tries, apart):
    rng, n = np.random.default_rng(0), 100
    intervals = []
    for r in range(tries):
        y = rng.random(n) < 0.4
        f = Ranking(rng.normal(size=n) + 1.5 * y, y)
        options = {"resamples": 250, "seed": r, "level": 0.95}
        intervals.append(
            bca_intervals(lambda w, f=f: {"auc": f(w)[0]}, Units.alone(n), **options)["auc"]
        )
    assert abs(covers(intervals, norm.cdf(1.5 / 2**0.5)) - 0.95) <= apart


def joint(prior, rate):
    k = len(prior)
    rates = np.full((k, k), (1 - rate) / (k - 1))
    np.fill_diagonal(rates, rate)
    return np.array(prior)[:, None] * rates


@OFTEN
def test_macro_f1_interval_covers(tries, apart):
    rng, p = np.random.default_rng(1), joint([0.5, 0.3, 0.2], 0.8)
    truth = (2 * p.diagonal() / (p.sum(0) + p.sum(1))).mean()
    intervals = []
    for r in range(tries):
        cell = rng.choice(9, p=p.ravel(), size=120)
        f = MacroF1(cell // 3, cell % 3, 3)
        options = {"resamples": 400, "seed": r, "level": 0.95}
        intervals.append(bca_intervals(f, Units.alone(120), **options)["f1_macro"])
    assert abs(covers(intervals, truth) - 0.95) <= apart


@pytest.mark.parametrize(
    ("prior", "rate", "n"), [((0.6, 0.3, 0.1), 0.85, 100), ((1 / 7,) * 7, 0.99, 140)]
)
def test_balanced_accuracy_interval_covers(prior, rate, n):
    rng, k = np.random.default_rng(2), len(prior)
    tables_ = rng.multinomial(n, joint(prior, rate).ravel(), size=4000).reshape(-1, k, k)
    found = []
    for t in tables_:
        true, guess = np.repeat(np.indices((k, k)).reshape(2, -1), t.ravel(), axis=1)
        found.append(mean_proportion(true == guess, true, Units.alone(n), 0.95))
    assert 0.93 <= covers(found, rate) <= 0.97


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_calibration_interval_covers(gap):
    rng, found = np.random.default_rng(3), []
    for r in range(500):
        u = rng.uniform(0.6, 1, size=300)
        found.append(ece_interval(u, rng.random(300) < u - gap, resamples=300, seed=r))
    assert covers(found, gap) >= 0.93  # by design on the safe side


def test_accuracy_bounds_lie_inside_the_exact_ones():
    found = evaluate(make(400, 3), resamples=9)["accuracy"]
    hits = round(found["value"] * 400)
    assert beta.ppf(0.025, hits, 401 - hits) < found["low"]
    assert found["high"] < beta.ppf(0.975, hits + 1, 400 - hits)
