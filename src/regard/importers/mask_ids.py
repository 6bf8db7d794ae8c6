"""What the ids in masks mean, where a CSV names the masks."""

import json
from pathlib import Path

import polars as pl

from regard.data.mask_classes import VOID_NAME, MaskClasses
from regard.errors import DataError
from regard.importers.masks import UNSAID, read_table

COLUMN = "mask_classes"
_REMEDY = (
    "name the classes from id 0 on, --mask-classes void,road,..., or a table of them, "
    "--mask-classes classes.csv; masks of one subject are regions: --region"
)


def classes_of_ids(text: str | None, table: pl.DataFrame, src: Path) -> list[str | None]:
    """The class of each id from 0 on.

    Args:
        text: a column of the CSV, the names with commas between, or the path of a table with
            columns `id` and `class`, from here or from the CSV's folder on; None: the column
            `mask_classes`.
        table: the CSV.
        src: its path.

    Raises:
        DataError: nothing says it, or rows say different things, or what they say is no list of two
            classes or more.
    """
    where = f"{src}, --mask-classes"
    if not tells_ids(text, table):
        raise DataError(
            where, expected="what the ids in masks mean", found="nothing", remedy=_REMEDY
        )
    text = text or COLUMN
    if text in table.columns:
        text = _only(table[text], f"{src}, column {text!r}")
    names = _listed(text, where) if text.startswith("[") else None
    if names is None and text.lower().endswith(".csv"):
        names = read_table(next(filter(Path.is_file, (Path(text), src.parent / text)), Path(text)),
                           None)  # fmt: skip
    names = _separate(text) if names is None else names
    try:
        MaskClasses.of(names)
    except DataError as error:
        raise DataError(
            where, expected=error.expected, found=error.found, remedy=_REMEDY
        ) from error
    return names


def tells_ids(text: str | None, table: pl.DataFrame) -> bool:
    """Whether the option or the CSV has something to say of ids in masks."""
    return text is not None or COLUMN in table.columns


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
