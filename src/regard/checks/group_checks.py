"""Checks of the groups in a table: whether they lie in one split each, and are enough."""

from collections.abc import Iterator

import polars as pl

from regard.checks.alike import alike, told_apart
from regard.checks.problems import Problem
from regard.data.source import splits_of

# With five groups no test over them falls below 5 %: 2^(1 - 5) = 0.06.
_FEW_GROUPS = 6
_CHOSEN = "the best epoch and the threshold are chosen on them, and may fit no others"


def group_problems(table: pl.DataFrame) -> list[Problem]:
    """What is wrong with the groups of a table with row numbers, with or without splits."""
    found = [*_alike(table)]
    if "split" in table.columns:
        found += [*_spread_groups(table), *_few_groups(table)]
    return found


def _alike(table: pl.DataFrame) -> Iterator[Problem]:
    """One patient under two spellings is two groups, which may be trained and tested on."""
    counts = table.drop_nulls("group").group_by("group")
    counts = counts.agg(pl.len(), pl.col("row").min(), *_splits_in(table)).sort("row")
    known = {cells["group"]: cells for cells in counts.iter_rows(named=True)}
    for names in alike(known):
        own = [known[name] for name in names]
        told = ", ".join(f"{text} ({known[name]['len']})" for name, text in told_apart(names))
        detail = f"groups by themselves: {told}{_places(own)}; write them alike if they are one, "
        detail += "and split anew"
        yield Problem(own[1]["row"], "group", None, "groups alike", detail, "warning")


def _splits_in(table: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col("split").drop_nulls().unique()] if "split" in table.columns else []


def _places(groups: list[dict]) -> str:
    """`, in train and test`, where they lie in several splits."""
    names = {name for group in groups for name in group.get("split", ())}
    ordered = sorted(names, key=lambda name: (name != "train", name))
    return f", in {' and '.join(ordered)}" if len(ordered) > 1 else ""


def _spread_groups(table: pl.DataFrame) -> Iterator[Problem]:
    """A net may know a group that it was trained or chosen on, whatever else it has learned."""
    rows = table.filter(pl.col("group").is_not_null() & pl.col("split").is_not_null())
    found = rows.group_by("group", maintain_order=True).agg(pl.col("split").unique(), pl.len())
    for group, splits, count in found.iter_rows():
        if len(splits) > 1 and {"train", "val"} & set(splits):
            names = " and ".join(sorted(splits, key=lambda name: (name != "train", name)))
            detail = f"the {count} samples of group {group!r} lie in {names}"
            yield Problem(None, "group", None, "group in several splits", detail)


def _few_groups(table: pl.DataFrame) -> Iterator[Problem]:
    """Intervals and tests over images take whole groups, and of five no test can fall below 5 %.

    What is chosen on few of them in val, such as a threshold, may fit no others.
    """
    for name in splits_of(table):
        groups = table.filter(split=name)["group"]
        named = groups.drop_nulls().value_counts()["count"]
        sizes = [*named.to_list(), *[1] * groups.null_count()]
        worth = sum(sizes) ** 2 / sum(size**2 for size in sizes)
        if name == "train" or len(sizes) == len(groups) or worth >= _FEW_GROUPS:
            continue
        large = f", worth {worth:.1f} of one size" if worth < len(sizes) - 0.5 else ""
        detail = (
            f"the {len(groups)} samples are of {len(sizes)} group{'s'[: len(sizes) != 1]}{large}: "
            + (_CHOSEN if name == "val" else "what is found tells little of others")
        )
        yield Problem(None, "group", None, f"few groups in {name}", detail, "warning")
