"""Columns of a manifest in their types: read exactly, or refused with row and column."""

import json
from typing import Any, cast

import polars as pl

from regard.errors import DataError
from regard.files.table_files import POLARS_ERROR

STRINGS = pl.List(pl.String)
BOXES = pl.List(pl.List(pl.Float64))
SHAPES = {STRINGS: 'a JSON list like ["a", "b"]', BOXES: "a JSON list like [[10, 20, 30, 40]]"}
WORDS = {
    pl.String: "text",
    pl.Int64: "a whole number",
    pl.Boolean: "true or false",
    STRINGS: "a list of texts",
    BOXES: "a list of boxes, each of 4 numbers",
}
TRUTHS = {"true": True, "false": False, "1": True, "0": False}
Expected = pl.DataType | type[pl.DataType]


def cast_column(column: pl.Series, name: str, dtype: Expected, where: str) -> pl.Series:
    """A column in a type of a manifest; empty text is missing.

    A number that is not whole is no threshold, a 2 no truth value, and neither NaN nor a
    structure is a text: what would be changed is refused.

    Raises:
        DataError: with the first row whose value does not fit.
    """
    if column.dtype == pl.Categorical or column.dtype == pl.Enum:
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        column = column.replace({"": None})
    if column.dtype == dtype or column.dtype == pl.Null:
        return column.cast(cast(Any, dtype))
    if column.dtype == pl.String and isinstance(dtype, pl.List):
        return _from_json(column, name, dtype, where)
    try:
        read = _from_words(column) if _is_words(column, dtype) else _exact(column, dtype)
    except POLARS_ERROR as error:
        raise _unfit(column, name, dtype, where) from error
    lost = read.is_null() & column.is_not_null()
    if lost.any():
        row = int(lost.arg_true()[0])
        raise wrong(where, row, name, WORDS[cast(Any, dtype)], _written(column[row]))
    return read


def wrong(where: str, row: int, column: str, expected: str, found: str) -> DataError:
    """The mistake of one cell; rows count from 0 here."""
    return DataError(
        f"{where}, row {row + 1}, column {column!r}",
        expected=expected,
        found=found[:120],
        remedy="correct that cell",
    )


def _is_words(column: pl.Series, dtype: Expected) -> bool:
    return column.dtype == pl.String and dtype == pl.Boolean


def _from_words(column: pl.Series) -> pl.Series:
    return column.str.to_lowercase().replace_strict(TRUTHS, default=None, return_dtype=pl.Boolean)


def _exact(column: pl.Series, dtype: Expected) -> pl.Series:
    """The column in the type, with null where the value would be another one.

    Raises:
        PolarsError: it cannot be cast.
    """
    leaf = _leaf(column.dtype)
    if leaf.is_nested():
        raise pl.exceptions.InvalidOperationError("a structure is no value")
    if dtype in (pl.Int64, BOXES) and leaf == pl.Boolean:
        raise pl.exceptions.InvalidOperationError("a truth value is no number")
    if dtype == pl.Boolean and not leaf.is_numeric():
        raise pl.exceptions.InvalidOperationError("no truth value")
    # A CSV is read as text, so a label of digits stays the label it is.
    read = column.cast(cast(Any, dtype))
    if leaf.is_float() and dtype == STRINGS:
        finite = pl.element().is_finite().fill_null(True)
        return _where(read, column.list.eval(finite).list.all().fill_null(True))
    if leaf.is_float() and dtype == pl.String:
        return _where(read, column.is_finite())
    if leaf.is_numeric() and dtype in (pl.Int64, pl.Boolean):
        return _where(read, read.cast(column.dtype) == column)
    return read


def _where(read: pl.Series, kept: pl.Series) -> pl.Series:
    return pl.select(pl.when(kept).then(read).otherwise(None)).to_series()


def _leaf(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List | pl.Array):
        dtype = cast(pl.DataType, dtype.inner)
    return dtype


def _unfit(column: pl.Series, name: str, dtype: Expected, where: str) -> DataError:
    """The mistake of the first value that does not fit; of the first, if each alone does."""
    values = column.to_list()
    there = [row for row, value in enumerate(values) if value is not None]
    row = next((row for row in there if not _fits(values[row], dtype)), there[0] if there else 0)
    return wrong(where, row, name, WORDS[cast(Any, dtype)], _written(values[row]))


def _fits(value: Any, dtype: Expected) -> bool:
    try:
        _exact(pl.Series([value]), dtype)
    except (POLARS_ERROR, TypeError):
        return False
    return True


def _written(value: Any) -> str:
    return repr(value.to_list() if isinstance(value, pl.Series) else value)


def _from_json(column: pl.Series, name: str, dtype: pl.List, where: str) -> pl.Series:
    values: list[Any] = []
    for row, text in enumerate(column.to_list()):
        try:
            value = json.loads(text) if text else None
            if isinstance(value, str):  # which polars would take for a list of its letters
                raise TypeError(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise wrong(where, row, name, SHAPES[dtype], repr(text)) from error
        values.append(value)
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except _UNBUILT as error:
        row = next((row for row, value in enumerate(values) if not _builds(value, dtype)), 0)
        raise wrong(where, row, name, SHAPES[dtype], repr(column[row])) from error


_UNBUILT = (ValueError, TypeError, ArithmeticError, RecursionError, POLARS_ERROR)


def _builds(value: Any, dtype: pl.List) -> bool:
    try:
        pl.Series([value], dtype=dtype, strict=True)
    except _UNBUILT:
        return False
    return True
