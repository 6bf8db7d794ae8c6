"""How fast a run's own images are decoded and fitted."""

from collections.abc import Sequence
from typing import Any

import torch

from regard.data.annotation import Annotation
from regard.data.samples import Samples
from regard.data.source import samples_of, splits_of
from regard.errors import RegardError
from regard.evaluation.timing import take_turns, timing
from regard.runs.run import Run

MOST, ROUNDS, SECONDS = 16, 3, 1.0


def loading_speed(run: Run, notes: list[str]) -> dict[str, Any] | None:
    """Decode and fit up to 16 samples, all views of each, in this process; the files are cached.

    Args:
        run: with its manifest, else there is nothing to time.
        notes: told why there is none.

    Returns:
        `split`, and `timing` of loading so many samples (`batch`); None where none can be read.
    """
    try:
        manifest = run.manifest()
        split = _preferred(splits_of(manifest.table))
        samples = samples_of(manifest, split, run.classes, run.data)[:MOST]
        ready = Samples(samples, run.transform, annotation=Annotation("none"))

        def load() -> None:
            for row in range(len(samples)):
                ready.fitted(row)

        load()  # from here on the files lie in memory, and what is timed is not the disk
    except (RegardError, OSError) as error:
        notes.append(f"Loading was not timed: {_why(error)}.")
        return None
    size = len(samples)
    times = take_turns({size: load}, torch.device("cpu"), seconds=SECONDS, rounds=ROUNDS)
    return {"split": split} | timing(size, times[size])


def _preferred(splits: Sequence[str]) -> str:
    return next((name for name in ("test", "val", "train") if name in splits), splits[0])


def _why(error: RegardError | OSError) -> str:
    """Without folders: reports, which go to others, repeat it."""
    if isinstance(error, RegardError):
        return f"expected {error.expected}, found {error.found}"
    return error.strerror or type(error).__name__
