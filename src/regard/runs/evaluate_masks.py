"""Evaluate a segmenter on a split: pixels counted by image, metrics of all of them, as files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.checks.preflight import refuse_files
from regard.data.loader import Loader
from regard.data.mask_classes import MaskClasses
from regard.data.sample import Draw, Sample
from regard.data.samples import Batch, Samples
from regard.data.source import mask_classes, samples_of
from regard.evaluation.pixel_gaze import score_classes
from regard.evaluation.pixels import Counts, boundary_counts, pixel_confusion
from regard.evaluation.predict import model_input
from regard.evaluation.segmentation import evaluate_counted
from regard.evaluation.settings import Gaze
from regard.models.fitting import fitted
from regard.progress import Step
from regard.runs.background import BACKGROUND, options_of
from regard.runs.files import read_json, write_json, write_table
from regard.runs.grouped import told_groups, with_groups
from regard.runs.inference import told
from regard.runs.readings import checkpoint_of, writing
from regard.runs.run import Run
from regard.runs.scored import class_gaze_summary, class_scores_of, with_earlier
from regard.saliency.capture import evaluating
from regard.saliency.outputs import logits_of

_TABLES = pl.List(pl.List(pl.Int64))


def evaluate_masks(
    run: Run,
    split: str,
    images: Mapping[int, str],
    *,
    asked: Run,
    gaze: Sequence[Gaze] = (),
    background: int = BACKGROUND,
    keep: bool = False,
    progress: Step | None = None,
    by: str = "regard evaluate",
) -> dict[str, Any]:
    """Write `predictions/SPLIT.parquet` and `metrics/SPLIT.json` of a segmenter.

    With gaze also `scores/SPLIT.parquet`: of each class that an image holds the map of where the
    net predicts it, against the pixels where it truly is, at the input size.

    Where images are stretched to the input size, logits are enlarged to each mask's own size and
    held against the mask as it is; where they are padded or cropped, at the input size.

    Args:
        run: loaded, on its device; its gaze is that of the net alone.
        split: of the run's manifest.
        images: row in the manifest to path as it stands there.
        asked: the run as it answers, in windows for instance, see `inferring`.
        gaze: methods and scores; none leaves the scores out.
        background: images of train that a method begins from, see `background_of`.
        keep: take the metrics of pixels that are there, if they are of this checkpoint.
        progress: called with the number of images after each batch.
        by: the command that reads the split, for the note.

    Returns:
        What was written to `metrics/SPLIT.json`.

    Raises:
        DataError: an empty split, or a sample that cannot be read: none is skipped or replaced.
    """
    before = _before(run, split) if keep else None
    table = None if before else counted(asked, split, images, progress)
    values = before or {}
    if table is not None:
        values = _measured(asked, split, table)
    wanted = [how for how in gaze if how.scores]
    fresh = {how.method: scored(run, split, images, how, background, progress) for how in wanted}
    with writing(run, split, by):
        found = with_earlier(run, split, fresh)
        if found:
            values["gaze"] = {
                method: class_gaze_summary(rows, run.classes) for method, rows in found.items()
            }
            write_table(run.files.scores(split), pl.concat(found.values(), how="diagonal"))
        if table is not None:
            write_table(run.files.predictions(split), table)
        write_json(run.files.metrics(split), values)
    return values


def _before(run: Run, split: str) -> dict[str, Any] | None:
    """The metrics of pixels that are there, of this checkpoint."""
    metrics, predictions = run.files.metrics(split), run.files.predictions(split)
    known = predictions.is_file() and checkpoint_of(metrics) == run.checkpoint
    return read_json(metrics) if known else None


def _measured(run: Run, split: str, table: pl.DataFrame) -> dict[str, Any]:
    """The metrics of counted pixels."""
    return {
        "split": split,
        "checkpoint": run.checkpoint,
        "classes": list(run.classes),
        "images": len(table),
        **told_groups(run.manifest(), split),
        "inference": told(run),
        "metrics": evaluate_counted(table, run.classes),
    }


def scored(
    run: Run,
    split: str,
    images: Mapping[int, str],
    gaze: Gaze,
    background: int,
    progress: Step | None,
) -> pl.DataFrame:
    """One row an image and class: the scores of its map; arguments as of `evaluate_masks`."""
    given = options_of(run, gaze.method, background)
    loader = mask_loader(run, split)
    try:
        found = score_classes(
            run.net,
            loader.batches(),
            run.transform,
            gaze,
            classes=len(run.classes),
            progress=progress,
            **given,
        )
    finally:
        loader.close()
    return with_groups(class_scores_of(found, gaze, images, run.classes), run.manifest(), split)


def mask_loader(run: Run, split: str, limit: Sequence[Sample] | None = None) -> Loader:
    """A loader of the split's samples, or of those given, with the classes of their pixels."""
    manifest = run.manifest()
    own = samples_of(manifest, split, run.classes, run.data) if limit is None else [*limit]
    refuse_files(own, run.transform.max_pixels)
    data = Samples(own, run.transform, classes=mask_classes(manifest, run.data.void))
    return Loader(data, 8, workers=run.data.workers)


