"""What the controls of a study were: regions in other places than the own, and their overlap."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from regard.data.annotation import Annotation
from regard.data.keys import keyed_generator
from regard.data.mask_classes import TARGET, VOID
from regard.data.pixel_regions import present_classes
from regard.data.regions import overlap
from regard.data.sample import Sample, each_label, says_where
from regard.data.samples import Samples
from regard.data.source import mask_classes, samples_of
from regard.data.where import Where
from regard.runs.run import Run, load_run
from regard.studies.settings import Study
from regard.training.config import Config, parse_config
from regard.training.prepare import annotation

# Images of train from which is told how much of the own regions a control's cover; of a segmenter,
# whose images have several regions each, fewer.
OVERLAPPED, SEGMENTED = 2000, 200


def controls(study: Study, done: pl.DataFrame, folder: Path) -> dict[str, Any]:
    """For arms with other regions than their own, how much of the own region those cover.

    Told from at most 2,000 images of train, the same for all arms; of a segmenter from the classes
    of at most 200.
    """
    found = {}
    for arm in study.arms:
        runs = done.filter(pl.col("arm") == arm)["run"].to_list()
        if not runs:
            continue
        run = load_run(folder / runs[0])
        config = parse_config(run.config, runs[0])
        if config.guidance.regions == "own" or not config.guidance.terms:
            continue
        if run.segments:
            found[arm] = _pixel_overlap(run, config) | {"regions": config.guidance.regions}
            continue
        samples = samples_of(run.manifest(), "train", run.classes, run.data)
        used = annotation(config, samples, run.transform)
        telling = list(filter(says_where, samples))
        order = torch.randperm(len(telling), generator=keyed_generator("overlap")).tolist()
        seen = [telling[row] for row in order[:OVERLAPPED]]
        seen = each_label(seen) if run.several else seen
        own, moved = (Where(run.transform, how, seen) for how in (replace(used, kind="own"), used))
        shares = [
            float(overlap(a, b))
            for a, b in ((_told(own, s), _told(moved, s)) for s in seen)
            if a is not None and b is not None
        ]
        found[arm] = {
            "overlap": float(np.nanmean(shares)) if shares else None,
            "images": len(shares),
            "regions": config.guidance.regions,
        }
    return found


def _pixel_overlap(run: Run, config: Config) -> dict[str, Any]:
    """Of every class of an image what its pixels, moved, cover of where they were."""
    manifest, how = run.manifest(), config.guidance
    samples = samples_of(manifest, "train", run.classes, run.data)
    data = Samples(samples, run.transform, classes=mask_classes(manifest, run.data.void))
    used = Annotation(how.regions, how.dilate, config.training.seed)
    order = torch.randperm(len(samples), generator=keyed_generator("overlap")).tolist()
    shares, seen = [], order[:SEGMENTED]
    for row in seen:
        target = data.fitted(row)[1][TARGET][None]
        for k in present_classes(target, VOID)[0].nonzero().flatten().tolist():
            own = (target[0] == k).float()
            shares.append(float(overlap(own, used.region(own, samples[row].index))))
    return {"overlap": float(np.mean(shares)) if shares else None, "images": len(seen)}


def _told(where: Where, sample: Sample) -> Tensor | None:
    """The region, or where there is none the area to avoid."""
    region = where.region(sample)
    return where.avoided(sample) if region is None else region
