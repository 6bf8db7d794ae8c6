"""How many groups the images of a split are of: patients, plants, products."""

from collections.abc import Iterable

import polars as pl

from regard.data.manifest import Manifest
from regard.evaluation.units import COLUMN
from regard.language import phrase, plural


def groups_of(manifest: Manifest, split: str) -> int | None:
    """The groups of a split, an image without one being its own; None where none is told."""
    groups = named_groups(manifest)
    rows = manifest.select(split)["index"].to_list()
    if not any(row in groups for row in rows):
        return None
    return len({groups.get(row, row) for row in rows})


def named_groups(manifest: Manifest) -> dict[int, str]:
    """The group of each image that is of one, by its row; an empty name is none."""
    if COLUMN not in manifest.table.columns:
        return {}
    rows = manifest.table.drop("index", strict=False).with_row_index("index")
    named = rows.select("index", pl.col(COLUMN).cast(pl.String).str.strip_chars())
    return dict(named.filter(pl.col(COLUMN) != "").rows())


def drawn_groups(manifest: Manifest, rows: Iterable[int]) -> dict[int, str]:
    """`named_groups`, or none where images with these rows are all of one.

    Nothing is known of other groups then, and what is said is over the images of this one.
    """
    groups = named_groups(manifest)
    return groups if len({groups.get(row, row) for row in rows}) > 1 else {}


def with_groups(table: pl.DataFrame, manifest: Manifest, split: str | None = None) -> pl.DataFrame:
    """A table of images (by `index`) with their `group` behind them, where it is drawn by groups.

    Args:
        table: of images of one split.
        manifest: that they are of.
        split: all of its images; None: the table's.
    """
    index = table["index"].to_list()
    every = index if split is None else manifest.select(split)["index"].to_list()
    groups = drawn_groups(manifest, every)
    table = table.drop(COLUMN, strict=False)
    if not any(row in groups for row in every):
        return table
    own = pl.Series(COLUMN, [groups.get(row) for row in index], dtype=pl.String)
    before = table.columns.index("image" if "image" in table.columns else "index")
    return table.clone().insert_column(before + 1, own)


def grouped_words(groups: int | None, images: int, split: str) -> str:
    """What intervals are over; nothing where no fewer groups than images are told."""
    if groups is None or groups >= images:
        return ""
    text = (
        "The {images} of {split} are of {groups}. Intervals and tests over images take whole "
        "groups for what was drawn at random, so that they hold for images of other groups."
        if groups > 1
        else "The {images} of {split} are of {groups}: intervals and tests are over its images, "
        "and say nothing of images of others."
    )
    return phrase(
        text,
        images=plural(images, "{n} image", "{n} images"),
        split=split,
        groups=plural(groups, "{n} group", "{n} groups"),
    )
