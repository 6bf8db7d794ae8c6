"""Checks of the table alone: labels, splits and repeated rows; those of groups lie beside."""

from collections import Counter
from collections.abc import Iterator

import polars as pl

from regard.checks.alike import alike, told_apart
from regard.checks.group_checks import group_problems
from regard.checks.problems import Problem, Severity
from regard.data.manifest import Manifest
from regard.data.source import splits_of
from regard.data.synthetic_samples import are_synthetic

# As spreadsheets, pandas, R and databases write that there is no value.
MISSING = {"nan", "na", "n/a", "#n/a", "#na", "null", "none", "nil", "nat", "-", "--", "?", "."}


def table_problems(manifest: Manifest) -> list[Problem]:
    """What is wrong with labels and splits, and which images are listed twice."""
    table = manifest.table.with_row_index("row", offset=1)
    found = [*_listed_twice(table), *_labels(table)]
    if "split" in table.columns:
        found += _splits(table)
    if "group" in table.columns:
        found += group_problems(table)
    classes = class_rows(table, sets=manifest.several)
    if not classes.is_empty():
        found += [*_alone(classes), *_classes_by_split(classes), *_rare(classes)]
        found += [*_like_missing(classes), *_alike(classes)]
        found += [] if manifest.several else [*_lists(classes)]
    return found


def class_rows(table: pl.DataFrame, *, sets: bool) -> pl.DataFrame:
    """One row a sample and class of it that is learned: `row`, `split`, `label`.

    Args:
        table: of a manifest, with row numbers.
        sets: samples have sets of labels, and count for each; else what is in an image beside its
            `label` is not learned.
    """
    name = "labels" if sets else "label"
    if name not in table.columns:
        return pl.DataFrame(schema={"row": pl.UInt32, "split": pl.String, "label": pl.String})
    split = pl.col("split") if "split" in table.columns else pl.lit(None, pl.String).alias("split")
    rows = table.select("row", split, pl.col(name).alias("label"))
    return (rows.explode("label") if name == "labels" else rows).drop_nulls("label")


def _listed_twice(table: pl.DataFrame) -> Iterator[Problem]:
    keys = [name for name in ("image", "split") if name in table.columns]
    shared = table.filter(table["image"].is_duplicated()).select("row", *keys)
    for (image,), rows in shared.group_by("image", maintain_order=True):
        numbers = rows["row"].to_list()
        split = rows["split"].n_unique() > 1 if "split" in rows.columns else False
        detail = "in rows " + ", ".join(map(str, numbers[:5]))
        detail += " of different splits" if split else ""
        severity: Severity = "error" if split else "warning"
        yield Problem(numbers[1], "image", str(image), "listed twice", detail, severity)


def _labels(table: pl.DataFrame) -> Iterator[Problem]:
    present = [name for name in ("label", "labels", "mask") if name in table.columns]
    if not present:
        detail: str = "no column label, labels or mask: there is nothing to train on"
        severity: Severity = "error"
        if "box_labels" in table.columns:
            detail = "boxes alone are labelled: to train on them, cut them out by import crops"
            severity = "warning"
        yield Problem(None, "label", None, "no label", detail, severity)
        return
    bare = pl.all_horizontal((pl.col(name).is_null() | _blank(name, table)) for name in present)
    if "split" in table.columns:
        # A sample outside of all splits is never used.
        bare &= pl.col("split").is_not_null()
    for row, image in table.filter(bare).select("row", "image").iter_rows():
        yield Problem(row, present[0], image, "no label", "label it, or take its split away")


def _blank(name: str, table: pl.DataFrame) -> pl.Expr:
    # An empty list is an answer: none of the classes.
    if isinstance(table.schema[name], pl.List):
        return pl.lit(False)
    return pl.col(name).str.strip_chars() == ""


