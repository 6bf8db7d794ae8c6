"""Splits: stratified by label, whole by group, the same for every arm of a study."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import polars as pl

from regard.data.keys import key
from regard.data.manifest import Manifest
from regard.errors import ConfigError, DataError

NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}


def parse_scheme(scheme: str) -> dict[str, float]:
    """`70/15/15` to train, val, test shares; `80/20` to train and test.

    A two-way scheme has no validation part: carve one from train with `val_from_train`, so
    that the part reported is not the part chosen on.
    """
    try:
        shares = [float(part) for part in scheme.split("/")]
    except ValueError:
        shares = []
    if len(shares) not in NAMES or min(shares, default=0) <= 0 or abs(sum(shares) - 100) > 1e-6:
        raise ConfigError(
            "split scheme",
            expected="percentages of train/val/test or train/test that sum to 100",
            found=repr(scheme),
            remedy="write for example 70/15/15 or 80/20",
        )
    return {name: s / 100 for name, s in zip(NAMES[len(shares)], shares, strict=True)}


def split(manifest: Manifest, scheme: str = "70/15/15", seed: int = 42) -> Manifest:
    """The manifest with a column `split`, stratified by label and whole by group."""
    shares = parse_scheme(scheme)
    return _assign(manifest, list(shares), list(shares.values()), seed)


def folds(manifest: Manifest, k: int, fold: int, seed: int = 42) -> Manifest:
    """Fold `fold` of `k` is test, the next one val, the rest train."""
    if k < 3 or not 0 <= fold < k:
        raise ConfigError(
            "folds",
            expected="3 or more folds and a fold in 0..folds-1",
            found=f"folds={k}, fold={fold}",
            remedy="correct data.folds and data.fold",
        )
    parts = _assign(manifest, [str(i) for i in range(k)], [1 / k] * k, seed)
    names = {str(i): "train" for i in range(k)}
    names |= {str((fold + 1) % k): "val", str(fold): "test"}
    return parts.with_table(parts.table.with_columns(pl.col("split").replace_strict(names)))


def carve_val(manifest: Manifest, share: float, seed: int = 42) -> Manifest:
    """Move a stratified share of train to val; refused where val exists already."""
    table = manifest.table.with_row_index("index")
    if "val" in table["split"].unique():
        raise ConfigError(
            "data.val_from_train",
            expected="a manifest without a val split",
            found="samples in val",
            remedy="remove val_from_train",
        )
    train = table.filter(pl.col("split") == "train")
    part = _assign(
        manifest.with_table(train.drop("index")), ["train", "val"], [1 - share, share], seed
    )
    chosen = train["index"].filter(part.table["split"] == "val")
    moved = pl.when(pl.col("index").is_in(chosen.implode())).then(pl.lit("val"))
    table = table.with_columns(moved.otherwise(pl.col("split")).alias("split"))
    return manifest.with_table(table.drop("index"))


def _assign(
    manifest: Manifest, names: Sequence[str], shares: Sequence[float], seed: int
) -> Manifest:
    """Deal whole groups, class by class in a keyed order, to the part that lacks them most."""
    table = manifest.table
    labels = _strata(table)
    groups = table["group"].to_list() if "group" in table.columns else [None] * table.height
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[f"row {row}" if group is None else f"group {group}"].append(row)
    stratum = {unit: _main_label(rows, labels) for unit, rows in members.items()}
    order = sorted(members, key=lambda unit: (-len(members[unit]), key(seed, "split", unit)))
    wanted = np.asarray(shares)
    got: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(names)))
    overall = np.zeros(len(names))
    parts = [""] * table.height
    for unit in order:
        have = got[stratum[unit]]
        size = len(members[unit])
        lacking = wanted * (have.sum() + size) - have
        # What the whole set lacks breaks ties, or rounding would favour one part in every class.
        lacking += 1e-6 * (wanted * (overall.sum() + size) - overall)
        part = int(np.argmax(lacking))
        have[part] += size
        overall[part] += size
        for row in members[unit]:
            parts[row] = names[part]
    _refuse_empty(parts, names, manifest)
    return manifest.with_table(table.with_columns(pl.Series("split", parts)))


def _strata(table: pl.DataFrame) -> list[str]:
    if "label" in table.columns:
        return [str(v) for v in table["label"].to_list()]
    if "labels" in table.columns:
        return ["|".join(v or []) for v in table["labels"].to_list()]
    return [""] * table.height


def _main_label(rows: list[int], labels: list[str]) -> str:
    seen = sorted(labels[row] for row in rows)
    return max(seen, key=seen.count)


def _refuse_empty(parts: list[str], names: Sequence[str], manifest: Manifest) -> None:
    empty = [name for name in names if name not in parts]
    if empty:
        raise DataError(
            str(manifest.path or "manifest"),
            expected="samples enough for every split",
            found=f"{len(parts)} samples and an empty split {empty[0]!r}",
            remedy="add samples, or choose fewer or larger parts",
        )
