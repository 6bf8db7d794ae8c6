"""The whole chain of a study by simulation: what it claims of nothing, and finds of something.

`benchmarks/chain.py`, of which this is the quick version, draws 2,000 studies of each kind.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, multivariate_normal, norm

from regard.evaluation.intervals import wilson_interval

PATH = Path(__file__).parents[2] / "benchmarks" / "chain.py"
_spec = importlib.util.spec_from_file_location("chain", PATH)
chain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chain)
World = chain.World


def at_most(share, studies, bound):
    """Whether a share of so many studies may be one of a chance of `bound` or less."""
    return binom.sf(round(share * studies) - 1, studies, bound) > 0.001


@pytest.mark.parametrize("suits", [0.7, pytest.param(0.0, marks=pytest.mark.torture)])
def test_four_arms_without_a_difference_are_left_alone(suits):
    share = chain.false_claims(World(images=200, suits=suits), arms=5, studies=300)
    assert at_most(share, 300, 0.05)


def test_folds_without_a_difference_are_left_alone():
    share = chain.false_fold_claims(arms=5, images=100, k=5, seeds=1, studies=150)
    assert at_most(share, 150, 0.05)


def test_a_training_each_claims_nothing_of_the_arms():
    """Two nets differ over images in far more than 5 % of such studies: no claim of arms."""
    rng, world = np.random.default_rng(4), World(images=1000, seeds=1, training=0.3)
    rows = [chain.judged(world.draw(rng, 2))[0] for _ in range(100)]
    assert {row["verdict"] for row in rows} == {"not tested"}
    assert {row["p_holm"] for row in rows} == {None}
    nets = [row["images"]["mcnemar"]["p_value"] < 0.05 for row in rows]
    assert np.mean(nets) > 0.3


@pytest.mark.parametrize(("seeds", "suits", "training"), [(5, 0.7, 0.3), (3, 0.0, 0.2)])
def test_a_difference_is_found_with_the_power_that_theory_gives(seeds, suits, training):
    world = World(images=1000, seeds=seeds, gain=0.05, suits=suits, training=training)
    studies = 300
    seen, expected = chain.found(world, studies=studies), chain.theory(world, chain.parts_of(world))
    for name, share in seen.items():
        interval = wilson_interval(share * studies, studies, level=0.999)
        assert interval.low <= expected[name] <= interval.high, name
    assert seen["claimed"] <= seen["seeds"]


def test_mcnemar_finds_it_with_the_exact_power():
    world = World(images=1000, seeds=1, gain=0.03, training=0.0)
    shared = world.easy**2 / world.spread**2
    ends = [norm.ppf(p) for p in (world.right, world.right + world.gain)]
    both = multivariate_normal(cov=[[1, shared], [shared, 1]]).cdf(ends)
    lost, won = world.right - both, world.right + world.gain - both
    assert won - lost == pytest.approx(0.03)
    expected = chain.mcnemar_power(1000, won, lost)
    share = chain.found(world, studies=300)["mcnemar"]
    interval = wilson_interval(share * 300, 300, level=0.999)
    assert interval.low <= expected <= interval.high


def test_a_sure_difference_is_claimed_in_its_direction():
    rng = np.random.default_rng(0)
    world = World(images=400, seeds=3, right=0.6, gain=0.3)
    (row,) = chain.judged(world.draw(rng, 2))
    assert (row["verdict"], row["basis"]) == ("higher", "seeds and images")
    (row,) = chain.judged(world.draw(rng, 2)[::-1])
    assert row["verdict"] == "lower"
    right, folds = chain.crossvalidated(rng, arms=2, images=500, k=5, seeds=1)
    right[1] |= rng.random(right[1].shape) < 0.9
    (row,) = chain.judged(right, folds=folds)
    assert (row["verdict"], row["basis"]) == ("higher", "folds")
    assert row["folds"]["difference"]["value"] == pytest.approx(right[1].mean() - right[0].mean())
    assert row["images"]["mcnemar"]["lost"] == (right[0, 0] & ~right[1, 0]).sum()
