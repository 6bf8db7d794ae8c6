"""The table of scores of a split, which grows while the checkpoint stays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from regard.evaluation.bounds import marks
from regard.evaluation.gaze import by_image, column, score_interval, score_names
from regard.evaluation.label_sets import THRESHOLD
from regard.evaluation.pixel_gaze import PixelGaze
from regard.evaluation.predict import Predictions
from regard.evaluation.settings import Gaze
from regard.evaluation.units import COLUMN
from regard.runs.files import read_json, read_table
from regard.runs.grouped import with_groups
from regard.runs.readings import checkpoint_of
from regard.runs.run import Run

# Beside the scores themselves; a table has those that fit its task.
COLUMNS = (
    "index",
    "image",
    COLUMN,
    "label",
    "predicted",
    "correct",
    "share",
    "probability",
    "method",
    "area",
    "dead",
)
# A row is an image, or of a segmenter or with sets of labels an image and a class.
_KEY = ("index", "label")


def with_earlier(
    run: Run, split: str, fresh: Mapping[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """Fresh tables by method, and what was scored before of this checkpoint and not again.

    Args:
        run: loaded.
        split: of its manifest.
        fresh: rows of each method, as of `scores_of`.

    Returns:
        Tables by method, earlier methods first.
    """
    found = _earlier(run, split)
    for method, rows in fresh.items():
        if (before := found.get(method)) is not None:
            kept = [name for name in before.columns if name not in rows.columns]
            rows = rows.join(before.select(*_KEY, *kept), on=_KEY, how="left")
        found[method] = rows
    return found


def _earlier(run: Run, split: str) -> dict[str, pl.DataFrame]:
    """What `metrics/SPLIT.json` tells of and `scores/SPLIT.parquet` holds of this checkpoint."""
    files = run.files
    if not files.scores(split).is_file() or checkpoint_of(files.metrics(split)) != run.checkpoint:
        return {}
    before = read_json(files.metrics(split))
    table = with_groups(read_table(files.scores(split)), run.manifest(), split)
    fixed = [name for name in COLUMNS if name in table.columns]
    return {
        method: table.filter(pl.col("method") == method).select(*fixed, *_names_in(told))
        for method, told in before.get("gaze", {}).items()
    }


def _names_in(told: Mapping[str, Any]) -> list[str]:
    """The scores that a method's summary tells, of a segmenter those of single classes too."""
    parts = [told, *told.get("per_class", {}).values()]
    return list(dict.fromkeys(name for part in parts for name in part["scores"]))


def scores_of(found: Predictions, gaze: Gaze, table: pl.DataFrame) -> pl.DataFrame | None:
    """One row an image: its scores, its region's area, and whether the map was dead.

    Args:
        found: of a pass.
        gaze: how its maps were made.
        table: of the predictions.

    Returns:
        The rows; None where the pass scored nothing.
    """
    if not found.gaze:
        return None
    values = {name: column(name, rows) for name, rows in found.gaze.items()}
    columns = {"area": found.area.astype(np.float64), "dead": found.dead, **values}
    own = table.select("index", "image", "label", "predicted", "correct")
    own = own.with_columns(pl.lit(gaze.method).alias("method"))
    return own.with_columns(**{name: pl.Series(value) for name, value in columns.items()})


def class_scores_of(
    found: PixelGaze, gaze: Gaze, images: Mapping[int, str], classes: Sequence[str]
) -> pl.DataFrame:
    """One row an image and class that it holds, of a segmenter: as `scores_of`, with `share`.

    Args:
        found: of a pass.
        gaze: how its maps were made.
        images: row in the manifest to path as it stands there.
        classes: names.
    """
    fixed = {
        "index": found.index.astype(np.int64),
        "image": [images[index] for index in found.index.tolist()],
        "label": [classes[label] for label in found.labels.tolist()],
        "share": found.share.astype(np.float64),
        "method": [gaze.method] * len(found.index),
        "area": found.area.astype(np.float64),
        "dead": found.dead.astype(bool),
    }
    scores = {name: column(name, rows) for name, rows in found.scores.items()}
    text = {"image": pl.String, "label": pl.String, "method": pl.String}
    return pl.DataFrame(fixed, schema_overrides=text).with_columns(**scores).sort(_KEY)


def label_scores_of(
    found: Predictions, gaze: Gaze, images: Mapping[int, str], classes: Sequence[str]
) -> pl.DataFrame | None:
    """One row an image and label of it: as `scores_of`, with the label's `probability`.

    Args:
        found: of a pass over samples of one label each.
        gaze: how its maps were made.
        images: row in the manifest to path as it stands there.
        classes: names.

    Returns:
        The rows, `correct` where the label is predicted; None where the pass scored nothing.
    """
    if not found.gaze:
        return None
    own = found.probabilities[np.arange(len(found.labels)), found.labels]
    fixed = {
        "index": found.index.astype(np.int64),
        "image": [images[index] for index in found.index.tolist()],
        "label": [classes[label] for label in found.labels.tolist()],
        "correct": own >= THRESHOLD,
        "probability": own,
        "method": [gaze.method] * len(own),
        "area": found.area.astype(np.float64),
        "dead": found.dead,
    }
    scores = {name: column(name, rows) for name, rows in found.gaze.items()}
    return pl.DataFrame(fixed).with_columns(**scores).sort(_KEY)


def class_gaze_summary(scores: pl.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """As `gaze_summary` of the means over an image's classes, and `per_class` of each class.

    An image's classes are not independent of each other, so intervals are over images.
    """
    parts = {name: scores.filter(pl.col("label") == name) for name in classes}
    own = {name: gaze_summary(rows) for name, rows in parts.items() if len(rows)}
    found = gaze_summary(by_image(scores))
    dead = float(scores["dead"].mean() or 0)  # type: ignore[arg-type]
    return found | {"uniform_energy": _uniform(scores), "dead_maps": dead, "per_class": own}


def gaze_summary(scores: pl.DataFrame) -> dict[str, Any]:
    """Scores of all images with intervals, the share of dead maps and of missing regions."""
    names = [name for name in scores.columns if name in score_names(scores)]
    summary = {name: score_interval(scores, name).as_dict() for name in names}
    regions = scores.filter(pl.col("area").is_not_nan())
    return {
        "scores": summary,
        "images": len(scores),
        "with_region": len(regions),
        "mean_area": float(regions["area"].mean() or 0) if len(regions) else None,  # type: ignore[arg-type]
        "uniform_energy": _uniform(scores),
        "dead_maps": float(scores["dead"].mean() or 0),  # type: ignore[arg-type]
    }


def _uniform(scores: pl.DataFrame) -> float | None:
    """The energy of a uniform map, over the same rows as that of the run's maps."""
    held = marks(scores, "energy") if "energy" in scores.columns else None
    return held.uniform if held is not None and np.isfinite(held.uniform) else None
