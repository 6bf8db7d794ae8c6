"""The columns of a manifest: what each is of, and the check of their types and values."""

import polars as pl

from regard.data.casting import BOXES, STRINGS, cast_column, wrong
from regard.errors import DataError
from regard.files.names import LONGEST, is_plain

# One row of meaning a column. Paths are relative to the manifest's folder, or absolute.
COLUMNS: dict[str, tuple[pl.DataType | type[pl.DataType], str]] = {
    "image": (pl.String, "path of the image; required"),
    "segmented": (pl.String, "path of the segmented view: the subject on black"),
    "label": (pl.String, "the class"),
    "labels": (
        STRINGS,
        "the classes of a sample that may have several; an empty list is one of none of them",
    ),
    "hierarchy": (STRINGS, "the label's ancestors, root first"),
    "mask": (pl.String, "path of a label image for segmentation: one class id a pixel"),
    "mask_classes": (
        STRINGS,
        "the class of each id in mask, from id 0 on: `void` for none, empty where there is no "
        "such id; the same in every row",
    ),
    "boxes": (BOXES, "[[xmin, ymin, xmax, ymax], ...] in pixel edges of the upright image"),
    "box_labels": (STRINGS, "the class of each box"),
    "region": (pl.String, "path of a grey image: where the evidence should be"),
    "region_threshold": (pl.Int64, "region is 1 where grey > this; empty: grey / 255"),
    "avoid": (pl.String, "path of a grey image: where the evidence must not be"),
    "ignore": (pl.String, "path of a grey image: pixels that no score and no term counts"),
    "split": (pl.String, "train, val, test or another name"),
    "group": (pl.String, "samples of one group stay in one split (patient, plant, product)"),
    "synthetic": (pl.Boolean, "made, not photographed: used in training alone"),
}
PATHS = ("image", "segmented", "mask", "region", "avoid", "ignore")
VIEWS = ("image", "segmented")
# What says where a sample's evidence is, or is not.
EVIDENCE = ("region", "boxes", "avoid")
# No image has as many pixels on a side; sums and squares of what is less are exact enough.
FARTHEST = 1e9


def checked(table: pl.DataFrame, where: str) -> pl.DataFrame:
    """The table with every known column in its type.

    Raises:
        DataError: no column `image`, no sample, or a value, told with its row and column, that the
            column cannot have.
    """
    if "image" not in table.columns:
        raise DataError(
            where,
            expected="a column 'image'",
            found="columns " + (", ".join(table.columns[:12]) or "none"),
            remedy="rename the column of image paths to 'image', or: regard data import csv",
        )
    if table.is_empty():
        raise DataError(
            where, expected="at least one sample", found="no rows", remedy="add samples"
        )
    table = _with_sets(table)
    for name in table.columns:
        if name in COLUMNS:
            table = table.with_columns(cast_column(table[name], name, COLUMNS[name][0], where))
    _check_values(table, where)
    return table


def _with_sets(table: pl.DataFrame) -> pl.DataFrame:
    """A column `label` of lists is the column `labels`, where there is none."""
    lists = isinstance(table.schema.get("label"), pl.List)
    return table.rename({"label": "labels"}) if lists and "labels" not in table.columns else table


def has_evidence(table: pl.DataFrame) -> bool:
    """Whether any row of a manifest's table, or of a part of it, has one of `EVIDENCE`."""
    return any(table[c].null_count() < len(table) for c in EVIDENCE if c in table.columns)


def _check_values(table: pl.DataFrame, where: str) -> None:
    missing = table["image"].is_null()
    if missing.any():
        raise wrong(where, int(missing.arg_true()[0]), "image", "a path", "an empty cell")
    for name in (name for name in PATHS if name in table.columns):
        bad = table[name].str.contains("\0", literal=True).fill_null(False)
        if bad.any():
            row = int(bad.arg_true()[0])
            raise wrong(where, row, name, "a path that a file can have", ascii(table[name][row]))
    if "boxes" in table.columns:
        bad = ~_four_numbers(table["boxes"])
        if bad.any():
            row = int(bad.arg_true()[0])
            found = str(table["boxes"][row].to_list())
            raise wrong(where, row, "boxes", "boxes of 4 finite numbers, of pixels", found)
    if "region_threshold" in table.columns:
        bad = ~table["region_threshold"].is_between(0, 255).fill_null(True)
        if bad.any():
            row = int(bad.arg_true()[0])
            found = str(table["region_threshold"][row])
            raise wrong(where, row, "region_threshold", "a grey level from 0 to 255", found)
    if "split" in table.columns:
        _check_splits(table["split"], where)
    if "labels" in table.columns:
        _check_sets(table["labels"], where)
    if {"boxes", "box_labels"} <= set(table.columns):
        differ = (table["boxes"].list.len() != table["box_labels"].list.len()).fill_null(False)
        if differ.any():
            row = int(differ.arg_true()[0])
            raise wrong(where, row, "box_labels", "a label a box", "another number of labels")


def _check_splits(splits: pl.Series, where: str) -> None:
    """Results are files that a split gives its name, such as `metrics/test.json`."""
    for name in splits.drop_nulls().unique(maintain_order=True).to_list():
        if not is_plain(name):
            row = int((splits == name).arg_true()[0])
            expected = f"a name that a file can have, of {LONGEST} bytes at the most"
            raise wrong(where, row, "split", expected, ascii(name))


def _check_sets(labels: pl.Series, where: str) -> None:
    """Every label of a sample is a name, and comes once."""
    blank = pl.element().fill_null("").str.strip_chars() == ""
    bare = labels.list.eval(blank).list.any().fill_null(False)
    twice = (labels.list.n_unique() < labels.list.len()).fill_null(False)
    for bad, expected in ((bare, "names of classes"), (twice, "each class once")):
        if bad.any():
            row = int(bad.arg_true()[0])
            raise wrong(where, row, "labels", expected, str(labels[row].to_list()))


def _four_numbers(boxes: pl.Series) -> pl.Series:
    """Whether every box of a row, if it has any, is four numbers that pixels can have."""
    box, number = pl.element(), pl.element()
    near = number.is_finite() & (number.abs() <= FARTHEST)
    finite = box.list.eval(near.fill_null(False)).list.all()
    whole = (box.list.len() == 4) & finite
    return boxes.list.eval(whole.fill_null(False)).list.all().fill_null(True)
