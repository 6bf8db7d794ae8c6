"""Rows of one image become one sample."""

from collections.abc import Iterable, Sequence
from typing import Any

from regard.data.manifest import natural
from regard.errors import DataError

Row = dict[str, Any]


def gather(rows: Iterable[Row], where: str, *, sets: bool = False) -> list[Row]:
    """One row an image, in the order of their first rows.

    `box` and `box_label` of the rows are collected in `boxes` and `box_labels`; differing
    labels in `labels`, which every sample then has. Everything else must agree.

    Args:
        rows: the rows; `label` is a text, or with `sets` a list of them.
        where: for the error line.
        sets: every sample has a set of labels, which may be empty.

    Raises:
        DataError: rows of one image differ in something else, say their split.
    """
    by_image: dict[Any, list[Row]] = {}
    for row in rows:
        by_image.setdefault(row["image"], []).append(row)
    return with_labels([_sample(own, where) for own in by_image.values()], sets=sets)


def with_labels(samples: list[Row], *, sets: bool = False) -> list[Row]:
    """`label` for samples of one class; `labels` for all of them when some have several.

    With `sets` always `labels` and nothing else.
    """
    several = any(len(sample["labels"]) > 1 for sample in samples)
    for sample in [] if sets else samples:
        labels = sample.pop("labels")
        if len(labels) == 1:
            sample["label"] = labels[0]
        if several:
            sample["labels"] = labels
    return samples


def _sample(rows: Sequence[Row], where: str) -> Row:
    gathered = ("label", "box", "box_label")
    sample = {key: value for key, value in rows[0].items() if key not in gathered}
    for key, value in sample.items():
        other = next((row[key] for row in rows if row[key] != value), value)
        if other != value:
            raise DataError(
                f"{where}, image {rows[0]['image']}",
                expected=f"the same {key} in all of its rows",
                found=f"{value!r} and {other!r}",
                remedy="correct the rows",
            )
    told = [row["label"] for row in rows if row.get("label") is not None]
    labels = {name for own in told for name in ([own] if isinstance(own, str) else own)}
    sample["labels"] = sorted(labels, key=natural)
    boxed = [row for row in rows if row.get("box") is not None]
    if boxed:
        sample["boxes"] = [row["box"] for row in boxed]
        if any(row["box_label"] is not None for row in boxed):
            sample["box_labels"] = [row["box_label"] for row in boxed]
    return sample
