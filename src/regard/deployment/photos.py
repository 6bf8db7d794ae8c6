"""Photos of a run's own splits, fitted as its net takes them."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regard.data.annotation import Annotation
from regard.data.sample import Sample
from regard.data.samples import Samples
from regard.data.source import samples_of, splits_of
from regard.errors import RunError
from regard.runs.run import Run

Pixels = list[NDArray[np.uint8]]


def some_samples(run: Run, splits: Sequence[str], most: int | None = None) -> list[Sample]:
    """The samples of the first of these splits that there is, evenly spaced where there are more.

    Raises:
        RunError: the run has none of them.
        DataError: the manifest is gone.
    """
    manifest = run.manifest()
    known = splits_of(manifest.table)
    for split in splits:
        if split in known:
            found = samples_of(manifest, split, run.classes, run.data)
            if most is None or len(found) <= most:
                return found
            return [found[row * len(found) // most] for row in range(most)]
    raise RunError(
        str(run.folder),
        expected=f"samples in {' or '.join(splits)}",
        found="none",
        remedy="train with a manifest that has them",
    )


def batches(run: Run, samples: Sequence[Sample], size: int) -> Iterator[tuple[Pixels, list[int]]]:
    """Each batch's views, uint8 (B, 3, H, W), in the order of `data.views`, and its rows."""
    ready = Samples(samples, run.transform, annotation=Annotation("none"))
    for start in range(0, len(samples), size):
        rows = [*range(start, min(start + size, len(samples)))]
        fitted = [ready.fitted(row)[0] for row in rows]
        yield (
            [torch.stack([one[view] for one in fitted]).numpy() for view in run.data.views],
            rows,
        )
