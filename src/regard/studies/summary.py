"""From one row a run to what can be said of the arms."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from regard.evaluation.bootstrap import bootstrap_interval
from regard.evaluation.intervals import CONFIDENCE, Interval, bounded, missing, student_interval
from regard.evaluation.names import split_and_metric
from regard.evaluation.ranges import range_of
from regard.evaluation.resampling import limits
from regard.runs.files import read_json
from regard.runs.folder import RunFolder
from regard.runs.grouped import GROUPS
from regard.studies.answers import Answers, method_of
from regard.studies.by_arm import confusions, gaze_spread
from regard.studies.comparisons import Folds, comparisons
from regard.studies.controls import controls
from regard.studies.cost import costs
from regard.studies.pooled import Pooled
from regard.studies.settings import Study
from regard.studies.trained import Means, OfSet, Trained, paired_images


def summarise(
    study: Study, results: pl.DataFrame, folder: Path, pooled: Pooled | None = None
) -> dict[str, Any]:
    """Arms with intervals over seeds, paired comparisons, what the controls were, image by image.

    Args:
        study: the study.
        results: one row a run.
        folder: that the runs' paths start from.
        pooled: of a study with folds what was pooled over them.
    """
    runs = results.filter(pl.col("status") == "done")
    done = runs if pooled is None else pooled.table.filter(pl.col("status") == "done")
    answers = Answers(done, folder)
    summary = {
        "arms": {arm: _arm(study, arm, done, answers, folder) for arm in study.arms},
        "costs": {arm: costs(runs.filter(pl.col("arm") == arm)) for arm in study.arms},
        "comparisons": compare(study, done, folder, answers, pooled and pooled.folds),
        "controls": controls(study, runs, folder),
        "gaze": gaze_spread(study, done, folder),
        "confusion": confusions(study, done, folder),
        "groups": _groups(study, done, folder),
    }
    return summary if pooled is None else summary | {"folds": pooled.told()}


def _groups(study: Study, runs: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """Of each split its images and how many groups they are of, where that is told."""
    found: dict[str, Any] = {}
    files = [RunFolder(folder / run) for run in runs["run"].to_list()]
    for split in study.splits:
        told = [read_json(own.metrics(split)) for own in files if own.metrics(split).is_file()]
        known = [own for own in told if own.get("groups") is not None]
        if known:
            found[split] = {name: known[0].get(name) for name in ("images", *GROUPS)}
    return found


def arms_table(study: Study, summary: Mapping[str, Any]) -> pl.DataFrame:
    """One row an arm and metric: mean, standard deviation, 95 % interval, and over what.

    Columns `arm`, `metric`, `n` (seeds), `mean`, `sd`, `low`, `high`, and `images_low` and
    `images_high` where there is an interval over images; `reason` of `low` and `high` why there are
    none. Then rows of what the trainings cost.
    """
    rows = []
    for arm in study.arms:
        for name, told in summary["arms"][arm].items():
            images = told.get("images") or {}
            rows.append(
                {"arm": arm, "metric": name, "n": told["n"], "mean": told["value"],
                 "sd": told["sd"], "low": told["low"], "high": told["high"],
                 "images_low": images.get("low"), "images_high": images.get("high"),
                 "reason": told["reason"]}
            )  # fmt: skip
        rows += [
            {"arm": arm, "metric": name, "n": told["n"], "mean": told["mean"], "sd": told["sd"]}
            for name, told in summary["costs"][arm].items()
        ]
    numbers = ("mean", "sd", "low", "high", "images_low", "images_high")
    schema = {"arm": pl.String, "metric": pl.String, "n": pl.Int64}
    told = dict.fromkeys(numbers, pl.Float64) | {"reason": pl.String}
    return pl.DataFrame(rows, schema=schema | told)


def compare(
    study: Study,
    done: pl.DataFrame,
    folder: Path,
    answers: Answers | None = None,
    folds: Folds | None = None,
) -> list[dict[str, Any]]:
    """Every comparison on every metric that was measured, see `comparisons`."""
    names = [f"{split}.{metric}" for split in study.splits for metric in study.metrics]
    known = [name for name in names if name in done.columns]
    return comparisons(study.pairs, known, answers or Answers(done, folder), folds)


def _arm(
    study: Study, arm: str, done: pl.DataFrame, answers: Answers, folder: Path
) -> dict[str, Any]:
    """Mean, standard deviation and Student's interval over seeds, by metric.

    Of what the study compares also the interval over images, where there is one seed or folds.
    """
    own = done.filter(pl.col("arm") == arm)
    compared = {f"{split}.{metric}" for split in study.splits for metric in study.metrics}
    found = {}
    for name in (column for column in done.columns if "." in column):
        values = own[name].cast(pl.Float64).to_numpy()
        spread = float(np.nanstd(values, ddof=1)) if np.isfinite(values).sum() > 1 else None
        within = range_of(split_and_metric(name)[1])
        found[name] = student_interval(values, within=within).as_dict() | {"sd": spread}
        if name in compared and (len(own) == 1 or (study.folds is not None and len(own))):
            found[name]["images"] = _over_images(own, name, answers, arm, folder)
    return found


def _over_images(
    own: pl.DataFrame, name: str, answers: Answers, arm: str, folder: Path
) -> dict[str, Any] | None:
    """The interval over images: of one training that of its metrics, of several of their mean."""
    if len(own) == 1:
        return _written(folder / own["run"][0], *split_and_metric(name))
    trainings = answers(arm, name)
    images = [training.images for training in trainings]
    means = [own for own in images if isinstance(own, Means)]
    if len(means) == len(images):
        values, _, units = paired_images(means, means)
        return bootstrap_interval(values, units=units, within=means[0].within).as_dict()
    return _resampled(trainings)


def _resampled(trainings: Sequence[Trained]) -> dict[str, Any] | None:
    sets = [own.images for own in trainings if isinstance(own.images, OfSet)]
    if len(sets) < len(trainings):
        return None
    first = sets[0].resampled
    if not all(own.resampled.like(first) for own in sets):
        return None
    value = float(np.mean([own.value for own in trainings]))
    rows = np.mean([own.resampled.resamples[own.name] for own in sets], axis=0)
    n, units, method = len(first.index), first.units, "percentile"
    if np.isnan(rows).all():
        found = missing(CONFIDENCE, n, method, "undefined on these images", value=value)
        return replace(found, groups=units.groups).as_dict()
    low, high = limits(value, rows, units, CONFIDENCE)
    found = Interval(value, low, high, CONFIDENCE, n, method, groups=units.groups)
    return bounded(found, range_of(sets[0].name)).as_dict()


def _written(run: Path, split: str, metric: str) -> dict[str, Any] | None:
    """The interval that a run's `metrics/SPLIT.json` has of a metric."""
    files = RunFolder(run)
    if not files.metrics(split).is_file():
        return None
    values, method = read_json(files.metrics(split)), method_of(files)
    told = values.get("gaze", {})
    gaze = next((own for name, own in told.items() if method in (None, name)), {})
    name, _, own = metric.partition(":")
    if own:
        of_class = values["metrics"].get("per_class", {}).get(own, {})
        parts = [of_class, gaze.get("per_class", {}).get(own, {}).get("scores", {})]
    else:
        parts = [values["metrics"], gaze.get("scores", {})]
    return next((part[name] for part in parts if "low" in (part.get(name) or ())), None)
