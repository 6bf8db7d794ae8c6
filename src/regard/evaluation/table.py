"""The predictions table: what every number about a run's predictions is computed from."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from regard.errors import DataError

PREFIX = "probability:"
_WHERE = "predictions table"
_SUM_TOLERANCE = 1e-3  # rows of a half-precision softmax sum to one only roughly
_COLUMNS = {
    "index": "integers",
    "image": "strings",
    "label": "strings",
    "predicted": "strings",
    "correct": "booleans",
}


def predictions_table(
    index: Sequence[int] | NDArray[np.integer],
    image: Sequence[str],
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
) -> pl.DataFrame:
    """Make a predictions table, one row an image.

    The predicted class is the most probable one; of equals, the first in class order.

    Args:
        index: (N,) row of each image in the manifest, unique.
        image: (N,) path as the manifest has it.
        labels: (N,) true classes, integers in [0, K).
        probabilities: (N, K) in [0, 1], rows summing to one.
        classes: (K,) names, in class order.

    Raises:
        DataError: shapes disagree, or the table would not be valid (see `validate`).

    Example:
        >>> table = predictions_table([0, 1], ["a.jpg", "b.jpg"], [0, 1],
        ...                           [[0.9, 0.1], [0.7, 0.3]], ["fern", "moss"])
        >>> table["correct"].to_list()
        [True, False]
    """
    true = np.asarray(labels, dtype=np.int64).reshape(-1)
    proba = np.asarray(probabilities, dtype=np.float64)
    names = [str(name) for name in classes]
    _check_shapes(len(index), len(image), true, proba, names)
    order = np.array(names, dtype=object)
    best = proba.argmax(axis=1)
    table = pl.DataFrame(
        {
            "index": pl.Series(np.asarray(index, dtype=np.int64)),
            "image": pl.Series(list(image), dtype=pl.String),
            "label": pl.Series(order[true].tolist(), dtype=pl.String),
            "predicted": pl.Series(order[best].tolist(), dtype=pl.String),
            "correct": pl.Series(true == best),
            **{PREFIX + name: pl.Series(proba[:, k]) for k, name in enumerate(names)},
        }
    )
    return validate(table)


def _check_shapes(
    n_index: int, n_image: int, true: NDArray, proba: NDArray, names: list[str]
) -> None:
    if len(names) == 0 or len(set(names)) != len(names):
        raise DataError(
            _WHERE,
            expected="one or more classes with unique names",
            found=repr(names),
            remedy="name every class once",
        )
    if proba.shape != (len(true), len(names)) or not n_index == n_image == len(true):
        raise DataError(
            _WHERE,
            expected=f"probabilities of shape ({len(true)}, {len(names)}) and one index and "
            "image a label",
            found=f"shape {proba.shape}, {n_index} indexes, {n_image} images",
            remedy="give one row an image and one column a class",
        )
    if len(true) and not (true.min() >= 0 and true.max() < len(names)):
        raise DataError(
            _WHERE,
            expected=f"labels in [0, {len(names)})",
            found=f"{true.min()} to {true.max()}",
            remedy="number the labels in class order",
        )


def classes(table: pl.DataFrame) -> list[str]:
    """Names of the classes, in class order.

    Raises:
        DataError: there is no column of probabilities.
    """
    names = [name.removeprefix(PREFIX) for name in table.columns if name.startswith(PREFIX)]
    if not names:
        raise DataError(
            _WHERE,
            expected=f"a column {PREFIX}CLASS for each class",
            found=", ".join(table.columns) or "no columns",
            remedy="write the predictions again with `regard evaluate`",
        )
    return names


def probabilities(table: pl.DataFrame) -> NDArray[np.float64]:
    """Probabilities of the classes, (N, K), in class order."""
    columns = [PREFIX + name for name in classes(table)]
    return np.ascontiguousarray(table.select(pl.col(columns).cast(pl.Float64)).to_numpy())


def labels(table: pl.DataFrame) -> NDArray[np.int64]:
    """True classes, (N,), as positions in class order.

    Raises:
        DataError: a label is no class.
    """
    return _positions(table, "label")


def predicted(table: pl.DataFrame) -> NDArray[np.int64]:
    """Predicted classes, (N,), as positions in class order.

    Raises:
        DataError: a prediction is no class.
    """
    return _positions(table, "predicted")


def _positions(table: pl.DataFrame, column: str) -> NDArray[np.int64]:
    names = classes(table)
    unknown = sorted({str(name) for name in table[column].unique()} - set(names))
    if unknown:
        raise DataError(
            f"{_WHERE}, column {column!r}",
            expected="names of classes: " + ", ".join(names[:10]),
            found=", ".join(unknown[:5]),
            remedy="write the predictions again with the run's own classes",
        )
    positions = table[column].replace_strict(
        names, list(range(len(names))), return_dtype=pl.Int64, default=None
    )
    return positions.to_numpy().astype(np.int64)


def validate(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table, unchanged, if it keeps the contract.

    The contract: columns `index` (int, unique), `image`, `label`, `predicted` (str),
    `correct` (bool, `label == predicted`), and `probability:CLASS` (float in [0, 1], a
    row's sum within 0.001 of one) for each class, in class order. No missing values.
    A table without rows is valid.

    Raises:
        DataError: names the column, what it should hold and what it holds.
    """
    _check_types(table)
    true, guess, proba = labels(table), predicted(table), probabilities(table)
    require(table["index"].is_unique().all(), "column 'index'", "every row once", "duplicates")
    agree = np.array_equal(table["correct"].to_numpy(), true == guess)
    require(agree, "column 'correct'", "`label == predicted`", "rows where it is not")
    inside = bool(((proba >= 0) & (proba <= 1)).all())  # False for NaN too
    require(inside, "probabilities", "numbers in [0, 1]", "others, or NaN")
    off = np.abs(proba.sum(axis=1) - 1).max(initial=0.0)
    require(off <= _SUM_TOLERANCE, "probabilities", "rows summing to one", f"{off:.3g} off")
    return table


def _check_types(table: pl.DataFrame) -> None:
    missing = [name for name in _COLUMNS if name not in table.columns]
    require(not missing, "columns", ", ".join(_COLUMNS), f"no {', '.join(missing)}")
    wanted = {**_COLUMNS, **{PREFIX + name: "floats" for name in classes(table)}}
    for name, kind in wanted.items():
        dtype = table.schema[name]
        fits = {
            "integers": dtype.is_integer(),
            "strings": dtype == pl.String,
            "booleans": dtype == pl.Boolean,
            "floats": dtype.is_float(),
        }
        require(fits[kind], f"column {name!r}", kind, str(dtype))
        nulls = table[name].null_count()
        require(nulls == 0, f"column {name!r}", "no missing values", f"{nulls} missing")


def require(fits: bool, what: str, expected: str, found: str, where: str = _WHERE) -> None:
    """Raise DataError unless a table of predictions is as expected."""
    if not fits:
        raise DataError(
            f"{where}, {what}",
            expected=expected,
            found=found,
            remedy="write the predictions again with `regard evaluate`",
        )
