"""Whether a run is right when the outside of the region is exchanged, as a table."""

import math
from dataclasses import asdict
from typing import Any

import polars as pl
import torch

from regard.data.keys import keyed_generator
from regard.data.loader import in_order
from regard.data.sample import says_where
from regard.data.samples import Samples
from regard.data.source import samples_of
from regard.evaluation.predict import model_input
from regard.runs.run import Run
from regard.scores.background import KINDS, background_reliance, paired_means

# Images that are asked about, at most: all of them are held at once.
ASKED = 1000
ACCURACY = "accuracy_"  # before the kind of background, in the names of columns
# What is told of a split, by the column of the table that it is the mean of.
MEASURED = tuple(f"{ACCURACY}{name}" for name in KINDS[1:])
GAP = "bg_gap"


def reliance_table(run: Run, split: str) -> pl.DataFrame | None:
    """One row an image with a region: whether the net is right with each background.

    Columns `index`, `accuracy_original`, those of `MEASURED` and `bg_gap`, NaN where there is no
    partner. Of more than `ASKED` images some are drawn, the same for every run.

    Returns:
        None where no image of the split has a region.
    """
    samples = samples_of(run.manifest(), split, run.classes, run.data)
    telling = [sample for sample in samples if says_where(sample)]
    if not telling:
        return None
    order = torch.randperm(len(telling), generator=keyed_generator("backgrounds"))
    data = Samples([telling[i] for i in sorted(order[:ASKED].tolist())], run.transform)
    batch = data.batch(in_order(len(data)))
    assert batch.regions is not None
    images = model_input(batch, run.transform, run.device)
    found = background_reliance(run.net, images, batch.regions.to(run.device), batch.labels)
    columns = {ACCURACY + name: values.numpy() for name, values in asdict(found).items()}
    return pl.DataFrame({"index": batch.index.numpy(), **columns, GAP: found.gap.numpy()})


def reliance_numbers(table: pl.DataFrame) -> dict[str, Any]:
    """The means of the table's columns, see `paired_means`; None where no image defines one."""
    columns = {
        name.removeprefix(ACCURACY): torch.tensor(table[name].cast(pl.Float64).to_numpy())
        for name in (*MEASURED, GAP)
    }
    means = zip((*MEASURED, GAP), paired_means(columns).values(), strict=True)
    told = {name: None if math.isnan(value) else value for name, value in means}
    return {"images": len(table), **told}
