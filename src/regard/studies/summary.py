"""From one row a run to what can be said of the arms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from regard.evaluation.gaze import by_class, is_pooled
from regard.evaluation.intervals import student_interval
from regard.evaluation.paired import holm, paired_bootstrap, paired_student
from regard.runs.folder import RunFolder
from regard.runs.reliance import GAP, MEASURED
from regard.studies.by_arm import confusions, gaze_spread
from regard.studies.controls import controls
from regard.studies.pixel_metrics import of_class, pixel_difference
from regard.studies.set_metrics import CLASS_METRICS, of_predictions, set_difference
from regard.studies.settings import Study

LEVEL = 0.05


def summarise(study: Study, results: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """Arms with intervals over seeds, paired comparisons, what the controls were, image by image.

    Args:
        study: the study.
        results: one row a run.
        folder: that the runs' paths start from.
    """
    done = results.filter(pl.col("status") == "done")
    metrics = [name for name in results.columns if "." in name]
    return {
        "arms": {arm: _arm(done.filter(pl.col("arm") == arm), metrics) for arm in study.arms},
        "comparisons": compare(study, done, folder),
        "controls": controls(study, done, folder),
        "gaze": gaze_spread(study, done, folder),
        "confusion": confusions(study, done, folder),
    }


def _arm(rows: pl.DataFrame, metrics: Sequence[str]) -> dict[str, Any]:
    """Mean, standard deviation and Student's interval over seeds, by metric."""
    found = {}
    for name in metrics:
        values = rows[name].cast(pl.Float64).to_numpy()
        spread = float(np.nanstd(values, ddof=1)) if np.isfinite(values).sum() > 1 else None
        found[name] = student_interval(values).as_dict() | {"sd": spread}
    return found


def compare(study: Study, done: pl.DataFrame, folder: Path) -> list[dict[str, Any]]:
    """Every comparison on every metric: paired by seed, and by image over the seeds' means.

    The p-values over seeds of one metric's comparisons are corrected together (Holm).
    """
    found = []
    for split in study.splits:
        for metric in study.metrics:
            name = f"{split}.{metric}"
            if name not in done.columns:
                continue
            rows = [_pair(done, *pair, split, metric, folder) for pair in study.pairs]
            for row, p in zip(rows, _corrected(rows), strict=True):
                row["p_holm"] = p
                row["verdict"] = verdict(row)
            found += rows
    return found


def _pair(
    done: pl.DataFrame, arm: str, against: str, split: str, metric: str, folder: Path
) -> dict[str, Any]:
    name = f"{split}.{metric}"
    columns = ["seed", "run", pl.col(name).cast(pl.Float64)]
    own = done.filter(pl.col("arm") == arm).select(columns)
    both = own.join(
        done.filter(pl.col("arm") == against).select(columns), on="seed", suffix="_against"
    ).sort("seed")
    first, second = both[f"{name}_against"].to_numpy(), both[name].to_numpy()
    over_images = None
    if len(both):
        sides = both["run_against"].to_list(), both["run"].to_list()
        a, b = (_by_image(runs, split, metric, folder) for runs in sides)
        if a is not None and b is not None:
            over_images = paired_bootstrap(*_paired(a, b)).as_dict()
        else:
            how = sides[1], sides[0], split, metric, folder
            over_images = pixel_difference(*how) or set_difference(*how)
    return {
        "arm": arm,
        "against": against,
        "metric": name,
        "seeds": paired_student(first, second).as_dict() if len(both) else None,
        "images": over_images,
    }


def _by_image(runs: Sequence[str], split: str, metric: str, folder: Path) -> pl.DataFrame | None:
    """`value` by `index`, of a segmenter's scores also by `label`: the mean over the seeds.

    Of those seeds where it is defined, null where it is for none (a map that is always dead). None
    for what is not measured image by image.
    """
    named = of_class(metric)
    score, own = named or (metric, "")
    if is_pooled(score) or (named and any(score in known for known in CLASS_METRICS.values())):
        return None
    told = of_predictions(metric)
    kind, column = ("scores", score) if told is None else ("predictions", told)
    if metric in (*MEASURED, GAP):
        kind = "backgrounds"
    found, keys = [], ["index"]
    for run in runs:
        path = folder / run / kind / f"{split}.parquet"
        if not path.is_file() or column not in pl.read_parquet_schema(path):
            return None
        table = pl.read_parquet(path)
        if kind == "scores":
            method = RunFolder(folder / run).read_config()["gaze"]["method"]
            table = table.filter(pl.col("method") == method)
            table = table.filter(pl.col("label") == own) if own else table
        keys = ["index", "label"] if kind == "scores" and by_class(table) else ["index"]
        found.append(table.select(*keys, value=pl.col(column).cast(pl.Float64).fill_nan(None)))
    return pl.concat(found).group_by(keys, maintain_order=True).mean() if found else None


def _paired(a: pl.DataFrame, b: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The values (N,) of the images that both have; NaN where one of them is undefined.

    Of segmenters the mean over the classes of an image for which both are defined.
    """
    keys = [name for name in ("index", "label") if name in a.columns]
    both = a.join(b, on=keys, suffix="_b").with_columns(
        there=pl.col("value").is_not_null() & pl.col("value_b").is_not_null()
    )
    values = [pl.when("there").then(name).alias(name) for name in ("value", "value_b")]
    means = both.select("index", *values).group_by("index").mean().sort("index")
    first, second = (means[name].fill_null(np.nan).to_numpy() for name in ("value", "value_b"))
    return first, second


def _corrected(rows: Sequence[dict[str, Any]]) -> list[float | None]:
    raw = [row["seeds"]["p_value"] if row["seeds"] else None for row in rows]
    known = [p for p in raw if p is not None]
    adjusted = iter(holm(known).tolist() if known else [])
    return [None if p is None else next(adjusted) for p in raw]


def verdict(row: dict[str, Any]) -> str:
    """`higher`, `lower`, or `no difference shown`: over seeds, corrected, at 5 %.

    `not tested` where fewer than two seeds were finished by both arms. Differences that are all the
    same have no p-value, and nothing is shown of them either.
    """
    p, seeds = row["p_holm"], row["seeds"]
    if seeds is None or seeds["difference"]["n"] < 2:
        return "not tested"
    if p is None or p >= LEVEL:
        return "no difference shown"
    return "higher" if row["seeds"]["difference"]["value"] > 0 else "lower"
