"""Which of the screened images a run has learned from."""

import os

import polars as pl

from regard.errors import RegardError
from regard.runs.run import Run
from regard.screening.sources import Files, Source

# Of a manifest, in which a run learns from the first and is chosen by the second.
SPLITS = ("train", "val")


def learned_from(run: Run, source: Source) -> dict[str, int] | None:
    """How many of the images are those of each of `SPLITS`, or what these were cut out of.

    Known are files by their places: those of the run's manifest, and its groups where crops are
    grouped by the image that they are of (`regard data import crops`).

    Args:
        run: that is asked.
        source: of the images.

    Returns:
        None where it cannot be told: of a tar, or where the manifest is not there any more.
    """
    if not isinstance(source, Files):
        return None
    try:
        manifest = run.manifest()
    except RegardError:
        return None
    root = os.path.realpath(source.root)
    asked = [os.path.normpath(os.path.join(root, name)) for name in source.names]
    names = [name for name in (run.data.views[0], "group") if name in manifest.table.columns]
    found = {}
    for split in SPLITS:
        rows = manifest.table.filter(pl.col("split") == split).select(pl.col(names).cast(pl.String))
        told = {name for column in rows for name in column.drop_nulls().unique().to_list()}
        known = {os.path.realpath(manifest.resolve(name)) for name in told}
        found[split] = sum(path in known for path in asked)
    return found
