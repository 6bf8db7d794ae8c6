"""Each number of a comparison against a slow calculation of its own."""

import math
from statistics import NormalDist, fmean, median

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest, t

from regard.errors import DataError
from regard.evaluation.comparison import (
    OUTCOMES,
    SCORES,
    Answers,
    compare_models,
    pair_images,
    right_without_looking,
)
from regard.evaluation.table import predictions_table

CLASSES = ("fern", "moss", "lichen")
N = 60


def answers(seed, *, scored=True, order=None):
    generator = np.random.default_rng(seed)
    labels = np.arange(N) % 3
    logits = generator.normal(size=(N, 3)) + 1.2 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = [f"{i}.jpg" for i in range(N)]
    table = predictions_table(np.arange(N) + 5, names, labels, probabilities, CLASSES)
    values = {name: generator.random(N) * (9 if name == "energy_gain" else 1) for name in SCORES}
    dead = generator.random(N) < 0.1
    values = {name: np.where(dead | (np.arange(N) == 7), np.nan, x) for name, x in values.items()}
    area = np.where(np.arange(N) == 7, np.nan, 0.25)
    scores = table.select("index").with_columns(area=area, dead=dead, **values)
    if order is not None:
        table, scores = table[order], scores[order[::-1]]
    return Answers(table, scores if scored else None)


@pytest.fixture(scope="module")
def sides():
    return answers(1), answers(2, order=np.random.default_rng(3).permutation(N))


@pytest.fixture(scope="module")
def rows(sides):
    """Image by image, plain dictionaries: (before, after) by index."""
    found = []
    for side in sides:
        assert side.scores is not None
        joined = side.predictions.join(side.scores, on="index")
        found.append({row["index"]: row for row in joined.iter_rows(named=True)})
    return [(found[0][i], found[1][i]) for i in sorted(found[0])]


def outcome(before, after):
    became = {(1, 1): "stays_right", (1, 0): "right_becomes_wrong",
              (0, 1): "wrong_becomes_right", (0, 0): "stays_wrong"}  # fmt: skip
    return became[before["correct"], after["correct"]]


def test_a_row_an_image_with_what_both_say(sides, rows):
    pairs = pair_images(*sides)
    assert len(pairs) == N
    for found, (before, after) in zip(pairs.iter_rows(named=True), rows, strict=True):
        assert found["index"] == before["index"]
        assert (found["image"], found["label"]) == (before["image"], before["label"])
        assert found["outcome"] == outcome(before, after)
        for end, row in (("before", before), ("after", after)):
            assert found[f"predicted_{end}"] == row["predicted"]
            assert found[f"probability_{end}"] == row[f"probability:{row['predicted']}"]
            assert found[f"right_{end}"] == (row["label"] == row["predicted"])
            assert found[f"dead_{end}"] == row["dead"]
            for name in SCORES:
                assert found[f"{name}_{end}"] == pytest.approx(row[name], nan_ok=True)


