"""From the `data` section of a config to the samples of each split."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from regard.data.manifest import Manifest, read_manifest
from regard.data.mask_classes import MaskClasses
from regard.data.sample import REGION_VIEW, Sample
from regard.data.settings import Data, Task
from regard.data.splits import carve_val, folds, split
from regard.data.synthetic_samples import in_train_alone
from regard.errors import DataError, near

# The label of a sample that has a mask or a set of labels in its place, or no label.
_NONE = -1
Indices = Mapping[str, int]


def open_manifest(config: Data, folder: Path = Path()) -> Manifest:
    """The manifest of a config, with its splits as the config wants them.

    Raises:
        DataError: no manifest, too few samples for a split, or synthetic ones outside of train.
        ConfigError: a split that cannot be.
    """
    manifest = read_manifest(folder / config.manifest)
    how: dict[str, Any] = {
        "seed": config.split_seed,
        "sets": task_of(manifest, config) == "multilabel",
    }
    if config.folds is not None:
        val = config.val_from_train
        return in_train_alone(folds(manifest, config.folds, config.fold, val=val, **how))
    if config.split is not None or "split" not in manifest.table.columns:
        manifest = split(manifest, config.split or "70/15/15", **how)
    manifest = in_train_alone(manifest)
    if config.val_from_train is not None:
        manifest = carve_val(_val_as_test(manifest), config.val_from_train, **how)
    return manifest


def _val_as_test(manifest: Manifest) -> Manifest:
    """The val of a set that comes with train and val alone is what will be reported: its test."""
    if set(splits_of(manifest.table)) != {"train", "val"}:
        return manifest
    return manifest.with_table(
        manifest.table.with_columns(pl.col("split").replace({"val": "test"}))
    )


def task_of(manifest: Manifest, data: Data) -> Task:
    """What is learned from a manifest: what the settings say, else what its columns allow."""
    if data.task is not None:
        return data.task
    if manifest.several:
        return "multilabel"
    masks = "mask" in manifest.table.columns and not manifest.classes
    return "segmentation" if masks else "classification"


def mask_classes(manifest: Manifest, void: Literal["ignore", "class"] = "ignore") -> MaskClasses:
    """The classes of a manifest's masks.

    Raises:
        DataError: no masks, no classes for their ids, or rows that differ in them.
    """
    table, where = manifest.table, str(manifest.path or "manifest")
    lacking = [name for name in ("mask", "mask_classes") if name not in table.columns]
    if lacking:
        raise DataError(
            where,
            expected="columns 'mask' and 'mask_classes'",
            found="no " + " and no ".join(map(repr, lacking)),
            remedy="import with: regard data import {camvid,cityscapes,coco} SRC --out M.parquet, "
            "or csv with --mask and --mask-classes",
        )
    told = table["mask_classes"].unique(maintain_order=True).to_list()
    if len(told) != 1 or told[0] is None:
        raise DataError(
            f"{where}, column 'mask_classes'",
            expected="the same classes in every row",
            found="empty cells" if None in told else f"{len(told)} different lists",
            remedy="write the classes of all ids into every row",
        )
    return MaskClasses.of(told[0], void)


def class_names(manifest: Manifest, data: Data | None = None) -> tuple[str, ...]:
    """The classes of the train split in natural order, or those of the masks by their ids.

    Raises:
        DataError: no labels, or fewer than two classes; for segmentation see `mask_classes`.
    """
    task = "classification" if data is None else task_of(manifest, data)
    if data is not None and task == "segmentation":
        return mask_classes(manifest, data.void).names
    train = manifest.with_table(manifest.select("train").drop("index"))
    column, names = ("labels", train.set_classes) if task == "multilabel" else (
        "label", train.classes
    )  # fmt: skip
    if len(names) < 2:
        raise DataError(
            str(manifest.path or "manifest"),
            expected=f"a column {column!r} with two classes or more in train",
            found=", ".join(names) or "no labels",
            remedy="add labels (regard data describe shows what is there)",
        )
    return names


def samples_of(manifest: Manifest, name: str, classes: Sequence[str], data: Data) -> list[Sample]:
    """The samples of one split.

    Args:
        manifest: with splits.
        name: of the split.
        classes: in the order of the logits.
        data: its views, and whether labels, sets of them or masks are learned.

    Raises:
        DataError: an empty split, a view or a mask that is missing, a sample without a label, or a
            label that train never shows.
    """
    return _samples(manifest, manifest.select(name), name, classes, data)


def sample_at(manifest: Manifest, index: int, classes: Sequence[str], data: Data) -> Sample:
    """The sample of one row of the manifest, as `samples_of` makes it.

    Args:
        manifest: with splits.
        index: of the row.
        classes: in the order of the logits.
        data: its views, and what is learned.

    Raises:
        DataError: see `samples_of`.
    """
    row = manifest.table.slice(index, 1).drop("index", strict=False)
    row = row.with_row_index("index", offset=index)
    return _samples(manifest, row, str(row["split"][0]), classes, data)[0]


def _samples(
    manifest: Manifest, table: pl.DataFrame, name: str, classes: Sequence[str], data: Data
) -> list[Sample]:
    views, where = data.views, str(manifest.path or "manifest")
    if REGION_VIEW in views:
        _refuse_region_view(table, views, where)
    for view in _of_files(views):
        _refuse_empty(table, view, name, where, "take the view out of data.views")
    task = task_of(manifest, data)
    if task == "segmentation":
        _refuse_empty(table, "mask", name, where, "set data.task: classification")
    indices = {label: number for number, label in enumerate(classes)}
    learned = _LEARNED[task]
    return [
        learned(_sample(row, manifest, views), row, indices, where)
        for row in table.iter_rows(named=True)
    ]


def _refuse_empty(table: pl.DataFrame, column: str, split: str, where: str, or_else: str) -> None:
    """Every sample has a path in that column."""
    if column not in table.columns or table[column].null_count():
        raise DataError(
            where,
            expected=f"a path in column {column!r} for every sample of {split!r}",
            found="empty cells" if column in table.columns else "no such column",
            remedy=f"fill it, or {or_else}",
        )


def _sample(row: dict, manifest: Manifest, views: Sequence[str]) -> Sample:
    """A row with its files, and without what is learned of its labels."""

    def path(column: str) -> str | None:
        value = row.get(column)
        return manifest.resolve(value) if value else None

    return Sample(
        index=row["index"],
        views=tuple((view, manifest.resolve(row[view])) for view in _of_files(views)),
        label=_NONE,
        region=path("region"),
        region_threshold=row.get("region_threshold"),
        avoid=path("avoid"),
        ignore=path("ignore"),
        mask=path("mask"),
        draws_region=REGION_VIEW in views,
    )


def _labelled(sample: Sample, row: dict, indices: Indices, where: str) -> Sample:
    """With its label, and the boxes of it."""
    label: Any = row.get("label")
    if label not in indices:
        raise _unknown(row, "label", label, indices, where)
    boxes = _edges(own_boxes(row, indices))
    return replace(sample, label=indices[label], boxes=boxes, mask=None)


def _with_labels(sample: Sample, row: dict, indices: Indices, where: str) -> Sample:
    """With its set of labels, and all boxes with their classes; one of no label says no place."""
    labels = row.get("labels")
    unknown = next((label for label in labels or () if label not in indices), None)
    if labels is None or unknown is not None:
        raise _unknown(row, "labels", unknown, indices, where)
    own = replace(sample, labels=tuple(sorted(indices[label] for label in labels)), mask=None)
    if not labels:
        return replace(own, region=None, avoid=None)
    boxes, classes = row.get("boxes"), row.get("box_labels")
    named = None if boxes is None or classes is None else classes
    return replace(
        own,
        boxes=_edges(boxes),
        box_labels=None if named is None else tuple(indices.get(n, _NONE) for n in named),
    )


def _with_mask(sample: Sample, row: dict, _indices: Indices, _where: str) -> Sample:
    """With its mask, and no label."""
    return replace(sample, boxes=_edges(row.get("boxes")))


_LEARNED: dict[Task, Callable[[Sample, dict, Indices, str], Sample]] = {
    "classification": _labelled,
    "multilabel": _with_labels,
    "segmentation": _with_mask,
}


def _unknown(row: dict, column: str, label: str | None, indices: Indices, where: str) -> DataError:
    """A label that is missing, or that train never shows."""
    none = "label it, or take its split away" if column == "label" else (
        "write its labels, [] for none of the classes, or take its split away"
    )  # fmt: skip
    return DataError(
        f"{where}, row {row['index'] + 1}, column {column!r}",
        expected="a class of the train split"
        if column == "label"
        else "classes of the train split",
        found=repr(label),
        remedy=near(label, indices) if label else none,
    )


def _of_files(views: Sequence[str]) -> list[str]:
    return [view for view in views if view != REGION_VIEW]


def _refuse_region_view(table: pl.DataFrame, views: Sequence[str], where: str) -> None:
    """The region can be a view beside another one, of samples that have any."""
    if views[0] == REGION_VIEW:
        raise DataError(
            "data.views",
            expected="a view with a file first",
            found=f"{REGION_VIEW!r}",
            remedy=f"data.views=[image,{REGION_VIEW}], say",
        )
    if not {"region", "boxes"} & set(table.columns):
        raise DataError(
            where,
            expected="a column 'region' or 'boxes' to draw the view 'region' from",
            found=", ".join(table.columns),
            remedy="add one, or take the view out of data.views",
        )


def own_boxes(row: Mapping[str, Any], classes: Container[str]) -> list | None:
    """The boxes of the sample's own class, where boxes carry classes; else all.

    None where there are boxes of other classes alone, which do not say where the own one is; boxes
    whose labels are no classes, but parts of the subject, say, are its own.

    Args:
        row: of a manifest.
        classes: that are learned.
    """
    boxes, labels = row.get("boxes"), row.get("box_labels")
    if not boxes or not labels or row.get("label") is None:
        return boxes
    own = [box for box, label in zip(boxes, labels, strict=True) if label == row["label"]]
    return own or (None if any(label in classes for label in labels) else boxes)


def _edges(boxes: list | None) -> tuple[tuple[float, ...], ...] | None:
    return None if boxes is None else tuple(map(tuple, boxes))


def splits_of(table: pl.DataFrame) -> list[str]:
    """The splits in use, train, val and test first."""
    known = ["train", "val", "test"]
    found = set(table["split"].drop_nulls().to_list())
    return [name for name in known if name in found] + sorted(found - set(known))
