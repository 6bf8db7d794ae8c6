"""What a screening found: by class, by group, and what could not be read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from regard.evaluation.intervals import CONFIDENCE, upper_bound
from regard.runs.files import read_table, write_csv, write_json, write_table
from regard.screening.parts import part_path
from regard.screening.wanted import Wanted

SUMMARY, GROUPS, BAD = "summary.json", "groups", "bad_files.csv"


def summarise(
    out: Path,
    parts: int,
    plan: dict[str, Any],
    positive: Wanted | None,
    maps: int,
    learned: Mapping[str, int] | None,
) -> dict[str, Any]:
    """Write `summary.json`, `bad_files.csv`, and with groups `groups.parquet` and `groups.csv`.

    Args:
        out: the screening's folder, with all of its parts.
        parts: how many there are.
        plan: of the screening.
        positive: the class that is looked for; None: none is.
        maps: that were made.
        learned: from how many of the images the run has learned, see `learned_from`.

    Returns:
        `images`, `pieces`, `unreadable`, `learned`; `predicted`, a count by class; with a positive
        class `positive`: `class`, `threshold` and whence it is (`threshold_from`), `pieces`, `rate`
        and its `upper` bound; `groups` and `maps`, their numbers.
    """
    tables = list(_counted(out, parts, positive))
    told, predicted = (pl.concat(found) for found in zip(*tables, strict=True))
    counts = predicted.group_by("predicted").agg(pl.col("pieces").sum()).drop_nulls("predicted")
    pieces = int(told["pieces"].sum())
    bad = pl.concat([_bad(out, part) for part in range(parts)]).unique(maintain_order=True)
    write_csv(out / BAD, bad)
    values: dict[str, Any] = {
        **{name: plan[name] for name in ("run", "checkpoint", "source", "images")},
        "pieces": pieces,
        "unreadable": int(told["unreadable"].sum()),
        "learned": None if learned is None else dict(learned),
        "predicted": {name: 0 for name in plan["classes"]} | dict(counts.rows()),
        "positive": None,
        "groups": 0,
        "maps": maps,
    }
    if positive is not None:
        found = int(told["positive"].sum())
        values["positive"] = {
            **positive.as_dict(),
            "pieces": found,
            "rate": found / pieces if pieces else None,
            "upper": upper_bound(found, pieces, CONFIDENCE),
            "level": CONFIDENCE,
        }
    groups = _groups(told, positive)
    if groups is not None:
        write_table(out / f"{GROUPS}.parquet", groups)
        write_csv(out / f"{GROUPS}.csv", groups)
        values["groups"] = len(groups)
    write_json(out / SUMMARY, values)
    return values


def _counted(
    out: Path, parts: int, positive: Wanted | None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """By part: by group pieces, positive and unreadable ones; and pieces by predicted class.

    A piece of which several classes are predicted counts for each.
    """
    is_positive = pl.lit(0) if positive is None else positive.counts.cast(pl.Int64)
    for part in range(parts):
        table = read_table(part_path(out, part))
        sound = pl.col("error").is_null()
        groups = table.group_by("group", maintain_order=True).agg(
            pieces=sound.sum().cast(pl.Int64),
            positive=is_positive.filter(sound).sum().cast(pl.Int64),
            unreadable=(~sound).sum().cast(pl.Int64),
        )
        predicted = table.filter(sound).select("predicted")
        if predicted.schema["predicted"] == pl.List(pl.String):
            predicted = predicted.explode("predicted")
        yield groups, predicted.group_by("predicted").agg(pieces=pl.len().cast(pl.Int64))


def _groups(told: pl.DataFrame, positive: Wanted | None) -> pl.DataFrame | None:
    known = told.drop_nulls("group")
    if known.is_empty():
        return None
    counts = pl.col("pieces", "positive", "unreadable").sum()
    table = known.group_by("group").agg(counts).sort("group")
    if positive is None:
        return table.drop("positive")
    found = table.select("positive", "pieces").rows()
    bounds = [upper_bound(k, n, CONFIDENCE) if n else None for k, n in found]
    return table.with_columns(
        rate=pl.when(pl.col("pieces") > 0).then(pl.col("positive") / pl.col("pieces")),
        upper=pl.Series(bounds, dtype=pl.Float64),
    )


def _bad(out: Path, part: int) -> pl.DataFrame:
    rows = read_table(part_path(out, part), columns=["image", "error"])
    return rows.drop_nulls("error")
