"""A study's folds: which image is test in which, and whether they are what they should be."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from regard.data.manifest import Manifest, read_manifest
from regard.data.settings import FEWEST_FOLDS, Data
from regard.data.source import class_names, open_manifest, samples_of
from regard.errors import DataError, RegardError
from regard.studies.settings import Job
from regard.training.config import Config

_OWN = ("train", "val", "test")


def refuse_folds(configs: Mapping[Job, Config], folder: Path) -> None:
    """Look at every fold of every data section: test parts are disjoint and cover the set.

    Also every fold has to know the same classes, and train of each fold those of its test part.

    Args:
        configs: of the runs of a study with folds.
        folder: that paths in the configs start from.

    Raises:
        DataError: folds that are not as they should be, or a manifest whose splits are more than
            train, val and test.
    """
    looked: set[str] = set()
    for job, config in configs.items():
        data = config.data.model_copy(update={"fold": 0})
        if data.model_dump_json() in looked:
            continue
        looked.add(data.model_dump_json())
        try:
            own_splits(data, folder)
            _refuse_parts([data.model_copy(update={"fold": k}) for k in range(data.folds or 0)],
                          config, folder)  # fmt: skip
        except RegardError as error:
            raise error.within(f"arm {job.arm}") from error


def own_splits(data: Data, folder: Path) -> dict[str, int]:
    """How many images each split of the manifest itself has; the folds do without them.

    Raises:
        DataError: others than train, val and test, which mean something that folds would undo.
    """
    table = read_manifest(folder / data.manifest).table
    if "split" not in table.columns:
        return {}
    found = Counter(table["split"].drop_nulls().to_list())
    others = [name for name in found if name not in _OWN]
    if others:
        raise DataError(
            str(folder / data.manifest),
            expected="no splits but train, val and test, as folds deal all images anew",
            found=f"split {others[0]!r} ({found[others[0]]} images)",
            remedy="leave folds out, or make a manifest without these images",
        )
    return {name: found[name] for name in _OWN if name in found}


def _refuse_parts(parts: list[Data], config: Config, folder: Path) -> None:
    manifests = [open_manifest(data, folder) for data in parts]
    _refuse_cover(manifests)
    names = [config.classes or class_names(own, parts[0]) for own in manifests]
    less = sorted(set().union(*names) - set(names[0]).intersection(*names))
    if less:
        count, what = _units(manifests[0], less[0])
        # One is test, one val, and one is left for train, however many folds there are.
        few = count < FEWEST_FOLDS
        or_else = "leave it out" if few or len(parts) == FEWEST_FOLDS else "take fewer folds"
        raise DataError(
            str(manifests[0].path or "manifest"),
            expected="every class in train of every fold",
            found=f"{less[0]!r} of {count} {what}{'s'[: count != 1]} missing in some",
            remedy=f"give it {FEWEST_FOLDS if few else len(parts)} {what}s or more, or {or_else}",
        )
    for manifest, data in zip(manifests, parts, strict=True):
        samples_of(manifest, "test", names[0], data)


def _units(manifest: Manifest, name: str) -> tuple[int, str]:
    """How many images a class has, or groups where they are dealt whole, and which of both."""
    table = manifest.table
    known = [
        pl.col("labels").list.contains(name) if column == "labels" else pl.col(column) == name
        for column in ("label", "labels")
        if column in table.columns
    ]
    own = table.filter(pl.any_horizontal(known))
    if "group" not in own.columns or own["group"].null_count() == own.height:
        return own.height, "image"
    named = own["group"].drop_nulls()
    return named.n_unique() + own["group"].null_count(), "group"


def _refuse_cover(manifests: list[Manifest]) -> None:
    """Every image is test once; synthetic ones among others never."""
    test = [manifest.select("test")["index"].to_list() for manifest in manifests]
    table = manifests[0].table
    made = pl.col("synthetic").fill_null(value=False) if "synthetic" in table.columns else None
    rows = table.with_row_index("row")
    if made is not None and not table.select(made.all()).item():
        rows = rows.filter(~made)
    wanted, found = rows["row"].to_list(), [row for part in test for row in part]
    if sorted(found) != wanted:
        raise DataError(
            str(manifests[0].path or "manifest"),
            expected=f"each of {len(wanted)} images in test of one fold",
            found=f"{len(found)} in test, {len(set(found))} of them different",
            remedy="this should not happen: report it with the manifest",
        )


def dealt(folds: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """Rows (N,), rising, and the fold of each, from the rows of each fold's test part.

    Raises:
        DataError: a row in two folds.
    """
    index = np.concatenate([*folds.values()])
    fold = np.concatenate([np.full(len(rows), k) for k, rows in folds.items()])
    if len(np.unique(index)) < len(index):
        raise DataError(
            "folds",
            expected="every image in test of one fold",
            found="images in test of two",
            remedy="run the study anew into another --out",
        )
    order = np.argsort(index)
    return {"index": index[order], "fold": fold[order]}
