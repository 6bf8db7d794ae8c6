"""Samples that were made or borrowed, not photographed: they are used in training alone."""

from collections import Counter

import polars as pl

from regard.data.manifest import Manifest
from regard.errors import DataError
from regard.language import plural


def are_synthetic(table: pl.DataFrame) -> pl.Series:
    """Which samples are synthetic, bool (N,); none in a set that is synthetic throughout.

    Such a set is used like any other: there is nothing else to be tested on.
    """
    if "synthetic" not in table.columns:
        return pl.Series("synthetic", [False] * table.height)
    flags = table["synthetic"].fill_null(False)
    return flags & (not flags.all())


def in_train_alone(manifest: Manifest) -> Manifest:
    """The manifest without the synthetic samples whose group is in another split than train.

    They would show a net in training what it is tested on. They get no split, and are in no part.

    Raises:
        DataError: a synthetic sample stands in another split than train.
    """
    table = manifest.table
    flags = are_synthetic(table)
    if not flags.any():
        return manifest
    wrong = flags & table["split"].is_not_null() & (table["split"] != "train")
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise DataError(
            f"{manifest.path or 'manifest'}, row {row + 1}, column 'split'",
            expected="train for a synthetic sample, which no result may rest on",
            found=repr(table["split"][row]) + _more(int(wrong.sum())),
            remedy="correct that cell, or set data.split for a new split",
        )
    leaks = flags & _elsewhere(table)
    kept = pl.when(~leaks).then(table["split"]).alias("split")
    return manifest.with_table(table.with_columns(kept)) if leaks.any() else manifest


def by_split(table: pl.DataFrame) -> dict[str, int]:
    """The number of synthetic samples in each split that has any; `left out` for those in none."""
    flags = are_synthetic(table)
    nowhere = pl.Series([None] * table.height, dtype=pl.String)
    names = table["split"] if "split" in table.columns else nowhere
    return dict(Counter(names.filter(flags).fill_null("left out").to_list()))


def withheld(table: pl.DataFrame) -> int:
    """How many synthetic samples are in no split because their group is in another than train."""
    return int((are_synthetic(table) & _elsewhere(table) & table["split"].is_null()).sum())


def withheld_words(count: int) -> str:
    """`3 more are left out, as their group is in another split`."""
    return plural(
        count,
        "{n} more is left out, as its group is in another split",
        "{n} more are left out, as their group is in another split",
    )


def _elsewhere(table: pl.DataFrame) -> pl.Series:
    """Whether photographs of a sample's group are in another split than train, bool (N,)."""
    if "group" not in table.columns:
        return pl.Series([False] * table.height)
    photographed = table.filter(~are_synthetic(table))
    away = photographed.filter(pl.col("split").is_not_null() & (pl.col("split") != "train"))
    return table["group"].is_in(away["group"].drop_nulls().unique().to_list()).fill_null(False)


def _more(count: int) -> str:
    return "" if count == 1 else f", and {count - 1} more"
