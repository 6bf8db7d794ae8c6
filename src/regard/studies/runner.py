"""Run a study: every arm with every seed, in parallel processes, resumable."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import torch
from pydantic import ValidationError

from regard.errors import RegardError, RunError
from regard.machine import cores, free_mb, threads_of
from regard.runs.files import (
    read_json,
    read_yaml,
    write_csv,
    write_json,
    write_table,
    write_yaml,
)
from regard.runs.folder import locked
from regard.studies.arm import bench_arms
from regard.studies.folds import own_splits, refuse_folds
from regard.studies.means import average_arms
from regard.studies.pool import StudyWatcher, run_all
from regard.studies.pooled import TABLE as POOLED
from regard.studies.pooled import pool_folds
from regard.studies.preflight import refuse_arms
from regard.studies.settings import BEFORE, Job, Study, arm_config
from regard.studies.summary import arms_table, summarise
from regard.synthetic.decoys import write_decoys
from regard.synthetic.scenes import write_scenes
from regard.synthetic.sheets import write_sheets
from regard.training.config import Config

# A process with torch, a small net and its data takes about this much.
PROCESS_MB = 1200
THREADS = "threads.json"


def run_study(
    study: Study, out: Path, watcher: StudyWatcher, *, workers: int | None = None
) -> dict[str, Any]:
    """Run what is not done yet, and write `results.parquet` and `summary.json`.

    Args:
        study: what to run.
        out: the study's folder; one of this very study goes on where it was.
        watcher: told of progress.
        workers: processes; None: as many as cores and memory allow, and where they train on GPUs
            no more than there are of those.

    Returns:
        The summary.

    Raises:
        RunError: the folder is of another study, or every run failed.
        RegardError: what can be known without training is wrong: an arm's config or net, a split,
            a file, guidance without regions; nothing is run then.
    """
    workers = workers or _workers(study)
    manifest = study.data.manifest
    threads = _threads(out) or threads_of(workers)
    configs = _configs(study, threads)
    if manifest is None:
        _refuse(study, configs, out)
    with locked(out):
        _claim(study, out)
        if _threads(out) is None:
            write_json(out / THREADS, {"threads": threads})
        _make_data(study, out, watcher)
        if manifest is not None:
            _refuse(study, configs, out)
        first = {job: config for job, config in configs.items() if job.arm == BEFORE}
        rest = {job: config for job, config in configs.items() if job.arm != BEFORE}
        if first:
            _refuse_failed(list(run_all(study, out, first, workers, watcher)), out)
        rows = list(run_all(study, out, rest, workers, watcher))
        if study.bench:
            rows = bench_arms(rows, out, watcher.benched)
        if study.mean_maps:
            average_arms(rows, out, study.splits[0], study.mean_maps, watcher.averaged)
        return conclude(study, out, rows)


def _threads(out: Path) -> int | None:
    """Of each training, as it was when the study began: sums, and so the weights, hang on it."""
    try:
        found = read_json(out / THREADS)["threads"]
    except (OSError, ValueError, LookupError, TypeError, RunError):
        return None
    return found if type(found) is int and found > 0 else None


def _configs(study: Study, threads: int) -> dict[Job, Config]:
    """The config of every run, the first trainings before the arms that begin from them."""
    jobs = study.jobs
    if study.before is not None:
        jobs = [*dict.fromkeys(job._replace(arm=BEFORE) for job in jobs), *jobs]
    manifest = study.data.manifest
    return {job: arm_config(study, job.arm, job.seed, manifest, threads, job.fold) for job in jobs}


def _refuse(study: Study, configs: dict[Job, Config], out: Path) -> None:
    """What can be known without training."""
    if study.folds is not None:
        try:
            refuse_folds(configs, out)
        except RegardError as error:
            raise error.within(f"study {study.name}") from error
    begun = {job for job in configs if (out / job.run / "config.yaml").is_file()}
    new = {job: config for job, config in configs.items() if job not in begun}
    refuse_arms(study, new, out)


def conclude(study: Study, out: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write the table of runs, that of arms, and the summary."""
    order = {arm: i for i, arm in enumerate(study.arms)}
    rows = sorted(rows, key=lambda row: (order[row["arm"]], row["seed"], row.get("fold") or 0))
    columns = [{k: v for k, v in row.items() if k != "remedy"} for row in rows]
    results = pl.DataFrame(columns, infer_schema_length=None)
    write_table(out / "results.parquet", results)
    write_csv(out / "results.csv", results)
    if all(row["status"] != "done" for row in rows):
        _refuse_failed(rows, out)
    pooled = None
    if study.folds is not None:
        pooled = pool_folds(study, rows, out, _own_splits(study, out))
        write_table(out / POOLED, pooled.table)
    summary = summarise(study, results, out, pooled)
    write_csv(out / "arms.csv", arms_table(study, summary))
    write_json(out / "summary.json", summary)
    return summary


def _own_splits(study: Study, out: Path) -> dict[str, int]:
    config = _configs(study, 1)[study.jobs[0]]
    return own_splits(config.data, out)


def _refuse_failed(rows: list[dict[str, Any]], out: Path) -> None:
    """Raise what the first failed run failed with."""
    failed = [row for row in rows if row["status"] != "done"]
    if failed:
        raise RunError(
            str(out),
            expected="runs that work",
            found=f"{len(failed)} failed, the first with: {failed[0]['error']}",
            remedy=failed[0]["remedy"],
        )


def _claim(study: Study, out: Path) -> None:
    """Write `study.yaml`, or check that the folder is of this study.

    More seeds may join, and latencies.
    """
    path, values = out / "study.yaml", _told(study)
    if path.is_file():
        before = _before(path)
        other = [
            k
            for k in values
            if k not in ("seeds", "bench", "mean_maps") and before.get(k) != values[k]
        ]
        # A study that was refused before its first run may be mended.
        if other and ((out / "runs").exists() or "data" in other):
            raise RunError(
                str(out),
                expected="a new folder, or one of this study",
                found=f"a study that differs in {', '.join(other)}",
                remedy="choose another --out",
            )
    elif (out / "runs").exists():
        raise RunError(
            str(out), expected="a new folder", found="runs", remedy="choose another --out"
        )
    write_yaml(path, values)


def _told(study: Study) -> dict[str, Any]:
    return study.model_dump(mode="json", exclude={"scales"})


def _before(path: Path) -> dict[str, Any]:
    """A study as it was saved; a key that did not exist then has its default."""
    values = read_yaml(path)
    try:
        return _told(Study.model_validate(values))
    except ValidationError:
        return values


def _make_data(study: Study, out: Path, watcher: StudyWatcher) -> None:
    """Make the samples, whole or not at all."""
    sheets, scenes, decoys = study.data.sheets, study.data.scenes, study.data.decoys
    name = study.data.made
    final, partial = out / str(name), out / f".{name}.partial"
    if name is None or final.is_dir():
        return
    shutil.rmtree(partial, ignore_errors=True)
    if sheets is not None:
        write_sheets(partial, **sheets.model_dump(), workers=cores(), progress=watcher.made)
    elif scenes is not None:
        write_scenes(partial, **scenes.model_dump(), progress=watcher.made)
    elif decoys is not None:
        how = decoys.model_dump(exclude={"source"})
        write_decoys(Path(decoys.source or ""), partial, **how, progress=watcher.made)
    partial.rename(final)


def _workers(study: Study) -> int:
    free = free_mb()
    fitting = 4 if free is None else free // PROCESS_MB
    device = str((study.base.get("training") or {}).get("device", "auto"))
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return max(1, min(len(study.jobs), cores(), fitting, gpus or cores()))