def test_accuracy_outcomes_and_confusion(sides, rows):
    found = compare_models(*sides)
    counts = {name: sum(outcome(*row) == name for row in rows) for name in OUTCOMES}
    assert found["outcomes"] == counts
    lost, won = counts["right_becomes_wrong"], counts["wrong_becomes_right"]
    assert min(lost, won) > 3
    accuracy = found["accuracy"]
    for number, end in enumerate(("before", "after")):
        right = sum(row[number]["correct"] for row in rows)
        assert accuracy[end]["value"] == pytest.approx(right / N)
        wilson = binomtest(right, N).proportion_ci(method="wilson")
        assert (accuracy[end]["low"], accuracy[end]["high"]) == pytest.approx(tuple(wilson))
        matrix = [[sum(row[number]["label"] == a and row[number]["predicted"] == b for row in rows)
                   for b in CLASSES] for a in CLASSES]  # fmt: skip
        assert found["confusion"][end] == matrix
    assert accuracy["difference"]["value"] == pytest.approx((won - lost) / N)
    p, q = (won + 1) / (N + 2), (lost + 1) / (N + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt((p + q - (p - q) ** 2) / (N + 2))
    bounds = accuracy["difference"]["low"], accuracy["difference"]["high"]
    assert bounds == pytest.approx((p - q - half, p - q + half))
    assert accuracy["mcnemar"]["p_value"] == pytest.approx(binomtest(won, won + lost).pvalue)


@pytest.mark.parametrize("name", SCORES)
def test_scores_over_the_images_where_both_are_defined(sides, rows, name):
    both = [(a[name], b[name]) for a, b in rows if a[name] == a[name] and b[name] == b[name]]
    assert 40 < len(both) < N
    found = compare_models(*sides)["scores"][name]
    assert found["before"] == pytest.approx(fmean(a for a, _ in both))
    assert found["after"] == pytest.approx(fmean(b for _, b in both))
    differences = [b - a for a, b in both]
    told = found["difference"]
    assert told["value"] == pytest.approx(fmean(differences))
    assert (told["n"], told["undefined"]) == (len(both), N - len(both))
    half = t.ppf(0.975, len(both) - 1) * np.std(differences, ddof=1) / math.sqrt(len(both))
    # The bootstrap-t of differences as well-behaved as these is close to Student's interval.
    assert told["high"] - told["value"] == pytest.approx(half, rel=0.12)
    assert told["value"] - told["low"] == pytest.approx(half, rel=0.12)


def test_dead_maps_and_those_right_without_looking(sides, rows):
    found = compare_models(*sides)
    dead = {"before": fmean(a["dead"] for a, _ in rows), "after": fmean(b["dead"] for _, b in rows)}
    assert found["dead_maps"] == pytest.approx(dead)
    stays = [(a["magtr"], b["magtr"]) for a, b in rows if a["correct"] and b["correct"]]
    middle = median(a for a, _ in stays if a == a)
    known = [b for _, b in stays if b == b]
    below = sum(b < middle for b in known)
    assert 0 < below < len(known)
    fell = sum(
        b["magtr"] < middle and b["energy"] < a["energy"]
        for a, b in rows if a["correct"] and b["correct"]
    )  # fmt: skip
    assert 0 < fell < below
    told = {"median_before": middle, "images": len(known), "below": below, "elsewhere": fell}
    assert found["unlooked"] == pytest.approx(told)


def test_a_model_against_itself_differs_in_nothing(sides):
    found = compare_models(sides[0], sides[0])
    assert found["accuracy"]["difference"]["value"] == 0
    assert found["accuracy"]["mcnemar"]["p_value"] == 1
    assert (found["outcomes"]["right_becomes_wrong"], found["outcomes"]["stays_wrong"] > 0) == (
        0,
        True,
    )
    for score in found["scores"].values():
        assert score["before"] == score["after"]
        assert (score["difference"]["value"], score["p_value"]) == (0, 1)
    assert found["confusion"]["before"] == found["confusion"]["after"]


def test_without_scores_only_the_predictions_are_compared():
    found = compare_models(answers(1, scored=False), answers(2))
    assert (found["scores"], found["dead_maps"], found["unlooked"]) == ({}, None, None)
    assert sum(found["outcomes"].values()) == N
    pairs = pair_images(answers(1, scored=False), answers(2))
    assert not [name for name in pairs.columns if "energy" in name or "magtr" in name]


def test_no_image_that_stays_right_or_no_score_of_one_tells_nothing_of_the_gaze(sides):
    pairs = pair_images(*sides)
    assert right_without_looking(pairs.filter(pl.col("outcome") != "stays_right")) is None
    nothing = pairs.with_columns(magtr_before=pl.lit(math.nan))
    assert right_without_looking(nothing) is None
    undefined = Answers(sides[0].predictions, sides[0].scores.with_columns(energy=math.nan))
    found = compare_models(undefined, sides[1])["scores"]["energy"]
    assert (found["before"], found["difference"]["value"], found["p_value"]) == (None, None, None)
    assert found["difference"]["n"] == 0


def test_other_images_are_refused(sides):
    fewer = Answers(sides[0].predictions[:-1], None)
    with pytest.raises(DataError, match="same split of the same manifest"):
        compare_models(fewer, sides[1])
