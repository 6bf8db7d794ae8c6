"""How often a study claims what is not there, and finds what is: python benchmarks/chain.py.

Draws whole studies, lets the functions that a study uses judge them, and counts; some ten minutes
on one core. What it printed last stands in docs/evaluation.md; tests/studies/test_chain.py does the
same with fewer studies.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import binom, chi2, multivariate_normal, nct, norm, t

from regard.evaluation.flips import mcnemar_exact
from regard.studies.comparisons import Folds, comparisons
from regard.studies.trained import Means, Trained

METRIC = "test.accuracy"


@dataclass(frozen=True)
class World:
    """A population of images and trainings in which arms differ by `gain` in accuracy, or not.

    A net is right where the sum of independent normal parts is positive: how easy the image is for
    all, how well it suits the arm, how good this training is, and what it makes of this image.

    Attributes:
        images: of the test set.
        seeds: trainings of an arm.
        right: accuracy of the baseline.
        gain: of every other arm, in accuracy.
        easy, suits, training, own: standard deviations of the parts.
    """

    images: int = 400
    seeds: int = 5
    right: float = 0.8
    gain: float = 0.0
    easy: float = 2.0
    suits: float = 0.7
    training: float = 0.1
    own: float = 1.0

    @property
    def spread(self) -> float:
        return float(np.sqrt(self.easy**2 + self.suits**2 + self.training**2 + self.own**2))

    def draw(self, rng, arms: int) -> np.ndarray:
        """Right or wrong, (arms, seeds, images); the first arm is the baseline."""
        easy = self.easy * rng.normal(size=self.images)
        shape = (arms, self.seeds, self.images)
        accuracy = np.where(np.arange(arms) > 0, self.right + self.gain, self.right)
        level = norm.ppf(accuracy)[:, None, None] * self.spread
        suits = self.suits * rng.normal(size=(arms, 1, self.images))
        training = self.training * rng.normal(size=(arms, self.seeds, 1))
        return level + easy + suits + training + self.own * rng.normal(size=shape) > 0


def judged(right: np.ndarray, *, folds: Folds | None = None, resamples: int = 20) -> list[dict]:
    """What a study says of arms (A, S, N) against the first, by its own functions."""
    arms, seeds, images = right.shape
    index = np.arange(images)

    def trainings(arm: str, metric: str) -> list[Trained]:
        assert metric == METRIC
        found = []
        for seed in range(seeds):
            own = right[int(arm), seed].astype(float)
            table = pl.DataFrame({"index": index, "value": own})
            found.append(Trained(seed, float(own.mean()), Means(table)))
        return found

    pairs = [(str(arm), "0") for arm in range(1, arms)]
    return comparisons(pairs, [METRIC], trainings, folds, resamples=resamples)


def claims(rows: list[dict]) -> bool:
    """Whether at least one difference is claimed."""
    return any(row["verdict"] in ("higher", "lower") for row in rows)


def false_claims(world: World, *, arms: int, studies: int, seed: int = 0) -> float:
    """Share of studies without any true difference that claim one."""
    rng = np.random.default_rng(seed)
    return float(np.mean([claims(judged(world.draw(rng, arms))) for _ in range(studies)]))


def found(world: World, *, studies: int, seed: int = 0) -> dict[str, float]:
    """Share of studies of two arms that show the difference: over seeds alone, and as claimed."""
    rng = np.random.default_rng(seed)
    rows = [judged(world.draw(rng, 2))[0] for _ in range(studies)]
    if world.seeds == 1:
        p = [row["images"]["mcnemar"]["p_value"] for row in rows]
        return {"mcnemar": float(np.mean(np.array(p) < 0.05))}
    p = np.array([row["seeds"]["p_value"] or 1.0 for row in rows])
    return {
        "seeds": float(np.mean(p < 0.05)),
        "claimed": float(np.mean([row["verdict"] == "higher" for row in rows])),
    }


@dataclass(frozen=True)
class Parts:
    """Variances of one training's difference on one image: of images, trainings, and the rest."""

    images: float
    trainings: float
    rest: float


def parts_of(world: World) -> Parts:
    """Variance components of the difference of an arm from the baseline, from pairs of normals."""
    levels = [norm.ppf(world.right), norm.ppf(world.right + world.gain)]

    def both(one: int, other: int, shared: float) -> float:
        """Chance that two answers are right whose sums share so much variance."""
        r = shared / world.spread**2
        ends = [levels[one], levels[other]]
        return float(multivariate_normal(cov=[[1, r], [r, 1]]).cdf(ends))

    def of_difference(own: float, across: float) -> float:
        """Covariance of two differences, whose own sides and other sides share so much."""
        same = both(0, 0, own) + both(1, 1, own)
        return same - 2 * both(0, 1, across) - world.gain**2

    images = of_difference(world.easy**2 + world.suits**2, world.easy**2)
    trainings = of_difference(world.training**2, 0.0)
    right = 2 * world.right + world.gain
    whole = right - 2 * both(0, 1, world.easy**2) - world.gain**2
    return Parts(images, trainings, whole - images - trainings)


