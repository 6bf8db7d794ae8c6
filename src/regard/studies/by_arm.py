"""An arm image by image: the spread of its gaze, and which classes are taken for which."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from regard.evaluation.bounds import marks
from regard.evaluation.gaze import by_class, by_image, each_image, is_pooled
from regard.runs.files import read_json, read_table
from regard.runs.folder import RunFolder
from regard.scores.base import SCORES
from regard.studies.answers import of_method
from regard.studies.settings import Study


def gaze_spread(study: Study, done: pl.DataFrame, folder: Path) -> list[dict[str, Any]]:
    """How each score of maps is spread over images, each image its mean over the seeds.

    Returns:
        A row for each split, score and arm: `metric`, `arm`, `images`, `mean`, `median`, `sd`, and
        what a `uniform` map and the `best` of all maps would get, None where that is not known.
    """
    rows = []
    for split in study.splits:
        for score in study.metrics:
            if score not in SCORES or is_pooled(score):
                continue
            for arm in study.arms:
                tables = _scored(done, arm, split, score, folder)
                if tables:
                    rows.append({"metric": f"{split}.{score}", "arm": arm} | _spread(tables, score))
    return rows


def _scored(
    done: pl.DataFrame, arm: str, split: str, score: str, folder: Path
) -> list[pl.DataFrame]:
    """The table of scores of each run of an arm."""
    found = []
    for run in done.filter(pl.col("arm") == arm)["run"].to_list():
        files = RunFolder(folder / run)
        path = files.scores(split)
        if path.is_file() and score in pl.read_parquet_schema(path):
            found.append(of_method(read_table(path), files))
    return found


def _spread(tables: Sequence[pl.DataFrame], score: str) -> dict[str, Any]:
    images = [by_image(table) for table in tables]
    parts = [t.select("index", pl.Series("value", each_image(t, score))) for t in images]
    known = pl.concat(parts).filter(pl.col("value").is_finite())
    values = known.group_by("index").mean()["value"].to_numpy()
    held = marks(_once(tables, score), score)
    return {
        "images": len(values),
        "mean": _number(values.mean() if len(values) else np.nan),
        "median": _number(np.median(values) if len(values) else np.nan),
        "sd": _number(values.std(ddof=1) if len(values) > 1 else np.nan),
        "uniform": _number(held.uniform if held else np.nan),
        "best": _number(held.best if held else np.nan),
    }


def _once(tables: Sequence[pl.DataFrame], score: str) -> pl.DataFrame:
    """Of each image one row in which the score is defined, whatever the training."""
    rows = [table.filter(pl.Series(np.isfinite(each_image(table, score)))) for table in tables]
    on = ["index", "label"] if by_class(tables[0]) else ["index"]
    return pl.concat(rows, how="diagonal").unique(on, keep="first", maintain_order=True)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def confusions(study: Study, done: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """Of each split the `classes`, and by `arms` the confusion, counts summed over the seeds."""
    found: dict[str, Any] = {}
    for split in study.splits:
        for arm in study.arms:
            for run in done.filter(pl.col("arm") == arm)["run"].to_list():
                values = read_json(RunFolder(folder / run).metrics(split))["metrics"]
                if "confusion" not in values:
                    continue  # sets of labels are not taken for one another
                own = found.setdefault(split, {"classes": values["classes"], "arms": {}})
                own["arms"][arm] = _sum(own["arms"].get(arm), values["confusion"])
    return found


def _sum(before: list[list[int]] | None, counts: list[list[int]]) -> list[list[int]]:
    total: NDArray[np.int64] = np.asarray(counts, dtype=np.int64)
    return (total if before is None else total + np.asarray(before)).tolist()
