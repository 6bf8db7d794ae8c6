"""The predictions table of images with sets of labels."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from regard.errors import DataError
from regard.evaluation.table import PREFIX, classes, probabilities, require

# From which probability on a class is predicted.
THRESHOLD = 0.5
_WHERE = "predictions table of sets of labels"
_NAMES = pl.List(pl.String)
_KINDS = {
    "index": pl.Int64,
    "image": pl.String,
    "labels": _NAMES,
    "predicted": _NAMES,
    "correct": pl.Boolean,
}
_require = partial(require, where=_WHERE)


def sets_table(
    index: Sequence[int] | NDArray[np.integer],
    image: Sequence[str],
    truth: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
) -> pl.DataFrame:
    """Make a predictions table of sets of labels, one row an image.

    A class is predicted where its probability is at least one half; an image is `correct` where the
    whole set is.

    Args:
        index: (N,) row of each image in the manifest, unique.
        image: (N,) path as the manifest has it.
        truth: (N, K), whether the image is of the class.
        probabilities: (N, K) in [0, 1], each by itself.
        classes: (K,) names, in class order.

    Raises:
        DataError: shapes disagree, or the table would not be valid (see `validate_sets`).

    Example:
        >>> table = sets_table([0], ["a.jpg"], [[True, False]], [[0.9, 0.6]], ["fern", "moss"])
        >>> table["predicted"].to_list(), table["correct"].to_list()
        ([['fern', 'moss']], [False])
    """
    true, proba = np.asarray(truth, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    shape = (len(index), len(classes))
    if not true.shape == proba.shape == shape or len(image) != len(index):
        raise DataError(
            _WHERE,
            expected=f"truth and probabilities of shape {shape}, and an image an index",
            found=f"shapes {true.shape} and {proba.shape}, {len(image)} images",
            remedy="give one row an image and one column a class",
        )
    guess = proba >= THRESHOLD
    table = pl.DataFrame(
        {
            "index": np.asarray(index, dtype=np.int64),
            "image": list(image),
            "labels": _names(true, classes),
            "predicted": _names(guess, classes),
            "correct": (true == guess).all(1),
            **{PREFIX + name: proba[:, k] for k, name in enumerate(classes)},
        },
        schema_overrides=_KINDS,
    )
    return validate_sets(table)


def is_sets(table: pl.DataFrame) -> bool:
    """Whether a predictions table is one of sets of labels."""
    return "labels" in table.columns


def truth_of(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Which classes each image is of, (N, K), in class order.

    Raises:
        DataError: a label is no class.
    """
    return _positions(table, "labels")


def predicted_of(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Which classes are predicted of each image, (N, K), in class order.

    Raises:
        DataError: a prediction is no class.
    """
    return _positions(table, "predicted")


def validate_sets(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table, unchanged, if it keeps the contract.

    The contract: columns `index` (int, unique), `image` (str), `labels`, `predicted` (lists of
    classes), `correct` (bool, both are the same set), and `probability:CLASS` (float in [0, 1]) for
    each class, in class order. No missing values. A table without rows is valid.

    Raises:
        DataError: names the column, what it should hold and what it holds.
    """
    for name, kind in _KINDS.items():
        found = table.schema.get(name)
        _require(found == kind, f"column {name!r}", str(kind), str(found or "no such column"))
        nulls = table[name].null_count()
        _require(nulls == 0, f"column {name!r}", "no missing values", f"{nulls} missing")
    _require(table["index"].is_unique().all(), "column 'index'", "every row once", "duplicates")
    true, guess, proba = truth_of(table), predicted_of(table), probabilities(table)
    agree = np.array_equal(table["correct"].to_numpy(), (true == guess).all(1))
    _require(agree, "column 'correct'", "whether both sets are the same", "rows where it is not so")
    inside = bool(((proba >= 0) & (proba <= 1)).all())  # False for NaN too
    _require(inside, "probabilities", "numbers in [0, 1]", "others, or NaN")
    return table


def _names(chosen: NDArray[np.bool_], names: Sequence[str]) -> list[list[str]]:
    return [[names[k] for k in np.flatnonzero(row).tolist()] for row in chosen]


def _positions(table: pl.DataFrame, column: str) -> NDArray[np.bool_]:
    names = classes(table)
    places = {name: k for k, name in enumerate(names)}
    found = np.zeros((len(table), len(names)), dtype=bool)
    for row, own in enumerate(table[column].to_list()):
        for name in own:
            _require(name in places, f"column {column!r}", "names of classes", repr(name))
            found[row, places[name]] = True
    return found
