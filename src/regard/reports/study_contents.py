"""What a study's folder holds, read for a report: a missing file is said, and no reason to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from regard.reports.contents import RunContents, attempt, described, read_run
from regard.runs.files import read_json, read_table
from regard.studies.pooled import TABLE as POOLED
from regard.studies.remarks import remarks
from regard.studies.settings import Job, Study


@dataclass(frozen=True)
class Done:
    """A finished run of a study."""

    arm: str
    seed: int
    fold: int | None
    contents: RunContents


@dataclass(frozen=True)
class StudyContents:
    """A study's files.

    Attributes:
        folder: where it lies.
        study: of `study.yaml`.
        results: one row a run, or None.
        pooled: of a study with folds one row an arm and seed, or None.
        summary: of `summary.json`, or empty.
        runs: the finished ones.
    """

    folder: Path
    study: Mapping[str, Any]
    results: pl.DataFrame | None
    summary: Mapping[str, Any]
    runs: Sequence[Done]
    pooled: pl.DataFrame | None = None

    @property
    def folds(self) -> int | None:
        """Number of folds, if there are any."""
        return self.study.get("folds")

    @property
    def by_seed(self) -> pl.DataFrame | None:
        """One row an arm and seed."""
        return self.results if self.folds is None else self.pooled

    @property
    def remarks(self) -> list[str]:
        """What a reader should know before believing the numbers."""
        return attempt(lambda: remarks(Study.model_validate(self.study), self.summary), [])

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, the baseline first."""
        names = [str(name) for name in self.study["arms"]]
        return tuple(sorted(names, key=lambda name: name != self.baseline))

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""
        return str(self.study.get("baseline", ""))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The comparisons, (arm, against)."""
        pairs = self.study.get("comparisons")
        if pairs is None:
            return tuple((arm, self.baseline) for arm in self.arms if arm != self.baseline)
        return tuple((str(arm), str(against)) for arm, against in pairs)

    @property
    def published(self) -> Mapping[str, Any]:
        """What others reported, as the study has it; or empty."""
        return self.study.get("published") or {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.study.get("splits") or ("test",))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """`SPLIT.METRIC` of what the study compares, split by split."""
        wanted = self.study.get("metrics") or ("accuracy", "energy", "energy_gain")
        known = {name for values in self.summary.get("arms", {}).values() for name in values}
        names = (f"{split}.{metric}" for split in self.splits for metric in wanted)
        return tuple(name for name in names if name in known)

    def tone(self, arm: str) -> int:
        """Number of the arm's colour: grey for the baseline."""
        return -1 if arm == self.baseline else (self.arms.index(arm) - 1) % 5

    def of(self, arm: str) -> list[Done]:
        """The finished runs of an arm, by seed."""
        return [run for run in self.runs if run.arm == arm]


def read_study_folder(folder: Path) -> StudyContents:
    """Read a study's folder.

    Raises:
        RunError: it has no `study.yaml` with arms.
    """
    values = described(folder, "study", "arms")
    results = attempt(lambda: read_table(folder / "results.parquet"), None)
    summary = attempt(lambda: read_json(folder / "summary.json"), {})
    pooled = attempt(lambda: read_table(folder / POOLED), None)
    runs = [] if results is None else list(_runs(folder, results))
    return StudyContents(folder, values, results, summary, runs, pooled)


def _runs(folder: Path, results: pl.DataFrame) -> list[Done]:
    by = ["seed", "fold"] if "fold" in results.columns else ["seed"]
    done = results.filter(pl.col("status") == "done").sort(by, maintain_order=True)
    read = {
        Job(row["arm"], row["seed"], row.get("fold")): attempt(
            lambda row=row: read_run(folder / row["run"]), None
        )
        for row in done.iter_rows(named=True)
    }
    return [Done(*key, contents) for key, contents in read.items() if contents is not None]
