"""What the ids in masks mean, where a CSV names the masks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from regard.data.mask_classes import VOID_NAME, MaskClasses
from regard.errors import DataError
from regard.importers.masks import UNSAID, read_table

COLUMN = "mask_classes"
_REMEDY = (
    "name the classes from id 0 on, --mask-classes void,road,..., or a table of them, "
    "--mask-classes classes.csv; masks of one subject are regions: --region"
)


def classes_of_ids(
    text: str | None, table: pl.DataFrame, src: Path, *, masks: bool
) -> list[str | None] | None:
    """The class of each id from 0 on, which masks need, and nothing else; None without masks.

    Args:
        text: a column of the CSV, the names with commas between, or the path of a table with
            columns `id` and `class`, from here or from the CSV's folder on; None: the column
            `mask_classes`.
        table: the CSV.
        src: its path.
        masks: whether there are any.

    Raises:
        DataError: nothing says it, or something does without masks; rows say different things, or
            what they say is no list of two classes or more.
    """
    where = f"{src}, --mask-classes"
    if not masks:
        if text is None:
            return None
        remedy = "name them, --mask COLUMN, or a template: --mask 'masks/{stem}.png'"
        raise DataError(where, expected="masks that they are of", found="none", remedy=remedy)
    if not tells_ids(text, table):
        expected = "what the ids in masks mean"
        raise DataError(where, expected=expected, found="nothing", remedy=_REMEDY)
    text = text or COLUMN
    if text in table.columns:
        text = _only(table[text], f"{src}, column {text!r}")
    names = _names(text, src, where)
    try:
        MaskClasses.of(names)
    except DataError as error:
        expected, found = error.expected, error.found
        raise DataError(where, expected=expected, found=found, remedy=_REMEDY) from error
    return names


def tells_ids(text: str | None, table: pl.DataFrame) -> bool:
    """Whether the option or the CSV has something to say of ids in masks."""
    return text is not None or COLUMN in table.columns


def leave_out_masks(columns: dict[str, Any], say: Callable[[str], object] | None) -> None:
    """Take away a column `mask` that nobody asked for: beside labels it may be one of regions."""
    if columns.pop("mask", None) and say is not None:
        say("not read, as nothing says what ids in it mean (--mask-classes): mask; where it is the "
            "subject's, add --region mask")  # fmt: skip


def _only(cells: pl.Series, where: str) -> str:
    """What all filled cells of a column say."""
    told = [cell.strip() for cell in cells.drop_nulls().unique(maintain_order=True) if cell.strip()]
    if len(set(told)) != 1:
        raise DataError(
            where,
            expected="the same classes in every row",
            found=f"{len(told)} different lists" if told else "empty cells",
            remedy=_REMEDY,
        )
    return told[0]


def _names(text: str, src: Path, where: str) -> list[str | None]:
    if text.startswith("["):
        return _listed(text, where)
    if text.lower().endswith(".csv"):
        places = (Path(text), src.parent / text)
        return read_table(next(filter(Path.is_file, places), places[0]), None)
    return _separate(text)


def _separate(text: str) -> list[str | None]:
    """Names with commas between; nothing between two commas is an id that is not used."""
    names = (name.strip() for name in text.split(","))
    return [VOID_NAME if name.lower() in UNSAID - {""} else name or None for name in names]


def _listed(text: str, where: str) -> list[str | None]:
    """A list as a manifest in CSV has it."""
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(n is None or isinstance(n, str) for n in names):
        expected = 'a JSON list like ["void", "road"]'
        raise DataError(where, expected=expected, found=text[:120], remedy="correct the list")
    return names
