"""How right answers are, sample by sample, in the measure of each task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.data.annotation import Annotation
from regard.data.mask_classes import VOID
from regard.data.sample import Sample
from regard.data.samples import TARGET, Samples
from regard.data.source import mask_classes
from regard.deployment.photos import Pixels, batches
from regard.evaluation.label_sets import THRESHOLD
from regard.runs.run import Run

BATCH = 16


@dataclass(frozen=True)
class Told:
    """How right each sample's answer is.

    Attributes:
        metric: `accuracy`; of sets of labels the share of `labels` told right; of a segmenter that
            of `pixels`.
        right: (N,), in [0, 1].
    """

    metric: str
    right: NDArray[np.float64]


def told_of(
    run: Run, samples: Sequence[Sample], answer: Callable[[Pixels], NDArray[np.float32]]
) -> Told:
    """How right what answers with probabilities is for the samples, batch by batch."""
    parts = [
        right_of(run, [samples[row] for row in rows], answer(pixels))
        for pixels, rows in batches(run, samples, BATCH)
    ]
    return Told(parts[0].metric, np.concatenate([part.right for part in parts]))


def right_of(run: Run, samples: Sequence[Sample], probabilities: NDArray[np.float32]) -> Told:
    """How right the probabilities (N, K), of a segmenter (N, K, H, W), are for the samples."""
    if run.segments:
        target = _targets(run, samples)
        known = target != VOID
        hits = (probabilities.argmax(1) == target) & known
        with np.errstate(invalid="ignore"):
            return Told("pixels", hits.sum((1, 2)) / known.sum((1, 2)))
    if run.several:
        true = np.zeros(probabilities.shape, bool)
        for row, sample in enumerate(samples):
            true[row, list(sample.labels or ())] = True
        return Told("labels", ((probabilities >= THRESHOLD) == true).mean(1))
    labels = np.array([sample.label for sample in samples])
    return Told("accuracy", (probabilities.argmax(1) == labels).astype(np.float64))


def _targets(run: Run, samples: Sequence[Sample]) -> NDArray[np.int64]:
    classes = mask_classes(run.manifest(), run.data.void)
    ready = Samples(samples, run.transform, annotation=Annotation("none"), classes=classes)
    return np.stack([ready.fitted(row)[1][TARGET].numpy() for row in range(len(samples))])