def counted(run: Run, split: str, images: Mapping[int, str], progress: Step | None) -> pl.DataFrame:
    """One row an image: its confusion K x K, and its boundary pixels by class, 4 x K."""
    loader = mask_loader(run, split)
    classes = loader.data.classes
    assert classes is not None
    by_index = {sample.index: sample for sample in loader.data.samples}
    rows: list[dict[str, Any]] = []

    def ask(batch: Batch) -> Tensor:
        return logits_of(run.net(model_input(batch, run.transform, run.device))).float()

    try:
        with evaluating(run.net), torch.no_grad():
            for batch, logits in fitted(loader.batches(), ask, run.device):
                assert batch.target is not None
                for index, own, target in zip(
                    batch.index.tolist(), logits, batch.target, strict=True
                ):
                    guess, true = _compared(run, own, target, by_index[index], classes)
                    found = _row(guess, true, len(run.classes))
                    rows.append({"index": index, "image": images[index], **found})
                if progress is not None:
                    progress(len(batch))
    finally:
        loader.close()
    kinds = {"index": pl.Int64, "image": pl.String, "confusion": _TABLES, "boundary": _TABLES}
    return with_groups(pl.DataFrame(rows, schema=kinds).sort("index"), run.manifest(), split)


def _compared(
    run: Run, logits: Tensor, target: Tensor, sample: Sample, classes: MaskClasses
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Predicted and true classes of one image."""
    if run.transform.fit == "stretch":
        target = classes.read(str(sample.mask), max_pixels=run.transform.max_pixels)
        size = (target.shape[0], target.shape[1])
        logits = torch.nn.functional.interpolate(logits[None], size, mode="bilinear")[0]
    return logits.argmax(0).cpu().numpy(), target.numpy()


def masks_of(run: Run, sample: Sample) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Predicted and true classes (H, W) of one sample, as they are counted.

    Raises:
        DataError: a file of it cannot be read.
    """
    classes = mask_classes(run.manifest(), run.data.void)
    batch = Samples([sample], run.transform, classes=classes).batch([Draw(0)])
    with evaluating(run.net), torch.no_grad():
        logits = logits_of(run.net(model_input(batch, run.transform, run.device))).float()
    assert batch.target is not None
    return _compared(run, logits[0], batch.target[0], sample, classes)


def _row(guess: NDArray[np.int64], true: NDArray[np.uint8], classes: int) -> dict[str, Any]:
    confusion: Counts = pixel_confusion(guess, true, classes)
    edges = boundary_counts(guess, true, classes)
    return {"confusion": confusion.tolist(), "boundary": [part.tolist() for part in edges]}