def _splits(table: pl.DataFrame) -> Iterator[Problem]:
    without = table["split"].null_count()
    if without:
        detail = f"{without} of {table.height} samples are in no split and will not be used"
        yield Problem(None, "split", None, "no split", detail, "warning")
    used = splits_of(table)
    for name in ("train", "val", "test"):
        if name not in used:
            severity: Severity = "error" if name == "train" else "warning"
            detail = f"no samples in {name}; there are: " + (", ".join(used) or "none")
            yield Problem(None, "split", None, "empty split", detail, severity)
    wrong = table.filter(are_synthetic(table) & (pl.col("split") != "train"))
    for row, image, name in wrong.select("row", "image", "split").iter_rows():
        detail = f"synthetic samples belong in train, not in {name}"
        yield Problem(row, "split", image, "synthetic outside train", detail)


def _alone(classes: pl.DataFrame) -> Iterator[Problem]:
    """A net needs two classes to tell apart; a table without splits is not yet to be trained on."""
    used = classes.filter(pl.col("split") == "train")
    if used["label"].n_unique() == 1:
        detail = f"{used['label'][0]!r} is the only class to train on; two or more are needed"
        yield Problem(None, "label", None, "one class", detail)


def _classes_by_split(classes: pl.DataFrame) -> Iterator[Problem]:
    shown = {
        split: set(classes.filter(pl.col("split") == split)["label"].to_list())
        for split in splits_of(classes)
    }
    train = shown.pop("train", set())
    if not train:
        return
    for split, labels in shown.items():
        for label in sorted(labels - train):
            detail = f"class {label!r} of {split} never occurs in train"
            yield Problem(None, "label", None, "class not in train", detail)
        for label in sorted(train - labels):
            detail = f"class {label!r} never occurs in {split}"
            yield Problem(None, "label", None, "class not in split", detail, "warning")


def looks_missing(label: str) -> bool:
    """Whether a text is likelier a cell without a value, as others write it, than a class."""
    return label.strip().strip("<>").lower() in MISSING


def _like_missing(classes: pl.DataFrame) -> Iterator[Problem]:
    for (label,), rows in classes.group_by("label", maintain_order=True):
        if looks_missing(str(label)):
            detail = f"{label!r} of {rows.height} samples is a class by that name; empty the cells"
            detail += " if nothing is known"
            yield Problem(rows["row"][0], "label", None, "label like none", detail, "warning")


def _alike(classes: pl.DataFrame) -> Iterator[Problem]:
    counts = classes.group_by("label").agg(pl.len(), pl.col("row").min()).sort("row")
    rows = dict(zip(counts["label"].to_list(), counts["row"].to_list(), strict=True))
    sizes = dict(zip(counts["label"].to_list(), counts["len"].to_list(), strict=True))
    for names in alike(rows):
        told = ", ".join(f"{text} ({sizes[name]})" for name, text in told_apart(names))
        detail = f"classes by themselves: {told}; write them alike if they are one"
        yield Problem(rows[names[1]], "label", None, "classes alike", detail, "warning")


def _lists(classes: pl.DataFrame) -> Iterator[Problem]:
    """Labels that are lists of others, which were imported as if each were a class of its own."""
    labels = classes["label"].unique(maintain_order=True).to_list()
    for between in ",;|":
        parts = {label: [p.strip() for p in label.split(between)] for label in labels}
        counts = Counter(part for own in parts.values() for part in set(own))
        lists = [
            label
            for label, own in parts.items()
            if len(own) > 1 and all(own) and all(counts[part] > 1 for part in own)
        ]
        if len(lists) > 1 and any(part in parts for label in lists for part in parts[label]):
            shown = " and ".join(map(repr, lists[:2]))
            detail = f"{len(lists)} classes such as {shown} look like lists of labels; import them "
            detail += f"with --label-separator '{between}' if they are"
            yield Problem(None, "label", None, "label lists", detail, "warning")


def _rare(classes: pl.DataFrame) -> Iterator[Problem]:
    alone = classes.filter(pl.len().over("label") == 1).sort("label")
    for row, label in alone.select("row", "label").iter_rows():
        detail = f"class {label!r} has one sample: it is trained on or tested, not both"
        yield Problem(row, "label", None, "rare class", detail, "warning")
