"""The class that a screening looks for, and the probability from which on a piece counts as it."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from regard.errors import ConfigError, near, wrong
from regard.evaluation.table import PREFIX
from regard.runs.deciding import decided
from regard.runs.run import Run

DEFAULT = 0.5
GIVEN = "--threshold"


@dataclass(frozen=True)
class Wanted:
    """A class with its threshold.

    Attributes:
        name: of the class.
        threshold: probability from which on a piece counts; None: where the class is the most
            probable one.
        whence: the threshold is: `--threshold`, `threshold.json`, or `default` with the reason.
    """

    name: str
    threshold: float | None
    whence: str

    @property
    def counts(self) -> pl.Expr:
        """Of a row, whether the piece counts; null where it could not be read."""
        if self.threshold is None:
            return pl.col("predicted") == self.name
        return pl.col(PREFIX + self.name).fill_nan(None) >= self.threshold

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return {"class": self.name, "threshold": self.threshold, "threshold_from": self.whence}


def wanted_of(run: Run, positive: str | None, threshold: float | None) -> Wanted | None:
    """What options ask for; without a threshold the run's own, of this class and checkpoint.

    Without that it is one half, as the net answers: of one of more than two classes, which may well
    be the most probable one with less, that it is.

    Raises:
        ConfigError: an unknown class, a threshold of none, or one out of range.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise wrong(GIVEN, "0 to 1", f"{threshold:g}", "correct it")
    if positive is None:
        if threshold is not None:
            raise wrong(GIVEN, "--positive CLASS beside it", "none", "add it, or leave it out")
        return None
    if positive not in run.classes:
        raise ConfigError(
            "--positive",
            expected="a class of the run",
            found=repr(positive),
            remedy=near(positive, run.classes),
        )
    if threshold is not None:
        return Wanted(positive, threshold, GIVEN)
    own = decided(run, any_checkpoint=True)
    usual = None if len(run.classes) > 2 and not run.several else DEFAULT
    if own is None:
        return Wanted(positive, usual, "default")
    for name, has in (("checkpoint", run.checkpoint), ("positive", positive)):
        if own[name] != has:
            reason = f"default, as threshold.json is of {own[name]}"
            return Wanted(positive, usual, reason)
    return Wanted(positive, own["threshold"], run.files.threshold.name)
