"""Statistics of the confusion of classes, on counts of images."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from regard.evaluation.intervals import (
    Interval,
    effective_interval,
    missing,
    proportion_interval,
)
from regard.evaluation.units import Units

Floats = NDArray[np.float64]


def indicator(classes: NDArray[np.int64], k: int, weights: Floats | None = None) -> csr_array:
    """Sparse (K, N) matrix that sums the weights (default 1) of images by class."""
    n = len(classes)
    data = np.ones(n) if weights is None else weights
    return csr_array((data, (classes, np.arange(n))), shape=(k, n))


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Counts (K, K), a row a true class, of labels and predictions (N,) in [0, K)."""
    return np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)


def ratio(above: Floats, below: Floats) -> Floats:
    """Above / below, of one shape; NaN where nothing is counted below."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


class MacroF1:
    """Macro F1 of resamples of images.

    As scikit-learn's: the mean over the classes that occur among labels or predictions. A
    class that has images but none in a resample is left out of that resample's mean, as it
    says nothing there; NaN only if no class is left.

    Args:
        labels: (N,) true classes in [0, K).
        predicted: (N,) predicted classes in [0, K).
        k: number of classes.
    """

    def __init__(self, labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> None:
        hits = indicator(labels, k, (labels == predicted).astype(np.float64))
        self._sums = vstack([indicator(labels, k), indicator(predicted, k), hits], format="csr")
        self._k = k
        self._only_guessed = len(np.setdiff1d(predicted, labels))

    def __call__(self, counts: Floats) -> dict[str, Floats]:
        """The statistic, (b,), of counts (N, b)."""
        sums, k = self._sums @ counts, self._k
        support, guesses, hits = sums[:k], sums[k : 2 * k], sums[2 * k :]
        seen = (support > 0).sum(axis=0) + self._only_guessed
        whole = support + guesses
        f1 = np.divide(2 * hits, whole, out=np.zeros_like(whole), where=whole > 0)
        nan = np.full(seen.shape, np.nan)
        return {"f1_macro": np.divide(f1.sum(axis=0), seen, out=nan, where=seen > 0)}


def mean_proportion(
    right: NDArray[np.bool_],
    of: NDArray[np.int64],
    units: Units,
    level: float,
    classes: int | None = None,
) -> Interval:
    """Mean over classes of their shares right: balanced accuracy, macro recall, macro precision.

    Wilson's interval at the effective number of images m (1 - m) / variance of the mean m,
    as for proportions of weighted samples (Korn & Graubard 1998, Surv. Methodol. 24:193).
    Each class's rate is drawn towards the pooled one by four images for this, else a class
    of few images, all right, would claim to have no variance. Covers 93 to 95 % at 100 to
    200 images in simulation, where a class has but 10 of them (BCa: 91 %) or the rates are
    at 0.99. Of images in groups see `proportion_interval`.

    Args:
        right: (N,) whether each image is.
        of: (N,) class that each image is of (or is predicted as), from 0.
        units: of the images.
        level: in (0, 1).
        classes: how many to divide by, classes without images counting 0; default: those
            with images.
    """
    trials, n = np.bincount(of), len(of)
    used = trials > 0
    k = classes or int(used.sum())
    if n == 0:
        return missing(level, 0, "wilson", "no images")
    x = np.bincount(of, weights=right)[used]
    d = trials[used].astype(np.float64)
    rates = (x + 4 * (x.sum() + 2) / (n + 4)) / (d + 4)
    share = len(d) / k
    pooled = rates.mean()
    effective = pooled * (1 - pooled) * len(d) ** 2 / (rates * (1 - rates) / d).sum()
    value = float((x / d).mean())
    own = (np.cumsum(used) - 1)[of]
    inner = effective_interval(
        value,
        float(effective),
        units,
        level,
        values=right.astype(np.float64),
        expected=(x / d)[own],
        weights=1 / d[own],
    )
    return replace(inner, value=share * value, low=share * inner.low, high=share * inner.high)


def class_intervals(
    own: NDArray[np.bool_], called: NDArray[np.bool_], units: Units, level: float
) -> dict[str, Interval]:
    """Precision, recall and F1 of one class with Wilson's interval.

    Given the number of images in its denominator, each is a proportion or a rising function
    of one: F1 = 2 J / (1 + J) with J = hits / (support + guesses - hits) the Jaccard index.
    A class without predictions has no precision, one without images no recall: NaN.

    Args:
        own: (N,) whether each image is of the class.
        called: (N,) whether it is predicted as such.
        units: of the images.
        level: in (0, 1).
    """

    def share(among: NDArray[np.bool_], reason: str) -> Interval:
        if not among.any():
            return missing(level, 0, "wilson", reason)
        return proportion_interval((own & called)[among], units.where(among), level)

    jaccard = share(own | called, "the class has no images and no predictions")
    low, value, high = (2 * j / (1 + j) for j in (jaccard.low, jaccard.value, jaccard.high))
    return {
        "precision": share(called, "the class is never predicted"),
        "recall": share(own, "the class has no images"),
        "f1": replace(jaccard, value=value, low=low, high=high),
    }
