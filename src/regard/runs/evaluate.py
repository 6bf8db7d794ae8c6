"""Evaluate a run on a split: predictions, metrics with intervals, gaze scores, as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from regard.checks.preflight import refuse_files
from regard.data.annotation import Annotation
from regard.data.columns import has_evidence
from regard.data.hierarchy import Hierarchy
from regard.data.loader import Loader
from regard.data.sample import Sample, any_says_where, each_label
from regard.data.samples import Samples
from regard.data.settings import Data
from regard.data.source import open_manifest, samples_of, splits_of
from regard.evaluation.hierarchical import hierarchical_metrics, with_levels
from regard.evaluation.hierarchical import told as told_hierarchy
from regard.evaluation.label_sets import is_sets, sets_table
from regard.evaluation.metrics import evaluate
from regard.evaluation.multilabel import evaluate_multilabel, with_image_metrics
from regard.evaluation.predict import Predictions, predict
from regard.evaluation.settings import Evaluate, Gaze
from regard.evaluation.table import predictions_table
from regard.progress import Step
from regard.runs.background import BACKGROUND, options_of
from regard.runs.deciding import CHOSEN_ON, asked_of, decision, numbers_at
from regard.runs.evaluate_masks import evaluate_masks
from regard.runs.files import read_table, write_json, write_table
from regard.runs.folder import RunFolder, locked
from regard.runs.grouped import told_groups, with_groups
from regard.runs.readings import checkpoint_of, note_reading, writing
from regard.runs.reliance import reliance_numbers, reliance_table
from regard.runs.run import Run
from regard.runs.scored import (
    class_gaze_summary,
    gaze_summary,
    label_scores_of,
    scores_of,
    with_earlier,
)


def evaluate_run(
    run: Run,
    split: str,
    *,
    gaze: Sequence[Gaze] = (),
    decide: Evaluate | None = None,
    background: int = BACKGROUND,
    backgrounds: bool = False,
    keep: bool = False,
    asked: Run | None = None,
    progress: Step | None = None,
    by: str = "regard evaluate",
) -> dict[str, Any]:
    """Write `predictions/SPLIT.parquet`, `metrics/SPLIT.json` and with gaze `scores/SPLIT.parquet`.

    Of two classes a threshold may be asked for, which is chosen on val, also where that has to be
    predicted for it, and kept in `threshold.json`: see `decision`.

    Of a segmenter rows of scores are of an image and a class: see `evaluate_masks`; and `inferring`
    for windows, mirrored images and other sizes. Of sets of labels they are of an image and each
    label that it has.

    What was scored before of the same checkpoint stays; what is scored again is replaced.
    Every reading of a split is noted in `metrics/readings.jsonl` (split, checkpoint, time, and
    which command read it), so that a report can say how often the test set was looked at.

    Args:
        run: loaded, on its device.
        split: of the run's manifest.
        gaze: methods and scores; none leaves the scores out.
        decide: how the answers of two classes are read; None: as the run's config says.
        background: images of train that a method begins from, see `background_of`.
        backgrounds: ask also with exchanged backgrounds, and write `backgrounds/SPLIT.parquet`.
        keep: of a segmenter leave the metrics of pixels as they are, where there are some of this
            checkpoint: only the gaze is scored.
        asked: of a segmenter the run as it answers, in windows say; None: as it was trained.
        progress: called with the number of images after each batch.
        by: the command that reads the split, for the note.

    Returns:
        What was written to `metrics/SPLIT.json`.

    Raises:
        DataError: an empty split, or a sample that cannot be read: none is skipped or replaced.
        RunError: a segmenter or a run without val is asked for a threshold.
        ConfigError: a threshold for other than two classes.
    """
    reading = asked_of(run, decide)
    images = image_paths(run, split)
    if run.segments:
        how = {"gaze": gaze, "background": background, "keep": keep, "progress": progress}
        return evaluate_masks(run, split, images, asked=asked or run, by=by, **how)
    ask = _ask_sets if run.several else _ask_labels
    table, fresh = ask(run, split, images, gaze, background, progress)
    manifest = run.manifest()
    decided = decision(run, reading, split, table, lambda: _val(run, by))
    hierarchy = run.hierarchy()
    positive = decided["positive"] if decided else reading.positive
    values = {
        "split": split,
        "checkpoint": run.checkpoint,
        "classes": list(run.classes),
        "images": len(table),
        **told_groups(manifest, split),
        "metrics": metrics_of(table, hierarchy, positive),
    }
    if decided is not None:
        values["metrics"] |= numbers_at(table, decided)
        values["threshold"] = decided
    table = table if hierarchy is None else with_levels(table, hierarchy)
    reliance = reliance_table(run, split) if backgrounds else None
    known = {name: with_groups(t, manifest, split) for name, t in fresh.items() if t is not None}
    with writing(run, split, by):
        scored = with_earlier(run, split, known)
        if scored:
            values["gaze"] = {method: _summary(run, rows) for method, rows in scored.items()}
            write_table(run.files.scores(split), pl.concat(scored.values(), how="diagonal"))
        if reliance is not None:
            values["backgrounds"] = reliance_numbers(reliance)
            write_table(run.files.backgrounds(split), with_groups(reliance, manifest, split))
        write_table(run.files.predictions(split), table)
        write_json(run.files.metrics(split), values)
    return values


def _val(run: Run, by: str) -> pl.DataFrame:
    """The predictions of val, with the groups: those written of this checkpoint, else made now."""
    metrics, predictions = run.files.metrics(CHOSEN_ON), run.files.predictions(CHOSEN_ON)
    with locked(metrics.parent):
        if predictions.is_file() and checkpoint_of(metrics) == run.checkpoint:
            return with_groups(read_table(predictions), run.manifest(), CHOSEN_ON)
    found = predict_split(run, CHOSEN_ON, None, None)
    note_reading(run, CHOSEN_ON, by)
    return predictions_of(run, found, CHOSEN_ON, image_paths(run, CHOSEN_ON))


Scores = dict[str, pl.DataFrame | None]


def _ask_labels(
    run: Run,
    split: str,
    images: Mapping[int, str],
    gaze: Sequence[Gaze],
    background: int,
    progress: Step | None,
) -> tuple[pl.DataFrame, Scores]:
    """The predictions, and by method the scores, from one pass a method."""
    passes = [predict_split(run, split, how, progress, background) for how in (gaze or [None])]
    table = predictions_of(run, passes[0], split, images)
    pairs = zip(passes, gaze, strict=False)
    return table, {how.method: scores_of(found, how, table) for found, how in pairs}


def _ask_sets(
    run: Run,
    split: str,
    images: Mapping[int, str],
    gaze: Sequence[Gaze],
    background: int,
    progress: Step | None,
) -> tuple[pl.DataFrame, Scores]:
    """As `_ask_labels`, of sets of labels: a pass over the images, and one a method over labels."""
    found = predict_split(run, split, None, progress)
    fresh = {how.method: scored_labels(run, split, images, how, background) for how in gaze}
    return predictions_of(run, found, split, images), fresh


def scored_labels(
    run: Run, split: str, images: Mapping[int, str], gaze: Gaze, background: int = BACKGROUND
) -> pl.DataFrame | None:
    """The scores of the map of each label of each image, see `label_scores_of`.

    None where no image of the split has a label, or nothing is scored.
    """
    samples = each_label(samples_of(run.manifest(), split, run.classes, run.data))
    if not samples or not gaze.scores:
        return None
    found = predict_samples(run, samples, gaze, None, background)
    return label_scores_of(found, gaze, images, run.classes)


def metrics_of(
    table: pl.DataFrame, hierarchy: Hierarchy | None, positive: str | None = None
) -> dict[str, Any]:
    """The metrics of a predictions table of labels or of sets of them.

    Args:
        table: a valid one.
        hierarchy: of its classes, for metrics by level.
        positive: of two classes, see `evaluate`.
    """
    found = evaluate_multilabel(table) if is_sets(table) else evaluate(table, positive=positive)
    if hierarchy is None:
        return found
    own = {
        name: interval.as_dict()
        for name, interval in hierarchical_metrics(table, hierarchy).items()
    }
    return found | own | {"hierarchy": told_hierarchy(hierarchy)}


def _summary(run: Run, scores: pl.DataFrame) -> dict[str, Any]:
    return class_gaze_summary(scores, run.classes) if run.several else gaze_summary(scores)


def has_regions(run: Run, split: str) -> bool:
    """Whether any sample of a split says where to look; the masks of a segmenter do."""
    if run.segments:
        return True
    return any_says_where(samples_of(run.manifest(), split, run.classes, run.data))


def regions_by_split(folder: Path) -> dict[str, bool]:
    """The splits of a run's manifest, and whether any of a split's samples says where to look."""
    data = Data.model_validate(RunFolder(folder).read_config()["data"])
    table = open_manifest(data, folder).table
    if data.task == "segmentation":
        return dict.fromkeys(splits_of(table), True)
    return {name: has_evidence(table.filter(split=name)) for name in splits_of(table)}


def image_paths(run: Run, split: str) -> dict[int, str]:
    """Row in the manifest to path as it stands there."""
    rows = run.manifest().select(split)
    return dict(zip(rows["index"].to_list(), rows["image"].to_list(), strict=True))


def predict_split(
    run: Run,
    split: str,
    gaze: Gaze | None,
    progress: Step | None,
    background: int = BACKGROUND,
) -> Predictions:
    """One pass of the run's net over a split."""
    samples = samples_of(run.manifest(), split, run.classes, run.data)
    return predict_samples(run, samples, gaze, progress, background)


def predict_samples(
    run: Run,
    samples: Sequence[Sample],
    gaze: Gaze | None,
    progress: Step | None,
    background: int = BACKGROUND,
) -> Predictions:
    """One pass of the run's net over samples."""
    given = {} if gaze is None else options_of(run, gaze.method, background)
    refuse_files(samples, run.transform.max_pixels)
    how = Annotation("none" if gaze is None else "own")
    loader = Loader(Samples(samples, run.transform, annotation=how), 32, workers=run.data.workers)
    try:
        return predict(
            run.net,
            loader.batches(),
            run.transform,
            gaze=gaze,
            device=run.device,
            progress=progress,
            **given,
        )
    finally:
        loader.close()


def predictions_of(
    run: Run, found: Predictions, split: str, images: Mapping[int, str]
) -> pl.DataFrame:
    """The predictions table of a split, with the group of each image where groups were drawn."""
    names = [images[i] for i in found.index.tolist()]
    if found.truth is not None:
        table = sets_table(found.index, names, found.truth, found.probabilities, run.classes)
        table = with_image_metrics(table)
    else:
        table = predictions_table(
            found.index, names, found.labels, found.probabilities, list(run.classes)
        )
    return with_groups(table, run.manifest(), split)
