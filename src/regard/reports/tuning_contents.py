"""What a tuning's folder holds, read for a report; a missing file is said, and is no error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from regard.evaluation.direction import lower_is_better
from regard.reports.contents import attempt, described
from regard.runs.files import read_json, read_table
from regard.runs.folder import RunFolder
from regard.runs.log import read_log
from regard.training.settings import Training


@dataclass(frozen=True)
class TuningContents:
    """A tuning's files.

    Attributes:
        folder: where it lies.
        tuning: of `tuning.yaml`.
        trials: one row a trial that is done, or None.
        summary: of `tuning.json`, or empty.
    """

    folder: Path
    tuning: Mapping[str, Any]
    trials: pl.DataFrame | None
    summary: Mapping[str, Any]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the objectives, `val.loss`."""
        told = self.tuning.get("objective") or [{"metric": "val.loss"}]
        return tuple(str(own.get("metric", "val.loss")) for own in told)

    def lower(self, metric: str) -> bool:
        """Whether less of it is better."""
        told = {own.get("metric"): own.get("better") for own in self.tuning.get("objective") or []}
        better = told.get(metric)
        return lower_is_better(metric) if better is None else better == "lower"

    @property
    def keys(self) -> tuple[str, ...]:
        """What was searched."""
        return tuple(str(key) for key in self.tuning["search"])

    @property
    def count(self) -> int:
        """How many trials are done, however they ended."""
        return 0 if self.trials is None else len(self.trials)

    @property
    def most_epochs(self) -> int:
        """How many a trial can have at the most."""
        tried = self.tuning["search"].get("training.epochs")
        if tried is not None:
            return max(int(value) for value in tried.get("choices") or [tried["high"]])
        told = (self.tuning.get("base") or {}).get("training") or {}
        return int(told.get("epochs", Training().epochs))

    @cached_property
    def best(self) -> tuple[int, ...]:
        """Numbers of the best trial, or of those of the front."""
        return tuple(row["number"] for row in self.summary.get("best", []))

    def of(self, state: str) -> pl.DataFrame:
        """The trials of a state, `complete`, `pruned` or `failed`."""
        assert self.trials is not None
        return self.trials.filter(pl.col("state") == state)

    @cached_property
    def epochs(self) -> Mapping[int, Sequence[dict[str, Any]]]:
        """The log's lines of epochs, by trial."""
        if self.trials is None:
            return {}
        return {
            row["number"]: attempt(
                lambda row=row: list(read_log(RunFolder(self.folder / row["run"]).log, "epoch")), []
            )
            for row in self.trials.iter_rows(named=True)
        }


def read_tuning_folder(folder: Path) -> TuningContents:
    """Read a tuning's folder.

    Raises:
        RunError: it has no `tuning.yaml` with a search.
    """
    values = described(folder, "tuning", "search")
    trials = attempt(lambda: read_table(folder / "trials.parquet"), None)
    summary = attempt(lambda: read_json(folder / "tuning.json"), {})
    return TuningContents(folder, values, trials, summary)