def theory(world: World, parts: Parts) -> dict[str, float]:
    """Power of the paired t-test over seeds (noncentral t), and of the claim.

    Given the images, seeds differ around gain + I with I ~ N(0, images / N): the noncentral t is
    averaged over I. The claim's bound is the larger of both tests' bounds, averaged over the
    estimated variance of the seeds (chi-squared), with the images' part as it truly is.
    """
    s, n = world.seeds, world.images
    own = (parts.trainings + parts.rest / n) / s
    extra = parts.images / n
    nodes = norm.ppf((np.arange(400) + 0.5) / 400)
    shift = (world.gain + nodes * np.sqrt(extra)) / np.sqrt(own)
    bound = t.ppf(0.975, s - 1)
    # Where it is as good as sure, scipy has no number.
    seeds = np.nan_to_num(nct.sf(bound, s - 1, shift), nan=1.0)
    seeds = seeds + np.nan_to_num(nct.cdf(-bound, s - 1, shift), nan=0.0)
    estimated = own * chi2.ppf((np.arange(400) + 0.5) / 400, s - 1) / (s - 1)
    total = estimated + extra
    freedom = (s - 1) * (total / estimated) ** 2
    reach = np.maximum(bound * np.sqrt(estimated), t.ppf(0.975, freedom) * np.sqrt(total))
    claimed = norm.sf((reach - world.gain) / np.sqrt(own + extra))
    return {"seeds": float(seeds.mean()), "claimed": float(claimed.mean())}


def mcnemar_power(n: int, won: float, lost: float) -> float:
    """Power of McNemar's exact test at 5 % with independent images, by summing all outcomes."""
    total = won + lost
    flips = np.arange(n + 1)
    chance = binom.pmf(flips, n, total)
    power = 0.0
    for m in flips[chance > 1e-9]:
        wins = np.arange(m + 1)
        p = np.array([mcnemar_p(int(w), int(m)) for w in wins])
        power += chance[m] * float(binom.pmf(wins, m, won / total)[p < 0.05].sum())
    return power


def mcnemar_p(won: int, m: int) -> float:
    before = np.arange(m) >= won
    return mcnemar_exact(before, ~before).p_value


def crossvalidated(rng, *, arms: int, images: int, k: int, seeds: int, noise: float = 0.3):
    """A true cross-validation of learners that are equally good: right (arms, seeds, images).

    Each arm has its own twenty features, all of them drawn alike, and learns the difference of the
    classes' means in train; `noise` of it is the training's own. The folds share training images.
    """
    label = np.arange(images) % 2
    x = rng.normal(size=(images, arms, 20)) + 0.3 * (label[:, None, None] - 0.5)
    fold = rng.permutation(images) % k
    right = np.zeros((arms, seeds, images), bool)
    for own in range(k):
        test, train = fold == own, (fold != own) & (fold != (own + 1) % k)
        one, other = (x[train & (label == c)].mean(0) for c in (1, 0))
        for seed in range(seeds):
            weights = (one - other) * (1 + noise * rng.normal(size=one.shape))
            bound = (weights * (one + other)).sum(-1) / 2 + 0.3 * noise * rng.normal(size=arms)
            said = (x[test] * weights).sum(-1) > bound
            right[:, seed, test] = (said == (label[test, None] == 1)).T
    return right, Folds(np.arange(images), fold, k)


def false_fold_claims(*, arms: int, images: int, k: int, seeds: int, studies: int) -> float:
    """Share of cross-validated studies without any true difference that claim one."""
    rng, count = np.random.default_rng(3), 0
    for _ in range(studies):
        right, folds = crossvalidated(rng, arms=arms, images=images, k=k, seeds=seeds)
        count += claims(judged(right, folds=folds))
    return count / studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    print(f"{studies} studies each; claims of at least one difference among 4 arms that have none")
    for images, seeds in ((200, 5), (1000, 5), (200, 3), (1000, 3)):
        for suits, training in ((0.0, 0.1), (0.7, 0.1)):
            world = World(images=images, seeds=seeds, suits=suits, training=training)
            kind = f"{images} images, {seeds} seeds, suits {suits}, training {training}"
            print(f"{kind}: {false_claims(world, arms=5, studies=studies):.1%}", flush=True)
    for k, seeds in ((3, 1), (5, 1), (10, 1), (5, 3)):
        share = false_fold_claims(arms=5, images=200, k=k, seeds=seeds, studies=studies)
        print(f"200 images in {k} folds, {seeds} seeds: {share:.1%}", flush=True)
    print("a difference of 5 points on 1,000 images: share of studies that show it, and theory")
    for seeds, suits, training in ((3, 0.7, 0.1), (5, 0.7, 0.1), (5, 0.0, 0.3), (5, 0.7, 0.3)):
        world = World(images=1000, seeds=seeds, gain=0.05, suits=suits, training=training)
        seen, expected = found(world, studies=studies), theory(world, parts_of(world))
        told = ", ".join(f"{name} {seen[name]:.1%} ({expected[name]:.1%})" for name in seen)
        print(f"{seeds} seeds, suits {suits}, training {training}: {told}", flush=True)


if __name__ == "__main__":
    main()
