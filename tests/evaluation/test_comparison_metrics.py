"""Metrics, classes and calibration of two models, and the intervals of their differences."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from regard.errors import DataError
from regard.evaluation import counted
from regard.evaluation.comparison_metrics import METRICS, compare_metrics
from regard.evaluation.curves import reliability_diagram
from regard.evaluation.flips import mcnemar_exact
from regard.evaluation.metrics import evaluate
from regard.evaluation.paired import paired_bootstrap
from regard.evaluation.table import predictions_table

NAMES = ["fern", "moss", "lichen"]


def model(rng, labels, skill=1.0, sharp=1.0):
    logits = rng.normal(size=(len(labels), 3)) + skill * np.eye(3)[labels]
    proba = np.exp(sharp * logits)
    proba /= proba.sum(1, keepdims=True)
    return predictions_table(range(len(labels)), ["i.jpg"] * len(labels), labels, proba, NAMES)


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=120)
    return model(rng, labels), model(rng, labels, skill=2.0, sharp=3.0)


def test_values_are_those_of_each_and_differences_theirs(sides):
    found = compare_metrics([sides[0]], [sides[1]])
    told = [evaluate(side, resamples=2) for side in sides]
    for name in METRICS:
        own = found["metrics"][name]
        assert own["before"] == pytest.approx(told[0][name]["value"])
        assert own["difference"]["value"] == pytest.approx(
            told[1][name]["value"] - told[0][name]["value"]
        )
        assert own["difference"]["low"] <= own["difference"]["value"] <= own["difference"]["high"]
    for k, label in enumerate(NAMES):
        own = found["per_class"][label]
        assert own["support"] == (sides[0]["label"] == label).sum()
        for end, side in zip(("before", "after"), sides, strict=True):
            true, guess = side["label"], side["predicted"]
            recall = recall_score(true, guess, labels=NAMES, average=None)[k]
            assert own["recall"][end] == pytest.approx(recall)
            f1 = f1_score(true, guess, labels=NAMES, average=None)[k]
            assert own["f1"][end] == pytest.approx(f1)
            right = [side.filter(label=label)["correct"].cast(float) for side in sides]
            assert own["recall"]["p_value"] == mcnemar_exact(*right).p_value
            assert own["recall"]["difference"] == paired_bootstrap(*right).difference.as_dict()
    assert {"recall", "precision", "f1"} < set(found["per_class"]["fern"])
    assert found["reliability"]["before"] == reliability_diagram(sides[0], least=20)
    json.dumps(found, allow_nan=False)


def test_the_same_model_differs_in_nothing_and_trainings_are_averaged(sides):
    same = compare_metrics([sides[0]], [sides[0]])["metrics"]["ece"]
    assert (same["difference"]["value"], same["p_value"]) == (0, 1)
    both = compare_metrics([sides[0], sides[1]], [sides[1], sides[1]])["metrics"]["brier"]
    one = compare_metrics([sides[0]], [sides[1]])["metrics"]["brier"]
    assert both["difference"]["value"] == pytest.approx(one["difference"]["value"] / 2)


def test_other_images_are_refused(sides):
    with pytest.raises(DataError, match="the same images"):
        compare_metrics([sides[0]], [sides[1].head(50)])


def test_an_interval_of_a_difference_in_calibration_keeps_its_level(monkeypatch):
    monkeypatch.setattr(counted, "RESAMPLES", 300)
    rng, claimed, number = np.random.default_rng(2), 0, 120
    for _ in range(number):
        labels = rng.integers(3, size=150)
        sides = [counted.resampled_predictions(model(rng, labels, sharp=2.0)) for _ in range(2)]
        drawn = sides[1].resamples["ece"] - sides[0].resamples["ece"]
        low, high = np.quantile(drawn, [0.025, 0.975])
        claimed += not low <= 0 <= high
    assert claimed <= 13  # a share of 5 % gives more than that in 0.3 % of such tests


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_few_images_show_no_difference_of_nets_that_are_alike(n):
    rng, found = np.random.default_rng(n), []
    for _ in range(25):
        labels = rng.integers(3, size=n)
        own = compare_metrics([model(rng, labels)], [model(rng, labels)])["metrics"]
        found += [values["p_value"] for values in own.values() if values["p_value"] is not None]
    known = np.array([p for p in found if not np.isnan(p)])
    assert known.min() >= 2.0 ** (1 - n)
    assert (known < 0.05).sum() == 0


def test_a_class_of_few_images_shows_nothing_among_many_others():
    """Of one fern, three mosses and forty lichens; the first of them are taken for lichens."""
    labels = np.r_[[0], [1] * 3, [2] * 40]
    sides = []
    for right in (True, False):
        guess = labels if right else np.full(44, 2)
        proba = np.full((44, 3), 0.1)
        proba[np.arange(44), guess] = 0.8
        sides.append(predictions_table(range(44), ["i"] * 44, labels, proba, NAMES))
    found = compare_metrics(sides[:1], sides[1:])["per_class"]
    assert found["fern"]["recall"]["difference"]["n"] == 1
    assert found["fern"]["recall"]["p_value"] == 1
    assert found["moss"]["recall"]["p_value"] == 0.25
    assert found["moss"]["recall"]["difference"]["value"] == -1
    # All that are taken for lichens have to do with their precision.
    assert found["lichen"]["precision"]["difference"]["n"] == 44
    assert found["lichen"]["recall"]["difference"]["n"] == 40


def test_a_class_of_few_images_is_told_apart_by_no_more_than_they_are_worth():
    index = np.arange(12)
    labels = np.array([0] * 8 + [1] * 4)
    wrong, right = np.full((12, 2), 0.5), np.eye(2)[labels]
    wrong[:] = (0.9, 0.1)  # all are taken for the first class
    tables = [
        predictions_table(index, [f"{k}.png" for k in index], labels, proba, ["fern", "moss"])
        for proba in (wrong, right)
    ]
    found = compare_metrics([tables[0]], [tables[1]])["per_class"]["moss"]["recall"]
    difference = found["difference"]
    assert (found["before"], found["after"], difference["value"]) == (0, 1, 1)
    assert difference["low"] < 0.9  # of four images
    assert difference["method"] == "bonett-price"


def test_of_a_class_without_images_there_is_no_recall_and_no_p():
    proba = np.full((4, 3), 1 / 3)
    table = predictions_table(range(4), ["i"] * 4, [0, 0, 1, 1], proba, NAMES)
    recall = compare_metrics([table], [table])["per_class"]["lichen"]["recall"]
    assert (recall["before"], recall["p_value"], recall["difference"]["value"]) == (None,) * 3
