"""Compare runs on the same samples: what each one says of them, afresh, and the files of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from regard.data.settings import Task
from regard.errors import RunError
from regard.evaluation.comparison import SCORES, Answers, compare_models, pair_images
from regard.evaluation.intervals import CONFIDENCE
from regard.evaluation.settings import Gaze
from regard.files.relative import seen_from
from regard.progress import Step
from regard.runs.background import BACKGROUND
from regard.runs.benched import read_bench
from regard.runs.comparable import Named
from regard.runs.compare_masks import Segmented, compare_segmenters, pair_masks
from regard.runs.compare_sets import compare_sets, pair_sets
from regard.runs.deciding import asked_of
from regard.runs.evaluate import (
    has_regions,
    image_paths,
    predict_split,
    predictions_of,
    scored_labels,
)
from regard.runs.evaluate_masks import counted, scored
from regard.runs.files import read_json, write_json, write_table
from regard.runs.grouped import told_groups, with_groups
from regard.runs.readings import note_reading
from regard.runs.run import Run
from regard.runs.scored import scores_of
from regard.saliency.base import METHODS

KIND = "compare"
PAIRS, SUMMARY, REPORT = "pairs.parquet", "summary.json", "report.html"
_LONGEST_NAME = 120


def default_folder(names: Sequence[str]) -> Path:
    """`compare/NAME-vs-NAME`, under the current folder."""
    return Path("compare") / "-vs-".join(names)[:_LONGEST_NAME]


def refuse_folder(out: Path) -> None:
    """Refuse to write where something else than a comparison lies.

    Raises:
        RunError: a file, or a folder that holds files of another kind.
    """
    if out.is_dir():
        names = {path.name for path in out.iterdir()}
        found = {name for name in names if not (name.startswith(".") and name.endswith(".partial"))}
        # A comparison that was stopped has its pairs, which are written first, and no summary.
        stopped = PAIRS in found and found <= {PAIRS, SUMMARY, REPORT}
        if not found or stopped or _is_comparison(out / SUMMARY):
            return
    elif not out.exists():
        return
    raise RunError(
        str(out),
        expected="a new folder, or one that regard compare wrote",
        found="a folder with other files" if out.is_dir() else "a file",
        remedy="choose another --out",
    )


def passes(runs: Sequence[Named]) -> int:
    """How many checkpoints there are to ask: one that is named twice is asked once."""
    return len({named.key for named in runs})


def compare_runs(
    runs: Sequence[Named],
    split: str,
    out: Path,
    *,
    method: str | None = None,
    progress: Step | None = None,
) -> dict[str, Any]:
    """Hold every other run against the first, and write `pairs.parquet` and `summary.json`.

    Each net is asked afresh, and nothing is written into the runs but that the split was read.
    Maps are of the label, by the first run's method and contrast, at each run's own layer.

    Args:
        runs: of `open_runs`, two or more; the first is `before`, each other one `after`.
        split: of their manifest.
        out: folder to write into, see `refuse_folder`.
        method: of the maps; None: the first run's own.
        progress: called with the number of images after each batch.

    Returns:
        What was written to `summary.json`.

    Raises:
        ConfigError: an unknown method.
        DataError: an empty split, or a sample that cannot be read: none is skipped or replaced.
    """
    refuse_folder(out)
    gaze, first = gaze_of(runs[0].run, runs[0].run, method), runs[0]
    pairs, others = _COMPARED[first.run.task](runs, split, method, progress)
    told = [_told(named, out) | own for named, own in zip(runs[1:], others, strict=True)]
    values = {
        "kind": KIND,
        "task": first.run.task,
        "split": split,
        **told_groups(first.run.manifest(), split),
        "classes": list(first.run.classes),
        "level": CONFIDENCE,
        "method": gaze.method,
        "contrast": gaze.contrast,
        "first": _told(first, out),
        "others": told,
    }
    write_table(out / PAIRS, pairs)
    write_json(out / SUMMARY, values)
    return values


Compared = tuple[pl.DataFrame, list[dict[str, Any]]]


def _classified(
    pair: Callable[[Answers, Answers], pl.DataFrame],
    compare: Callable[[Answers, Answers], dict[str, Any]],
    runs: Sequence[Named],
    split: str,
    method: str | None,
    progress: Step | None,
) -> Compared:
    """The pairs of images, and of every other run its differences from the first.

    Args:
        pair: makes the pairs of the answers of two runs.
        compare: makes their differences.
        runs: and the rest as of `compare_runs`.
        split: of their manifest.
        method: of the maps; with sets of labels each label of an image has its map.
        progress: called with the number of images after each batch.
    """
    sides = _asked(runs, split, method, progress)
    tables = [pair(*both) for both in sides]
    return _named(tables, runs[1:]), [compare(*both) for both in sides]


def _asked(
    runs: Sequence[Named], split: str, method: str | None, progress: Step | None
) -> list[tuple[Answers, Answers]]:
    """Of every other run the answers of the first and its own; each checkpoint is asked once."""
    told = has_regions(runs[0].run, split)
    answers: dict[tuple[Path, str], Answers] = {}
    for named in runs:
        if named.key not in answers:
            how = gaze_of(named.run, runs[0].run, method) if told else None
            names = image_paths(runs[0].run, split)  # as its manifest has them, for all
            answers[named.key] = _answers(named.run, split, names, how, progress)
    return [(answers[runs[0].key], answers[other.key]) for other in runs[1:]]


def _segmented(
    runs: Sequence[Named], split: str, method: str | None, progress: Step | None
) -> Compared:
    """As `_classified`, of segmenters; the net is asked once for pixels, once for maps."""
    answers: dict[tuple[Path, str], Segmented] = {}
    for named in runs:
        if named.key not in answers:
            gaze, images = gaze_of(named.run, runs[0].run, method), image_paths(runs[0].run, split)
            scores = scored(named.run, split, images, gaze, BACKGROUND, None)
            predictions = counted(named.run, split, images, progress)
            answers[named.key] = Segmented(predictions, scores)
            note_reading(named.run, split, "regard compare")
    sides = [(answers[runs[0].key], answers[other.key]) for other in runs[1:]]
    tables = [pair_masks(*both) for both in sides]
    classes = runs[0].run.classes
    return _named(tables, runs[1:]), [compare_segmenters(*both, classes) for both in sides]


_COMPARED: dict[Task, Callable[..., Compared]] = {
    "classification": partial(_classified, pair_images, compare_models),
    "multilabel": partial(_classified, pair_sets, compare_sets),
    "segmentation": _segmented,
}


def _named(tables: Sequence[pl.DataFrame], runs: Sequence[Named]) -> pl.DataFrame:
    rows = zip(tables, runs, strict=True)
    return pl.concat([t.select(pl.lit(named.name).alias("run"), pl.all()) for t, named in rows])


def gaze_of(run: Run, first: Run, method: str | None) -> Gaze:
    """How a run's maps are made in a comparison: as the first run's, at the run's own layer.

    Raises:
        ConfigError: an unknown method.
    """
    own, shared = (Gaze.model_validate(each.config["gaze"]) for each in (run, first))
    name = method or shared.method
    METHODS[name]  # an unknown one is refused with the near names
    # A copy is not validated: methods that begin from a background are no gaze of a training.
    return own.model_copy(update={"method": name, "contrast": shared.contrast, "scores": SCORES})


def _answers(
    run: Run,
    split: str,
    images: Mapping[int, str],
    gaze: Gaze | None,
    progress: Step | None,
) -> Answers:
    found = predict_split(run, split, None if run.several else gaze, progress)
    note_reading(run, split, "regard compare")
    table = predictions_of(run, found, split, images)
    positive = asked_of(run, None).positive
    if gaze is None:
        return Answers(table, None, positive)
    scores = (
        scored_labels(run, split, images, gaze) if run.several else scores_of(found, gaze, table)
    )
    scores = None if scores is None else with_groups(scores, run.manifest(), split)
    return Answers(table, scores, positive)


def _told(named: Named, out: Path) -> dict[str, Any]:
    """A run's name, checkpoint, folder as seen from the comparison's, contrast and cost."""
    folder = seen_from(out, named.run.folder.resolve())
    own = Gaze.model_validate(named.run.config["gaze"])
    return {
        "name": named.name,
        "folder": folder,
        "checkpoint": named.run.checkpoint,
        "own_contrast": own.contrast,
        "bench": read_bench(named.run.files),
    }


def _is_comparison(summary: Path) -> bool:
    try:
        return read_json(summary)["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        return False
