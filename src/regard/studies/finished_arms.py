"""Arms of finished studies, as `STUDY:ARM` names them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from regard.errors import ConfigError, RunError, near
from regard.runs.files import damaged, read_table, read_yaml
from regard.studies.pooled import TABLE as POOLED


@dataclass(frozen=True)
class Arm:
    """An arm of a finished study.

    Attributes:
        name: that tables and pictures call it by.
        study: the study's folder.
        arm: its name there.
        trainings: by seed the folder with what was said of all images, a run's or pooled.
        runs: by seed the finished runs: one, or one a fold.
    """

    name: str
    study: Path
    arm: str
    trainings: Mapping[int, Path]
    runs: Mapping[int, Sequence[Path]]

    @property
    def folds(self) -> int:
        """Number of folds that were pooled; 1 for none."""
        return max(len(runs) for runs in self.runs.values())


def is_arm(text: str) -> bool:
    """Whether a text is `STUDY:ARM`, or a study's folder, rather than a run's."""
    folder, colon, _ = text.rpartition(":")
    return _is_study(Path(text)) or (bool(colon) and _is_study(Path(folder)))


def open_arms(texts: Sequence[str]) -> list[Arm]:
    """The arms of `STUDY:ARM`, two or more; all with the seeds that every one has finished.

    Raises:
        ConfigError: fewer than two, or runs among them.
        RunError: no study, no such arm, or no seed that all have finished.
    """
    runs = [text for text in texts if not is_arm(text)]
    if runs or len(texts) < 2:
        raise ConfigError(
            "regard compare",
            expected="two arms or more, STUDY:ARM each, the one to compare with first",
            found=f"{runs[0]}, which is no arm" if runs else "1",
            remedy="compare arms with arms, and runs with runs",
        )
    opened = [_open(text) for text in texts]
    shared = set.intersection(*(set(arm.trainings) for arm in opened))
    if not shared:
        raise RunError(
            " and ".join(texts),
            expected="a seed that every arm has finished",
            found="none",
            remedy="finish the study: the same regard study command goes on",
        )
    names = _names(opened)
    return [
        Arm(name, arm.study, arm.arm, {seed: arm.trainings[seed] for seed in sorted(shared)},
            {seed: arm.runs[seed] for seed in sorted(shared)})
        for name, arm in zip(names, opened, strict=True)
    ]  # fmt: skip


def _names(arms: Sequence[Arm]) -> list[str]:
    """The arms' own names, after the study's where that tells two apart."""
    own = [arm.arm for arm in arms]
    if len(set(own)) == len(own):
        return own
    names = [f"{arm.study.resolve().name}:{arm.arm}" for arm in arms]
    return [n if names.count(n) == 1 else f"{n}-{i}" for i, n in enumerate(names, start=1)]


def _open(text: str) -> Arm:
    folder, _, name = text.rpartition(":")
    if _is_study(Path(text)):
        folder, name = text, ""
    study = Path(folder)
    arms = read_yaml(study / "study.yaml").get("arms")
    if not isinstance(arms, dict) or not arms:
        raise damaged(str(study / "study.yaml"), "no arms")
    if name not in arms:
        raise RunError(
            text,
            expected="an arm of the study after its folder, STUDY:ARM",
            found=repr(name) if name else "no arm",
            remedy=near(name, arms) if name else f"write {study}:{next(iter(arms))}",
        )
    results, pooled = study / "results.parquet", study / POOLED
    if not results.is_file():
        raise RunError(
            str(study),
            expected="a study that has been run to its end",
            found="no results.parquet",
            remedy="finish it: the same regard study command goes on",
        )
    finished = (pl.col("arm") == name) & (pl.col("status") == "done")
    rows = read_table(results).filter(finished)
    whole = read_table(pooled).filter(finished) if "fold" in rows.columns else rows
    by = ["seed", "fold"] if "fold" in rows.columns else ["seed"]
    runs: dict[int, list[Path]] = {}
    for seed, run in rows.sort(by).select("seed", "run").rows():
        runs.setdefault(seed, []).append(study / run)
    return Arm(name, study, name, {seed: study / run for seed, run in
                                   whole.select("seed", "run").rows()}, runs)  # fmt: skip


def _is_study(folder: Path) -> bool:
    return (folder / "study.yaml").is_file()
