"""Arms are compared on the images of which both say something, over seeds and over folds."""

import numpy as np
import polars as pl
import pytest

from regard.studies.comparisons import Folds, difference, judged
from regard.studies.trained import Means, Trained, shared_values


def trained(seed, values):
    table = pl.DataFrame({"index": np.arange(len(values)), "value": values})
    return Trained(seed, float(np.nanmean(values)), Means(table))


def sides(seeds=3, images=60):
    """The second is better on each image by 0.02; of the first, maps are dead on the low ones."""
    rng, first, second = np.random.default_rng(0), [], []
    for seed in range(seeds):
        base = rng.uniform(0.1, 0.9, images)
        dead = base < 0.35
        first.append(trained(seed, np.where(dead, np.nan, base)))
        second.append(trained(seed, base + rng.normal(0.02, 0.001, images)))
    return first, second


def test_values_of_two_trainings_are_of_the_images_that_both_know():
    first, second = sides()
    assert first[0].value > second[0].value
    one, other = shared_values(first[0], second[0])
    assert one == pytest.approx(first[0].value)
    assert other - one == pytest.approx(0.02, abs=0.001)
    none = pl.DataFrame({"index": np.arange(60), "value": np.full(60, np.nan)})
    nothing = Trained(0, np.nan, Means(none))
    assert np.isnan(shared_values(nothing, second[0])).all()
    assert shared_values(Trained(0, 0.5), Trained(0, 0.7)) == (0.5, 0.7)


@pytest.mark.parametrize("folded", [False, True])
def test_a_better_arm_is_not_called_lower_because_the_other_sees_less(folded):
    first, second = sides()
    folds = Folds(np.arange(60), np.arange(60) % 5, 5) if folded else None
    (row,) = judged([{"arm": "b", "against": "a", "metric": "test.energy"}
                     | difference(first, second, folds)])  # fmt: skip
    test = row["folds"] if folded else row["both"]
    assert test["difference"]["value"] == pytest.approx(0.02, abs=0.002)
    assert row["images"]["difference"]["value"] == pytest.approx(0.02, abs=0.002)
    assert row["verdict"] == "higher"
