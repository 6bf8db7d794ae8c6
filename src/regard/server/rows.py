"""A split as a table to be filtered: what the manifest, the predictions and the scores say."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from regard.data.manifest import Manifest
from regard.errors import DataError, RegardError, RunError
from regard.evaluation.gaze import by_class, by_image, each_image, score_names
from regard.evaluation.segmentation import pooled_metrics
from regard.evaluation.table import PREFIX
from regard.files.parquet import read_parquet
from regard.files.table_files import POLARS_ERROR
from regard.server.facts import Facts

T = TypeVar("T")
# Columns of scores, beside those of the image.
SCORE = "score:"
_INDEX = pl.col("index").cast(pl.Int64)
_NAMES = pl.List(pl.String)
# Of an image's answers beside what is predicted.
_ANSWERS = {"probability": pl.Float64, "right": pl.Boolean}
_IMAGE = {"index": pl.Int64, "image": pl.String, "name": pl.String}


def rows_of(facts: Facts, manifest: Manifest | None, split: str) -> pl.DataFrame:
    """One row an image, in the order of the manifest.

    Columns `index`, `image` (the path as it stands in the manifest), `name` (of the file alone),
    `label`, `predicted`, `probability` of what is predicted, `right`, `region` (whether there is
    one), `score:NAME` of the run's own method and `score:NAME@METHOD` of others. Where images have
    sets of labels, `label` and `predicted` are lists; of a segmenter the scores are those of the
    image's pixels and of its maps.

    Args:
        facts: of the run.
        manifest: None where it has gone; then there are the images that were predicted.
        split: of it.

    Raises:
        RunError: the predictions or the scores cannot be read.
    """
    told = facts.files.predictions(split), facts.files.scores(split)
    predictions, scores = map(_read, told)
    images = _images(facts, manifest, split, predictions)
    rows = _joined(images, _whole(told[0], lambda: _answers(facts, predictions)))
    if scores is not None and len(scores):
        for name, column in _whole(told[1], lambda: _scores(facts, scores)):
            rows = _joined(rows, column.rename({"value": name}))
    return rows


def _joined(rows: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return rows.join(more, on="index", how="left", maintain_order="left")


def _whole(path: Path, read: Callable[[], T]) -> T:
    """What is read of a table, whose columns may be others than ours."""
    try:
        return read()
    except RegardError:
        raise
    except (POLARS_ERROR, KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, str(error).splitlines()[0] if str(error) else "nothing") from error


def score_columns(rows: pl.DataFrame) -> list[str]:
    """The names of the scores that a table of rows has."""
    return [name.removeprefix(SCORE) for name in rows.columns if name.startswith(SCORE)]


def answers_of(predictions: pl.DataFrame, index: int) -> list[tuple[str, float]] | None:
    """The classes and probabilities of an image, the surest first; None without any."""
    names = [name for name in predictions.columns if name.startswith(PREFIX)]
    rows = predictions.filter(pl.col("index") == index)
    if not names or rows.is_empty():
        return None
    values = rows.select(names).row(0)
    pairs = [(n.removeprefix(PREFIX), float(v)) for n, v in zip(names, values, strict=True)]
    return sorted(pairs, key=lambda pair: -pair[1])


def _read(path: Path) -> pl.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return _whole(path, lambda: read_parquet(path).with_columns(_INDEX))
    except FileNotFoundError:  # removed just now
        return None


def damaged(path: Path, found: str) -> RunError:
    """A file of a run cannot be read."""
    return RunError(
        f"{path.parent.name}/{path.name}",
        expected="a table that regard evaluate or score wrote",
        found=found[:160],
        remedy="write it again",
    )


def _images(
    facts: Facts, manifest: Manifest | None, split: str, predictions: pl.DataFrame | None
) -> pl.DataFrame:
    if manifest is not None:
        try:
            return _told(facts, manifest.select(split))
        except DataError:
            pass
    if predictions is None:
        return pl.DataFrame(schema=_IMAGE | {"label": _named(facts), "region": pl.Boolean})
    return _told(facts, predictions)


def _told(facts: Facts, table: pl.DataFrame) -> pl.DataFrame:
    says = [name for name in ("region", "boxes") if name in table.columns]
    region = pl.any_horizontal(pl.col(says).is_not_null()) if says else pl.lit(False)
    if facts.task == "segmentation":
        region = pl.lit(True)
    return table.select(
        pl.col("index").cast(pl.Int64),
        "image",
        pl.col("image").str.split("/").list.last().alias("name"),
        _label(facts, table).alias("label"),
        region.alias("region"),
    )


def _named(facts: Facts) -> pl.DataType | type[pl.DataType]:
    """The type of a label: a name, or a list of them."""
    return _NAMES if facts.task == "multilabel" else pl.String


def _label(facts: Facts, table: pl.DataFrame) -> pl.Expr:
    name = {"multilabel": "labels", "classification": "label"}.get(facts.task)
    return (pl.col(name) if name in table.columns else pl.lit(None)).cast(_named(facts))


def _answers(facts: Facts, predictions: pl.DataFrame | None) -> pl.DataFrame:
    if predictions is None:
        return pl.DataFrame(schema={"index": pl.Int64, "predicted": _named(facts), **_ANSWERS})
    if "confusion" in predictions.columns:
        return _of_pixels(predictions)
    names = [name for name in predictions.columns if name.startswith(PREFIX)]
    surest = pl.max_horizontal(names) if names else pl.lit(None, dtype=pl.Float64)
    return predictions.select(
        "index",
        pl.col("predicted").cast(_named(facts)),
        surest.alias("probability"),
        pl.col("correct").alias("right"),
    )


def _of_pixels(predictions: pl.DataFrame) -> pl.DataFrame:
    counts = [np.array(rows, dtype=np.int64) for rows in predictions["confusion"].to_list()]
    kinds = {"predicted": pl.String, **_ANSWERS}
    empty = [pl.lit(None, dtype=kind).alias(name) for name, kind in kinds.items()]
    # Of a mask that is void everywhere there is neither.
    told = {
        "mean_iou": [pooled_metrics(own)["mean_iou"] for own in counts],
        "accuracy": [own.trace() / own.sum() if own.any() else None for own in counts],
    }
    scores = [pl.Series(SCORE + name, v, pl.Float64).fill_nan(None) for name, v in told.items()]
    return predictions.select("index", *empty, *scores)


def _scores(facts: Facts, scores: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Each score as a table of `index` and `value`, by the name of its column."""
    found = []
    methods = scores["method"].unique(maintain_order=True).to_list()
    for method in sorted(methods, key=lambda name: name != facts.gaze.method):
        own = by_image(scores.filter(pl.col("method") == method))
        own = own.unique("index", maintain_order=True)
        for name in score_names(own):
            values = pl.Series("value", each_image(own, name)).fill_nan(None)
            if values.null_count() < len(values):
                column = SCORE + (name if method == facts.gaze.method else f"{name}@{method}")
                found.append((column, own.select("index", values)))
    return found


def scores_at(scores: pl.DataFrame, index: int) -> dict[str, dict[str, float | None]]:
    """The scores of an image by method; where rows are of classes, means over these."""
    own = by_image(scores.filter(pl.col("index") == index))
    return {str(row["method"][0]): _values(row) for row in own.iter_slices(1)}


def class_scores_at(
    scores: pl.DataFrame, index: int
) -> dict[str, dict[str, dict[str, float | None]]]:
    """The scores of an image by method and class; of labels, whose rows are of images, none."""
    own = scores.filter(pl.col("index") == index)
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in own.iter_slices(1) if by_class(scores) else ():
        found.setdefault(str(row["method"][0]), {})[str(row["label"][0])] = _values(row)
    return found


def _values(row: pl.DataFrame) -> dict[str, float | None]:
    return {name: _number(each_image(row, name)) for name in score_names(row)}


def _number(values: Sequence[float] | np.ndarray) -> float | None:
    return float(values[0]) if np.isfinite(values[0]) else None
