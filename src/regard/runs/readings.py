"""That a split was read, and who writes what was found of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from regard.errors import RunError
from regard.runs.files import read_json
from regard.runs.folder import locked
from regard.runs.log import add_line
from regard.runs.run import Run


@contextmanager
def writing(run: Run, split: str, by: str) -> Iterator[None]:
    """Hold a run's numbers, from what is read of them on until all are written.

    The reading is noted before they are, as it was one also where a kill comes between. Metrics of
    another checkpoint, or that cannot be read, go first: beside tables of this one they would name
    the wrong one.

    Args:
        run: whose files they are.
        split: that was read.
        by: the command that read it.

    Raises:
        RunError: another process holds them.
    """
    metrics = run.files.metrics(split)
    with locked(metrics.parent):
        note_reading(run, split, by)
        if checkpoint_of(metrics) != run.checkpoint:
            metrics.unlink(missing_ok=True)
        yield


def checkpoint_of(metrics: Path) -> str | None:
    """The checkpoint that a file of metrics is of; None where it is not there or is none."""
    try:
        return read_json(metrics)["checkpoint"]
    except (OSError, RunError, LookupError, TypeError):
        return None


def note_reading(run: Run, split: str, by: str) -> None:
    """Add a line to the run's readings: this split was read now, with this checkpoint.

    Args:
        run: loaded.
        split: of its manifest.
        by: the command that read it, such as `regard compare`.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    told = {"split": split, "checkpoint": run.checkpoint, "time": when, "command": by}
    add_line(run.files.readings, told)
