"""Arms of studies compared image by image, over all seeds and folds, from what their runs wrote."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from regard.data.settings import Task, task_in
from regard.errors import RunError
from regard.evaluation.comparison import Answers
from regard.evaluation.comparison_of_arms import compare_trainings, pair_trainings
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.settings import Gaze
from regard.files.relative import seen_from
from regard.runs.compare import KIND, PAIRS, SUMMARY, refuse_folder
from regard.runs.compare_masks import (
    Segmented,
    compare_segmenters,
    mean_scores,
    no_scores,
    pair_masks,
)
from regard.runs.files import read_json, read_table, write_json, write_table
from regard.runs.folder import RunFolder
from regard.runs.grouped import GROUPS
from regard.runs.own_numbers import best_answers
from regard.studies.answers import of_method
from regard.studies.finished_arms import Arm


def compare_arms(arms: Sequence[Arm], split: str, out: Path) -> dict[str, Any]:
    """Hold every other arm against the first, and write `pairs.parquet` and `summary.json`.

    Of what the study's runs wrote about the split: no net is asked, and no split read again. Gaze
    is compared where both arms were measured by one method, each as its own config has it.

    Args:
        arms: of `open_arms`; the first is `before`, each other one `after`.
        split: of their manifest.
        out: folder to write into, see `refuse_folder`.

    Returns:
        What was written to `summary.json`.

    Raises:
        RunError: a run without an answer about the split, or arms of sets of labels.
        DataError: arms of other images.
    """
    refuse_folder(out)
    first, gaze = arms[0], _gaze(arms[0])
    config = RunFolder(first.runs[min(first.runs)][0]).read_config()
    task = task_in(config)
    _refuse_sets(task, first)
    segments = task == "segmentation"
    compare = _segmenters(config["classes"]) if segments else _classifiers
    answers = {arm.name: _answers(arm, split, gaze.method) for arm in arms}
    others, tables = [], []
    for arm in arms[1:]:
        pairs, found = compare(answers[first.name], answers[arm.name])
        others.append(_told(arm, out) | found)
        pairs = _placed(pairs, first, arm, split, out)
        tables.append(pairs.select(pl.lit(arm.name).alias("run"), pl.all()))
    values = {
        "kind": KIND,
        "task": task,
        "of_arms": {"seeds": sorted(first.trainings), "folds": first.folds},
        "split": split,
        **_groups(first, split),
        "classes": list(config["classes"]),
        "level": CONFIDENCE,
        "method": gaze.method,
        "contrast": gaze.contrast,
        "first": _told(first, out),
        "others": others,
    }
    write_table(out / PAIRS, pl.concat(tables, how="diagonal"))
    write_json(out / SUMMARY, values)
    return values


def _groups(arm: Arm, split: str) -> dict[str, int | None]:
    """As the metrics of one of its trainings tell them; all are of the same images."""
    metrics = RunFolder(arm.trainings[min(arm.trainings)]).metrics(split)
    told = read_json(metrics) if metrics.is_file() else {}
    return {name: told.get(name) for name in GROUPS}


def _refuse_sets(task: Task, arm: Arm) -> None:
    """Sets of labels are compared run by run; the study's own report has its arms."""
    if task == "multilabel":
        raise RunError(
            f"{arm.study}:{arm.arm}",
            expected="arms of one label an image, or of segmenters",
            found="sets of labels",
            remedy="compare two of its runs, or see the study's report",
        )


def _gaze(arm: Arm) -> Gaze:
    config = RunFolder(arm.runs[min(arm.runs)][0]).read_config()
    return Gaze.model_validate(config["gaze"])


def _told(arm: Arm, out: Path) -> dict[str, Any]:
    folder = seen_from(out, arm.study.resolve())
    told = {"name": arm.name, "folder": folder, "checkpoint": "best", "bench": None}
    return told | {"own_contrast": _gaze(arm).contrast}


def _answers(arm: Arm, split: str, method: str) -> dict[int, Answers]:
    found = {}
    for seed, folder in arm.trainings.items():
        files = RunFolder(folder)
        path = files.predictions(split)
        table = read_table(path) if path.is_file() else None
        if table is None:
            raise RunError(
                str(folder),
                expected=f"predictions of {split!r}",
                found="none",
                remedy="choose a split of the study, or compare two of its runs",
            )
        if not best_answers(files, split):
            raise RunError(
                str(folder),
                expected=f"predictions of {split!r} of the best checkpoint, as its config asks",
                found="others, which were asked for since",
                remedy="the same regard study command asks again",
            )
        positive = read_json(files.metrics(split))["metrics"].get("positive")
        found[seed] = Answers(table, _scores(arm, files, split, method), positive)
    return found


Sides = dict[int, Answers]


def _classifiers(before: Sides, after: Sides) -> tuple[pl.DataFrame, dict[str, Any]]:
    return pair_trainings(before, after), compare_trainings(before, after)


def _segmenters(
    classes: Sequence[str],
) -> Callable[[Sides, Sides], tuple[pl.DataFrame, dict[str, Any]]]:
    """Pixels of all seeds count together, and scores are means over them."""

    def compare(before: Sides, after: Sides) -> tuple[pl.DataFrame, dict[str, Any]]:
        first, second = (_together([*side.values()]) for side in (before, after))
        pairs = pair_masks(first, second).with_columns(seed=pl.lit(min(before)).cast(pl.Int32))
        return pairs, compare_segmenters(first, second, classes)

    return compare


def _together(answers: Sequence[Answers]) -> Segmented:
    tables = [own.predictions.sort("index") for own in answers]
    counts = {
        name: pl.Series(
            np.sum([np.array(t[name].to_list(), dtype=np.int64) for t in tables], 0).tolist(),
            dtype=pl.List(pl.List(pl.Int64)),
        )
        for name in ("confusion", "boundary")
    }
    told = [own.scores for own in answers if own.scores is not None]
    scores = mean_scores(told) if told else no_scores()
    return Segmented(tables[0].with_columns(**counts), scores)


def _scores(arm: Arm, files: RunFolder, split: str, method: str) -> pl.DataFrame | None:
    """The scores of maps, where they are by the method of the first arm."""
    path = files.scores(split)
    if not path.is_file() or _gaze(arm).method != method:
        return None
    return of_method(read_table(path), files)


def _placed(pairs: pl.DataFrame, first: Arm, other: Arm, split: str, out: Path) -> pl.DataFrame:
    """The pairs with `folder_before` and `folder_after`: the runs that say it, seen from `out`."""
    places = [_runs_of(arm, split, out, end) for arm, end in ((first, "before"), (other, "after"))]
    for table in places:
        pairs = pairs.join(table, on=["seed", "index"], how="left", maintain_order="left")
    return pairs


def _runs_of(arm: Arm, split: str, out: Path, end: str) -> pl.DataFrame:
    parts = []
    for seed, runs in arm.runs.items():
        for run in runs:
            index = read_table(RunFolder(run).predictions(split))["index"]
            place = seen_from(out, run.resolve())
            parts.append(
                pl.DataFrame({"index": index}).with_columns(
                    pl.lit(seed).cast(pl.Int32).alias("seed"), pl.lit(place).alias(f"folder_{end}")
                )
            )
    return pl.concat(parts)
