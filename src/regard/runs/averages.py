"""Where a run's net looks as a rule: mean maps over a split and by class, as files."""

from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from regard.checks.preflight import refuse_files
from regard.data.keys import keyed_generator
from regard.data.loader import Loader
from regard.data.regions import Regions
from regard.data.sample import Sample, each_label
from regard.data.samples import Batch, Samples
from regard.data.source import mask_classes, samples_of
from regard.errors import DataError
from regard.evaluation.averaging import Averages, Group
from regard.evaluation.pixel_gaze import class_turns
from regard.evaluation.predict import model_input
from regard.evaluation.settings import Gaze
from regard.files.atomic import write_atomically
from regard.images.pictures import save_image
from regard.models.fitting import fitted
from regard.models.tensors import write_safetensors
from regard.progress import Step
from regard.runs.average_pictures import classes_picture, mean_picture
from regard.runs.background import BACKGROUND, options_of
from regard.runs.explanations import refuse_limit
from regard.runs.files import write_json, write_table
from regard.runs.grouped import drawn_groups
from regard.runs.run import Run
from regard.saliency.base import METHODS
from regard.saliency.capture import evaluating
from regard.saliency.explain import explain

NUMBERS, TABLE, MAPS = "averages.json", "averages.parquet", "maps.safetensors"


def chosen_samples(run: Run, split: str, limit: int | None = None) -> list[Sample]:
    """The samples of a split; with a limit so many of them, drawn at random, always the same.

    Raises:
        ConfigError: a limit below 1.
        DataError: an empty split, or a manifest that cannot be used.
    """
    refuse_limit(limit)
    samples = samples_of(run.manifest(), split, run.classes, run.data)
    order = torch.randperm(len(samples), generator=keyed_generator("averages")).tolist()
    return [samples[row] for row in sorted(order[:limit])]


def average_maps(
    run: Run,
    split: str,
    method: str,
    out: Path,
    *,
    limit: int | None = None,
    background: int = BACKGROUND,
    progress: Step | None = None,
) -> dict[str, Any]:
    """Write mean maps of a split, over all images and by label, with their numbers and pictures.

    Each image's map is of its label's logit, like those that `regard score` scores, so that every
    class has maps whatever is predicted. Of an image with a set of labels each of them has one. Of
    a segmenter each class that an image's mask holds has one, over the pixels where it is
    predicted, and its pixels in the mask are its region. A map is brought to the net's input size
    and divided by the sum of its absolute values, so that every image counts alike; see
    `evaluation.averaging.Group`.
    Layer and contrast are those of the run's `gaze`.

    Written to `out`: `averages.json` and `averages.parquet` (a row for all images, then one a
    class), `maps.safetensors` (`absolute` and `mean`, (1 + classes, H, W), in the order of the
    rows), `mean.png`, `classes.png`.

    Args:
        run: loaded.
        split: of the run's manifest.
        method: a name of `regard.saliency.methods()`.
        out: a folder for this method alone.
        limit: at most so many images, see `chosen_samples`.
        background: images of train that a method begins from, see `background_of`.
        progress: called with the number of images after each batch.

    Returns:
        What was written to `averages.json`.

    Raises:
        ConfigError: an unknown method, a limit or a background below 1.
        DataError: an empty split, or a sample that cannot be read: none is skipped or replaced.
    """
    options = options_of(run, method, background)
    samples = chosen_samples(run, split, limit)
    gaze = Gaze.model_validate(run.config["gaze"])
    groups = _groups(run, samples, method, gaze, options, progress)
    if not groups[0].images:
        raise DataError(
            f"{run.folder}, split {split!r}",
            expected="images that hold a class",
            found=f"none in {len(samples)} images",
            remedy="choose another split",
        )
    values = {
        "method": method,
        "signed": METHODS[method].signed,
        "split": split,
        "limit": limit,
        "checkpoint": run.checkpoint,
        "layer": gaze.layer,
        "contrast": gaze.contrast,
        "target": "label",
        "background": len(options["background"]) if options else None,
        "size": list(run.transform.size),
        "rows": [group.row() for group in groups],
    }
    maps = {
        "absolute": torch.stack([group.absolute for group in groups]),
        "mean": torch.stack([group.mean for group in groups]),
    }
    for name, drawn in (
        ("mean.png", mean_picture(groups[0], values)),
        ("classes.png", classes_picture(groups[1:], values)),
    ):
        save_image(drawn, out / name, "PNG", flush=True)
    write_atomically(out / MAPS, lambda p: write_safetensors(p, maps))
    write_table(out / TABLE, pl.DataFrame(values["rows"], infer_schema_length=None))
    write_json(out / NUMBERS, values)
    return values


# Maps, labels, images, regions and the images' index, as `Averages.add` takes them.
Told = tuple[Tensor, Tensor, Tensor, Regions | None, Tensor]


def _groups(
    run: Run,
    samples: list[Sample],
    method: str,
    gaze: Gaze,
    options: dict[str, Any],
    progress: Step | None,
) -> list[Group]:
    refuse_files(samples, run.transform.max_pixels)
    samples = each_label(samples) if run.several else samples
    groups = drawn_groups(run.manifest(), [sample.index for sample in samples])
    found = Averages(run.classes, run.transform.size, groups)
    gaze = gaze.model_copy(update={"method": method})
    of = _of_classes if run.segments else _of_labels
    classes = mask_classes(run.manifest(), run.data.void) if run.segments else None
    loader = Loader(Samples(samples, run.transform, classes=classes), 8, workers=run.data.workers)

    def ask(batch: Batch) -> list[Told]:
        return of(run, batch, gaze, options)

    try:
        with evaluating(run.net):
            for batch, told in fitted(loader.batches(), ask, run.device):
                for own in told:
                    found.add(*own)
                if progress is not None:
                    progress(len(batch))
    finally:
        loader.close()
    return found.groups()


def _of_labels(run: Run, batch: Batch, gaze: Gaze, options: dict[str, Any]) -> list[Told]:
    """The map of each image's label."""
    images, labels = model_input(batch, run.transform, run.device), batch.labels.to(run.device)
    how = {"layer": gaze.layer, "contrast": gaze.contrast, "view": run.explained_view}
    maps = explain(run.net, images, labels, gaze.method, **how, **options).detach().cpu()
    return [(maps, batch.labels, batch.images[run.data.views[0]], batch.regions, batch.index)]


def _of_classes(run: Run, batch: Batch, gaze: Gaze, options: dict[str, Any]) -> list[Told]:
    """The map of each class that an image holds, over the pixels where it is predicted."""
    assert batch.target is not None
    images = model_input(batch, run.transform, run.device)
    photos = batch.images[run.data.views[0]]
    assert isinstance(images, torch.Tensor)
    truth = batch.target.to(run.device)
    turns = class_turns(run.net, images, truth, len(run.classes), gaze, **options)
    found = []
    for turn in turns:
        rows = turn.rows.cpu()
        maps, labels = turn.maps.cpu(), turn.labels.cpu()
        found.append((maps, labels, photos[rows], turn.regions.to("cpu"), batch.index[rows]))
    return found
