"""Whether a run is right when the outside of the region is exchanged, as a table."""

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
from regard.scores.background import background_reliance

# Images that are asked about, at most: all of them are held at once.
ASKED = 1000
# What is told of a split, by the column of the table that it is the mean of.
MEASURED = ("accuracy_mean", "accuracy_blur", "accuracy_same_class", "accuracy_random_class")
GAP = "bg_gap"
PAIRED = ("accuracy_same_class", "accuracy_random_class", GAP)


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
    device = next(run.net.parameters()).device
    images = model_input(batch, run.transform, device)
    found = background_reliance(run.net, images, batch.regions.to(device), batch.labels)
    columns = {f"accuracy_{name}": values.numpy() for name, values in asdict(found).items()}
    return pl.DataFrame({"index": batch.index.numpy(), **columns, GAP: found.gap.numpy()})


def reliance_numbers(table: pl.DataFrame) -> dict[str, Any]:
    """The means of the table's columns.

    Those with the outside of another image, and their gap, are over the images that have both
    partners, so that the gap is the difference of the two; the others over all that have an
    outside.
    """
    paired = table.filter(pl.col(GAP).is_not_nan())
    over = {name: paired if name in PAIRED else table for name in (*MEASURED, GAP)}
    means = {name: rows[name].drop_nans().mean() for name, rows in over.items()}
    return {"images": len(table), **means}
