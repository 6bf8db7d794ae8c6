"""Scores whose rows are of an image and a class: an image's classes are not independent."""

import numpy as np
import polars as pl
import pytest

from regard.evaluation.bounds import marks
from regard.evaluation.gaze import by_image, paired_scores, paired_values, score_interval
from regard.evaluation.standings import all_standings
from regard.reports.words import lower_is_better
from regard.runs.scored import class_gaze_summary
from regard.studies.trained import Means, paired_means

CLASSES = ("road", "human")


def table(energies, *, areas=(0.8, 0.1), method="gradcam"):
    """Rows of each image's classes, from energies (N, 2); NaN for a map that is zero everywhere."""
    rows = [
        {
            "index": index, "image": f"{index}.png", "label": CLASSES[k], "share": 0.5,
            "method": method, "area": areas[k], "dead": bool(np.isnan(value)), "energy": value,
        }
        for index, own in enumerate(energies)
        for k, value in enumerate(own)
    ]  # fmt: skip
    return pl.DataFrame(rows)


@pytest.fixture
def energies():
    generator = np.random.default_rng(0)
    return np.stack((generator.uniform(0.8, 0.95, 40), generator.uniform(0.2, 0.3, 40)), 1)


def test_a_net_that_misses_a_class_does_not_look_better_by_it(energies):
    missed = energies.copy()
    missed[::2, 1] = np.nan
    a, b = table(energies), table(missed)
    assert by_image(b)["energy"].mean() > by_image(a)["energy"].mean() + 0.1
    found = paired_scores(a, b, "energy")
    assert found.difference.value == pytest.approx(0, abs=1e-12)
    first, second, _ = paired_values(a, b, "energy")
    assert first.tolist() == pytest.approx(second.tolist())
    assert first[0] == pytest.approx(energies[0, 0])
    assert first[1] == pytest.approx(energies[1].mean())


def test_an_image_counts_once_in_intervals_and_tests(energies):
    a, b = table(energies), table(energies + 0.02)
    assert score_interval(a, "energy").n == 40
    assert score_interval(a, "energy").value == pytest.approx(energies.mean())
    found = paired_scores(a, b, "energy")
    assert found.difference.n == 40
    assert found.difference.value == pytest.approx(0.02)


def test_methods_are_ranked_over_the_classes_that_all_of_them_score(energies):
    other = energies - 0.05 + np.random.default_rng(1).normal(0, 0.01, energies.shape)
    other[:10, 0] = np.nan
    scores = pl.concat([table(energies), table(other, method="saliency")])
    (best, behind) = all_standings(scores)["energy"]
    assert (best.method, behind.method) == ("gradcam", "saliency")
    assert best.interval.n == behind.interval.n == behind.behind.difference.n == 40
    kept = np.where(np.isnan(other), np.nan, energies)
    assert best.interval.value == pytest.approx(np.nanmean(kept, 1).mean())
    assert behind.behind.difference.value == pytest.approx(
        (np.nanmean(other, 1) - np.nanmean(kept, 1)).mean()
    )


def test_a_uniform_map_and_dead_maps_are_told_of_the_same_rows(energies):
    missed = energies.copy()
    missed[:, 1] = np.nan
    scores = table(missed)
    summary = class_gaze_summary(scores, CLASSES)
    assert summary["uniform_energy"] == pytest.approx(0.8)
    assert summary["uniform_energy"] == pytest.approx(marks(scores, "energy").uniform)
    assert summary["dead_maps"] == 0.5
    assert summary["per_class"]["human"]["dead_maps"] == 1
    assert summary["per_class"]["human"]["scores"]["energy"]["n"] == 0


def test_arms_are_paired_by_image_and_class_not_by_place():
    a = pl.DataFrame({"index": [0, 0, 1, 2], "label": ["x", "y", "x", "x"],
                      "value": [0.1, 0.2, 0.3, 0.4]})  # fmt: skip
    b = pl.DataFrame({"index": [2, 1, 0, 0], "label": ["x", "x", "y", "x"],
                      "value": [0.4, None, 0.2, 0.1]})  # fmt: skip
    first, second = paired_means([Means(a)], [Means(b)])
    assert first.tolist() == pytest.approx([0.15, np.nan, 0.4], nan_ok=True)
    assert second.tolist() == pytest.approx([0.15, np.nan, 0.4], nan_ok=True)
    fewer, other = paired_means([Means(a)], [Means(b.filter(pl.col("index") > 0))])
    assert fewer.tolist() == pytest.approx(other.tolist(), nan_ok=True)
    assert len(fewer) == 2


def test_a_class_s_score_is_better_where_the_score_is():
    for name in ("mangtr", "deletion", "entropy"):
        assert lower_is_better(name)
        assert lower_is_better(f"{name}:human")
    assert not lower_is_better("energy:human")
    assert not lower_is_better("iou:human")
