"""How many groups the images of a split are of: patients, plants, products."""

import polars as pl

from regard.data.manifest import Manifest
from regard.language import phrase, plural


def groups_of(manifest: Manifest, split: str) -> int | None:
    """The groups of a split, an image without one being its own; None where none is told.

    Intervals over images take them for independent. Those of one group are alike, so that they are
    too narrow for images of other groups wherever there are fewer groups than images.
    """
    rows = manifest.select(split)
    if "group" not in rows.columns or rows["group"].null_count() == len(rows):
        return None
    group = rows.select(pl.col("group").drop_nulls().n_unique() + pl.col("group").null_count())
    return int(group.item())


def grouped_words(groups: int | None, images: int, split: str) -> str:
    """What intervals over images do not say; nothing where no fewer groups than images are told."""
    if groups is None or groups >= images:
        return ""
    return phrase(
        "The {images} of {split} are of {groups}: intervals over images take them for independent "
        "of each other, and are too narrow for images of other groups.",
        images=plural(images, "{n} image", "{n} images"),
        split=split,
        groups=plural(groups, "{n} group", "{n} groups"),
    )
