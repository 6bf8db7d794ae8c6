"""How many groups the images of a split are of: patients, plants, products."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from regard.data.manifest import Manifest
from regard.evaluation.units import COLUMN
from regard.language import Phrases, numeral, phrase, plural

# What `told_groups` tells.
GROUPS = ("groups", "groups_learned")


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


def told_groups(manifest: Manifest, split: str) -> dict[str, int | None]:
    """What a file of a split's numbers tells of its groups.

    Returns:
        `groups`, see `groups_of`, and `groups_learned`: how many of them the net has learned from
        (they lie in train) or was chosen on (in val, unless that is the split). None where no group
        is told.
    """
    count = groups_of(manifest, split)
    if count is None:
        return dict.fromkeys(GROUPS)
    groups, of = named_groups(manifest), manifest.table["split"].to_list()
    own = {group for row, group in groups.items() if of[row] == split}
    known = {group for row, group in groups.items() if of[row] in {"train", "val"} - {split}}
    return {"groups": count, "groups_learned": len(own & known)}


def grouped_words(told: Mapping[str, Any], images: int, split: str) -> str:
    """What intervals are over, and whether the groups are new to the net.

    Nothing where no fewer groups than images are told, and none of them was learned from.

    Args:
        told: `groups` and `groups_learned`, see `told_groups`.
        images: of the split.
        split: its name.
    """
    groups, learned = told.get("groups"), told.get("groups_learned") or 0
    if groups is None or (groups >= images and not learned):
        return ""
    return phrase(
        _WORDS[learned > 0, groups > 1],
        images=plural(images, "{n} image", "{n} images"),
        split=split,
        groups=plural(groups, "{n} group", "{n} groups"),
        learned=numeral(f"{learned:,}"),
    )


# By whether groups of the split were learned from, and whether there are several.
_WORDS: Phrases = {
    (False, True): "The {images} of {split} are of {groups}. Intervals and tests over images take "
    "whole groups for what was drawn at random, so that they hold for images of other groups.",
    (False, False): "The {images} of {split} are of {groups}: intervals and tests are over its "
    "images, and say nothing of images of others.",
    (True, True): "The {images} of {split} are of {groups}, and {learned} of these lie in other "
    "splits, too: the net has learned from them or was chosen on them. These numbers do not hold "
    "for images of other groups.",
    (True, False): "The {images} of {split} are of {groups}, which lies in other splits, too: the "
    "net has learned from it or was chosen on it. These numbers do not hold for images of other "
    "groups.",
}
