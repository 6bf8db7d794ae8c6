"""Splits: stratified by label or labels, whole by group, the same for every arm of a study."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import polars as pl

from regard.data.dealing import Unit, deal
from regard.data.keys import key
from regard.data.manifest import Manifest
from regard.data.synthetic_samples import are_synthetic
from regard.errors import ConfigError, DataError

NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}


def parse_scheme(scheme: str) -> dict[str, float]:
    """`70/15/15` to train, val, test shares; `80/20` to train and test.

    A two-way scheme has no validation part: carve one from train with `val_from_train`, so
    that the part reported is not the part chosen on.

    Raises:
        ConfigError: no two or three percentages that sum to 100.
    """
    try:
        shares = [float(part) for part in scheme.split("/")]
    except ValueError:
        shares = []
    # Written so that nan fails too.
    right = all(share > 0 for share in shares) and abs(sum(shares) - 100) < 1e-6
    if len(shares) not in NAMES or not right:
        raise ConfigError(
            "split scheme",
            expected="percentages of train/val/test or train/test that sum to 100",
            found=repr(scheme),
            remedy="write for example 70/15/15 or 80/20",
        )
    return {name: s / 100 for name, s in zip(NAMES[len(shares)], shares, strict=True)}


def split(
    manifest: Manifest, scheme: str = "70/15/15", seed: int = 42, *, sets: bool | None = None
) -> Manifest:
    """The manifest with a column `split`, stratified by label and whole by group.

    Samples without a group are dealt by their row: the same table in another order is split
    otherwise. Synthetic samples go to train, but for those whose group is elsewhere: they are
    left out, with no split, as are those in `folds` and `carve_val`. A set that is synthetic
    throughout is dealt like any other.

    Args:
        manifest: to be split.
        scheme: of `parse_scheme`.
        seed: of the dealing.
        sets: stratify by every label of the sets `labels`, see `dealing.deal`, not by `label`;
            None: where samples have sets and no label.

    Raises:
        ConfigError: a scheme that is none.
        DataError: too few samples or groups for the parts, or synthetic samples alone.
    """
    shares = parse_scheme(scheme)
    parts = _dealt(manifest, list(shares), list(shares.values()), seed, sets)
    return manifest.with_table(_with_synthetic(manifest.table, parts))


def folds(
    manifest: Manifest,
    k: int,
    fold: int,
    seed: int = 42,
    *,
    sets: bool | None = None,
    val: float | None = None,
) -> Manifest:
    """Fold `fold` of `k` is test, the rest train and val.

    Args:
        manifest: to be split.
        k: number of folds.
        fold: that is test, counted from 0.
        seed: of the dealing.
        sets: as of `split`.
        val: share of the other folds that becomes val; None: the next fold is val.

    Raises:
        ConfigError: fewer than 3 folds or more than samples, or no such fold.
    """
    if not 3 <= k <= max(3, len(manifest)) or not 0 <= fold < k:
        raise ConfigError(
            "folds",
            expected="3 or more folds, no more than samples, and a fold in 0..folds-1",
            found=f"folds={k}, fold={fold}",
            remedy="correct data.folds and data.fold",
        )
    parts = _dealt(manifest, [str(i) for i in range(k)], [1 / k] * k, seed, sets)
    names = {None: None} | {str(i): "train" for i in range(k)}
    if val is None:
        names[str((fold + 1) % k)] = "val"
    names[str(fold)] = "test"
    whole = manifest.with_table(_with_synthetic(manifest.table, [names[part] for part in parts]))
    return whole if val is None else carve_val(whole, val, seed, sets=sets)


def carve_val(
    manifest: Manifest, share: float, seed: int = 42, *, sets: bool | None = None
) -> Manifest:
    """Move a stratified share of train to val.

    Args:
        manifest: with a column `split`.
        share: of train, in (0, 1).
        seed: of the dealing.
        sets: as of `split`.

    Raises:
        ConfigError: the manifest has a val split.
        DataError: no train, too few samples or groups, or synthetic samples alone.
    """
    train = manifest.select("train")
    if "val" in manifest.table["split"]:
        raise ConfigError(
            "data.val_from_train",
            expected="a manifest without a val split",
            found="samples in val",
            remedy="remove val_from_train",
        )
    part = manifest.with_table(train.drop("index"))
    _refuse_synthetic(part, manifest)
    parts = _dealt(part, ["train", "val"], [1 - share, share], seed, sets)
    names = manifest.table["split"].to_list()
    for row, name in zip(train["index"], _with_synthetic(part.table, parts)["split"], strict=True):
        names[row] = name
    return manifest.with_table(manifest.table.with_columns(pl.Series("split", names, pl.String)))


def _dealt(
    manifest: Manifest,
    names: Sequence[str],
    shares: Sequence[float],
    seed: int,
    sets: bool | None,
) -> list[str | None]:
    """The part of each row, whole groups alike; None for synthetic ones among others."""
    table = manifest.table
    groups = table["group"].to_list() if "group" in table.columns else [None] * table.height
    members: dict[str, list[int]] = defaultdict(list)
    synthetic = are_synthetic(table).to_list()
    for row, group in enumerate(groups):
        if not synthetic[row]:
            members[f"row {row}" if group is None else f"group {group}"].append(row)
    several = manifest.several if sets is None else sets
    if several and "labels" in table.columns:
        labels = [own or [] for own in table["labels"].to_list()]
        units = {
            unit: Unit(len(rows), Counter(label for row in rows for label in labels[row]))
            for unit, rows in members.items()
        }
        dealt = deal(units, shares, seed)
        kinds = {unit: min(own.labels, default="") for unit, own in units.items()}
    else:
        kinds = _main_labels(table, members)
        dealt = _by_label(kinds, members, shares, seed)
    sizes = {unit: len(rows) for unit, rows in members.items()}
    _fill(dealt, sizes, kinds, shares, seed)
    parts: list[str | None] = [None] * table.height
    for unit, rows in members.items():
        for row in rows:
            parts[row] = names[dealt[unit]]
    _refuse_empty(parts, names, manifest)
    return parts


def _main_labels(table: pl.DataFrame, members: Mapping[str, list[int]]) -> dict[str, str]:
    """The label that each unit is of."""
    labels = [str(v) for v in table["label"].to_list()] if "label" in table.columns else (
        [""] * table.height
    )  # fmt: skip
    return {unit: _main_label(rows, labels) for unit, rows in members.items()}


def _by_label(
    stratum: Mapping[str, str],
    members: Mapping[str, list[int]],
    shares: Sequence[float],
    seed: int,
) -> dict[str, int]:
    """The part of each unit, dealt class by class in a keyed order to what lacks it most."""
    order = sorted(members, key=lambda unit: (-len(members[unit]), key(seed, "split", unit)))
    # Plain floats: with a handful of parts an array costs ten times as much a unit.
    got: dict[str, list[int]] = defaultdict(lambda: [0] * len(shares))
    overall = [0] * len(shares)
    dealt: dict[str, int] = {}
    for unit in order:
        have = got[stratum[unit]]
        size = len(members[unit])
        # What the whole set lacks counts a little: rounding would favour one part in every class.
        own, whole = sum(have) + size, sum(overall) + size
        lacking = [
            (share * own - mine) + 1e-2 * (share * whole - all_)
            for share, mine, all_ in zip(shares, have, overall, strict=True)
        ]
        part = dealt[unit] = lacking.index(max(lacking))
        have[part] += size
        overall[part] += size
    return dealt


def _fill(
    dealt: dict[str, int],
    sizes: Mapping[str, int],
    kinds: Mapping[str, str],
    shares: Sequence[float],
    seed: int,
) -> None:
    """Give a part that got less than half of its share units of the part that is most above its.

    Dealt class by class, two samples a class all go to train. Classes of several units give first,
    one each before any gives a second.
    """
    total = sum(sizes.values())
    for poor, share in enumerate(shares):
        got = [0] * len(shares)
        for unit, part in dealt.items():
            got[part] += sizes[unit]
        if got[poor] >= share * total / 2:
            continue
        above = [
            (size - own * total, part)
            for part, (size, own) in enumerate(zip(got, shares, strict=True))
            if part != poor and list(dealt.values()).count(part) > 1
        ]
        if not above:
            continue
        _, rich = max(above)
        giving = _in_turn([unit for unit, part in dealt.items() if part == rich], kinds, seed)
        left = len(giving)
        for unit in giving:
            if left == 1 or (got[poor] and got[poor] + sizes[unit] / 2 > share * total):
                break
            if sizes[unit] <= 3 * share * total:
                dealt[unit] = poor
                got[poor] += sizes[unit]
                left -= 1


def _in_turn(units: Sequence[str], kinds: Mapping[str, str], seed: int) -> list[str]:
    """The units in a keyed order, one of each kind, then another; those that are alone last."""
    count, seen = Counter(kinds[unit] for unit in units), Counter[str]()
    ranked = []
    for unit in sorted(units, key=lambda unit: key(seed, "fill", unit)):
        kind = kinds[unit]
        ranked.append((seen[kind] + 1 == count[kind], seen[kind], len(ranked), unit))
        seen[kind] += 1
    return [unit for *_, unit in sorted(ranked)]


def _with_synthetic(table: pl.DataFrame, parts: Sequence[str | None]) -> pl.DataFrame:
    """The column `split` from the parts, with synthetic samples beside their group's train."""
    groups = table["group"].to_list() if "group" in table.columns else [None] * table.height
    homes = {group: part for group, part in zip(groups, parts, strict=True) if part is not None}
    homes[None] = "train"
    names = [
        ("train" if homes.get(group, "train") == "train" else None) if part is None else part
        for group, part in zip(groups, parts, strict=True)
    ]
    return table.with_columns(pl.Series("split", names, dtype=pl.String))


def _refuse_synthetic(train: Manifest, whole: Manifest) -> None:
    """Val is carved from photographs, where there are any in the set."""
    made = "synthetic" in train.table.columns and train.table["synthetic"].fill_null(False).all()
    if made and are_synthetic(whole.table).any():
        raise DataError(
            str(whole.path or "manifest"),
            expected="photographs in train to take val from, for data.val_from_train",
            found="synthetic samples alone",
            remedy="give other samples the split val, and leave val_from_train out",
        )


def _main_label(rows: list[int], labels: list[str]) -> str:
    seen = sorted(labels[row] for row in rows)
    return max(seen, key=seen.count)


def _refuse_empty(parts: Sequence[str | None], names: Sequence[str], manifest: Manifest) -> None:
    empty = [name for name in names if name not in parts]
    if empty:
        dealt = sum(part is not None for part in parts)
        raise DataError(
            str(manifest.path or "manifest"),
            expected="samples enough for every split",
            found=f"{dealt} samples and an empty split {empty[0]!r}",
            remedy="add samples, or choose fewer or larger parts",
        )
