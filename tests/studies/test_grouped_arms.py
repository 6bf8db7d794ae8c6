"""Arms on images of few patients: what other patients would not show is not claimed."""

import numpy as np
import polars as pl
import pytest

from regard.evaluation.counted import resampled_predictions
from regard.evaluation.crossed import crossed_test
from regard.evaluation.table import predictions_table
from regard.evaluation.units import Units
from regard.studies.comparisons import difference, judged
from regard.studies.trained import Means, OfSet, Trained, image_differences, paired_images

GROUPS, EACH = 12, 15
OF = np.repeat(np.arange(GROUPS), EACH)
NAMES = [f"patient-{g}" for g in OF]


def trained(seed, values, *, told):
    table = pl.DataFrame({"index": np.arange(len(values)), "value": values})
    table = table.with_columns(group=pl.Series(NAMES)) if told else table
    return Trained(seed, float(np.nanmean(values)), Means(table))


def verdicts(*, told, studies=120, gain=0.0):
    rng, found = np.random.default_rng(2), []
    for _ in range(studies):
        suits = 0.3 * rng.normal(size=GROUPS)[OF]
        sides = [
            [
                trained(
                    seed,
                    end * (gain + suits) + 0.02 * rng.normal() + 0.3 * rng.normal(size=len(OF)),
                    told=told,
                )
                for seed in range(4)
            ]
            for end in (0, 1)
        ]
        row = {"arm": "b", "against": "a", "metric": "test.energy"}
        (judgement,) = judged([row | difference(*sides, resamples=199)])
        found.append(judgement)
    return found


def test_an_arm_that_suits_these_patients_is_not_called_better():
    rows = verdicts(told=True)
    assert np.mean([row["verdict"] != "no difference shown" for row in rows]) <= 0.1
    assert {row["images"]["difference"]["groups"] for row in rows} == {GROUPS}
    assert np.mean([row["images"]["p_value"] < 0.05 for row in rows]) <= 0.1
    untold = verdicts(told=False)
    assert np.mean([row["verdict"] != "no difference shown" for row in untold]) >= 0.25


def test_an_arm_that_suits_all_patients_is():
    rows = verdicts(told=True, studies=20, gain=1.0)
    assert {row["verdict"] for row in rows} == {"higher"}


def predictions(rng, labels, right):
    scores = rng.normal(size=(len(OF), 2)) + right * np.eye(2)[labels]
    proba = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    paths = [f"{i}.png" for i in range(len(OF))]
    table = predictions_table(range(len(OF)), paths, labels, proba, ["fern", "moss"])
    return resampled_predictions(table.with_columns(group=pl.Series(NAMES)))


def test_numbers_of_a_set_are_told_apart_by_groups_too():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=len(OF))
    sides = []
    for right in (1.0, 1.5):
        told = [predictions(rng, labels, right) for _ in range(3)]
        sides.append([Trained(s, r.whole["f1_macro"], OfSet("f1_macro", r))
                      for s, r in enumerate(told)])  # fmt: skip
    found = image_differences(sides[0][0], sides[1][0])
    assert found is not None
    pieces, units = found
    assert (len(pieces), units.groups) == (GROUPS, GROUPS)
    row = difference(*sides)
    every = np.stack([image_differences(a, b)[0] for a, b in zip(*sides, strict=True)])
    values = [[own.value for own in side] for side in sides]
    assert row["both"] == crossed_test(*values, every, units=units).as_dict()
    assert row["images"]["difference"]["groups"] == GROUPS
    assert row["basis"] == "seeds and images"


@pytest.mark.parametrize("labels", [False, True])
def test_units_are_of_the_images_that_both_sides_have(labels):
    names = ["p", "q", "p", "r", None]
    table = pl.DataFrame({"index": range(5), "group": names, "value": [0.1, 0.2, 0.3, 0.4, 0.5]})
    if labels:
        table = pl.concat([table.with_columns(label=pl.lit(name)) for name in "ab"])
    a, b = Means(table), Means(table.filter(pl.col("index") != 1).drop("group"))
    first, second, units = paired_images([a], [b])
    assert first.tolist() == second.tolist() == [0.1, 0.3, 0.4, 0.5]
    assert units.of.tolist() == [0, 0, 1, 2]
    assert paired_images([b], [b])[2].grouped is False
    assert isinstance(units, Units)


def test_groups_are_known_of_images_that_only_another_training_has():
    def told(index, value):
        rows = {"index": index, "label": ["a"] * len(index), "group": [f"p{i % 2}" for i in index]}
        return Means(pl.DataFrame(rows | {"value": [value] * len(index)}))

    fewer, more = told([0, 1, 2], 0.5), told([0, 1, 2, 3], 0.25)
    first, _, units = paired_images([fewer, more], [more, more])
    assert len(first) == len(units) == 4
    assert units.of.tolist() == [0, 1, 0, 1]


def test_a_class_of_one_patient_is_not_claimed_of():
    rng = np.random.default_rng(3)
    labels = (OF > 0).astype(int)
    sides = []
    for right in (0.0, 4.0):
        told = [predictions(rng, labels, right) for _ in range(4)]
        sides.append([Trained(s, r.whole["recall:fern"], OfSet("recall:fern", r))
                      for s, r in enumerate(told)])  # fmt: skip
    row = {"arm": "b", "against": "a", "metric": "test.recall:fern"}
    (found,) = judged([row | difference(*sides)])
    assert found["seeds"]["p_value"] < 0.05
    assert found["both"]["p_value"] is None
    assert found["both"]["difference"]["reason"] == "needs two groups or more"
    assert found["verdict"] == "no difference shown"


def test_a_score_of_few_patients_is_judged_by_these():
    rng, claims = np.random.default_rng(5), []
    for _ in range(150):
        suits, sides = 0.3 * rng.normal(size=GROUPS)[OF], []
        for end in (0, 1):
            values = [end * suits + 0.02 * rng.normal() + 0.1 * rng.normal(size=len(OF))
                      for _ in range(4)]  # fmt: skip
            sides.append([trained(s, np.where(OF < 3, v, np.nan), told=True)
                          for s, v in enumerate(values)])  # fmt: skip
        claims.append(difference(*sides, resamples=99)["both"]["p_value"] < 0.05)
    assert np.mean(claims) <= 0.11
