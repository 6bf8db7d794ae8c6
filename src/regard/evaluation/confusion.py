"""Statistics of the confusion of classes, on counts of images."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from regard.evaluation.intervals import Interval, missing, wilson_interval

Floats = NDArray[np.float64]


def indicator(classes: NDArray[np.int64], k: int, weights: Floats | None = None) -> csr_array:
    """Sparse (K, N) matrix that sums the weights (default 1) of images by class."""
    n = len(classes)
    data = np.ones(n) if weights is None else weights
    return csr_array((data, (classes, np.arange(n))), shape=(k, n))


class ConfusionStatistics:
    """Balanced accuracy and macro precision, recall and F1 of resamples of images.

    The averages are scikit-learn's: over the classes that occur among labels or
    predictions, a quotient 0 / 0 counting as 0; balanced accuracy over the classes that
    occur among labels. A class that has images but none in a resample is left out of that
    resample's average, as it says nothing there; NaN only if no class is left.

    Args:
        labels: (N,) true classes in [0, K).
        predicted: (N,) predicted classes in [0, K).
        k: number of classes.
    """

    def __init__(self, labels: NDArray[np.int64], predicted: NDArray[np.int64], k: int) -> None:
        hits = indicator(labels, k, (labels == predicted).astype(np.float64))
        self._sums = vstack([indicator(labels, k), indicator(predicted, k), hits], format="csr")
        self._k = k
        support, guesses, _ = self.tally(np.ones((len(labels), 1)))
        self._only_guessed = int(((support == 0) & (guesses > 0)).sum())

    def tally(self, counts: Floats) -> tuple[Floats, Floats, Floats]:
        """Images of each class, predictions of it and hits, each (K, b), from counts (N, b)."""
        sums = self._sums @ counts
        k = self._k
        return sums[:k], sums[k : 2 * k], sums[2 * k :]

    def __call__(self, counts: Floats) -> dict[str, Floats]:
        """Each statistic, (b,), of counts (N, b)."""
        support, guesses, hits = self.tally(counts)
        present = (support > 0).sum(axis=0)
        seen = present + self._only_guessed
        recall = _ratio(hits, support).sum(axis=0)
        return {
            "balanced_accuracy": _ratio(recall, present, empty=np.nan),
            "precision_macro": _ratio(_ratio(hits, guesses).sum(axis=0), seen, empty=np.nan),
            "recall_macro": _ratio(recall, seen, empty=np.nan),
            "f1_macro": _ratio(_ratio(2 * hits, support + guesses).sum(axis=0), seen, np.nan),
        }


def _ratio(part: NDArray, whole: NDArray, empty: float = 0.0) -> Floats:
    return np.divide(part, whole, out=np.full(np.shape(part), empty), where=whole > 0)


def class_intervals(support: int, guesses: int, hits: int, level: float) -> dict[str, Interval]:
    """Precision, recall and F1 of one class with Wilson's interval.

    Given the number of images in its denominator, each is a proportion or a rising function
    of one: F1 = 2 J / (1 + J) with J = hits / (support + guesses - hits) the Jaccard index.

    Args:
        support: images of the class.
        guesses: predictions of the class.
        hits: images of the class predicted as such.
        level: in (0, 1).

    A class without predictions has no precision, one without images no recall: NaN.
    """
    jaccard = wilson_interval(hits, support + guesses - hits, level)
    low, value, high = (2 * j / (1 + j) for j in (jaccard.low, jaccard.value, jaccard.high))
    f1 = Interval(value, low, high, level, jaccard.n, jaccard.method, reason=jaccard.reason)
    nothing = "the class has no images and no predictions"
    return {
        "precision": _proportion(hits, guesses, level, "the class is never predicted"),
        "recall": _proportion(hits, support, level, "the class has no images"),
        "f1": f1 if jaccard.n else missing(level, 0, "wilson", nothing),
    }


def _proportion(hits: int, n: int, level: float, reason: str) -> Interval:
    return wilson_interval(hits, n, level) if n else missing(level, 0, "wilson", reason)
