"""Areas under the ROC and the precision-recall curve, on counts of images."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Ranking:
    """ROC AUC and average precision of one class against the rest, of resamples of images.

    With the distinct probabilities in falling order, p_g images of the class and q_g others
    at the g-th, P_g and Q_g their sums down to it, and P and Q all:
    AUC = 1 - sum p_g (Q_g - q_g / 2) / (P Q), a tie counting half (Mann and Whitney);
    AP = sum p_g P_g / (P_g + Q_g) / P, without interpolation, as in scikit-learn.

    Args:
        scores: (N,) probabilities of the class.
        positive: (N,) whether the image is of the class; some are, some are not.
    """

    def __init__(self, scores: Floats, positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked, hit = scores[self._order], positive[self._order]
        first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        group = np.cumsum(np.r_[True, ranked[1:] != ranked[:-1]])[hit] - 1
        used, start = np.unique(group, return_index=True)
        self._positives, self._start = self._order[hit], start
        begin, end = first[used], np.r_[first, len(scores)][used + 1]
        # Sums are wanted only at the ends of groups that hold a positive: the rows between
        # are added up in one pass, without a running sum over all images.
        edges = np.unique(np.r_[0, begin, end])
        self._edges = edges[edges < len(scores)]
        self._begin, self._end = np.searchsorted(edges, begin), np.searchsorted(edges, end)

    def __call__(self, counts: Floats) -> tuple[Floats, Floats]:
        """AUC and AP, each (b,), of counts (N, b); NaN where a resample lacks either kind."""
        p = np.add.reduceat(counts[self._positives], self._start, axis=0)
        steps = np.add.reduceat(counts[self._order], self._edges, axis=0)
        seen = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(steps, axis=0)])
        above, until = seen[self._begin], seen[self._end]
        hits = np.cumsum(p, axis=0)
        positives, total = hits[-1], seen[-1]
        misses = (above + until - 2 * hits + p) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            auc = 1 - (p * misses).sum(axis=0) / (positives * (total - positives))
            precision = np.divide(hits, until, out=np.zeros_like(hits), where=until > 0)
            return auc, (p * precision).sum(axis=0) / positives


class RankingStatistics:
    """ROC AUC and average precision of resamples: of one class, or averaged over classes.

    Averages run over the classes, one against the rest, that have images and are not alone;
    in a resample, over those that it holds. NaN if there is none.

    Args:
        labels: (N,) true classes in [0, K).
        probabilities: (N, K).
        classes: those to average over.
    """

    def __init__(
        self, labels: NDArray[np.int64], probabilities: Floats, classes: list[int]
    ) -> None:
        held = [c for c in classes if 0 < np.count_nonzero(labels == c) < len(labels)]
        self._rankings = [Ranking(probabilities[:, c], labels == c) for c in held]

    def __call__(self, counts: Floats) -> dict[str, Floats]:
        """Each statistic, (b,), of counts (N, b)."""
        pairs = np.array([ranking(counts) for ranking in self._rankings])
        if pairs.size == 0:
            nothing = np.full(counts.shape[1], np.nan)
            return {"roc_auc": nothing, "average_precision": nothing}
        both = np.isfinite(pairs).all(axis=1, keepdims=True)
        held = both.sum(axis=0)
        means = np.divide(
            np.where(both, pairs, 0).sum(axis=0),
            held,
            out=np.full(pairs.shape[1:], np.nan),
            where=held > 0,
        )
        return {"roc_auc": means[0], "average_precision": means[1]}
