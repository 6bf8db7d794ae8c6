"""Which runs can be compared: those of the same classes, on the same samples."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.data.columns import PATHS
from regard.data.manifest import Manifest
from regard.errors import ConfigError, DataError, RunError
from regard.runs.run import Run, open_run, split_checkpoint

_COLUMNS = ("label", "labels", "image", "region", "region_threshold", "boxes", "box_labels",
            "avoid", "ignore", "mask", "mask_classes")  # fmt: skip


_LEARNED = {"classification": "labels", "multilabel": "sets of labels", "segmentation": "masks"}


@dataclass(frozen=True)
class Named:
    """A run under the name that tables and pictures call it by."""

    name: str
    run: Run

    @property
    def key(self) -> tuple[Path, str]:
        """The checkpoint that it is."""
        return self.run.folder.resolve(), self.run.checkpoint


def open_runs(texts: Sequence[str], split: str, *, device: str = "cpu") -> list[Named]:
    """Load runs, each `FOLDER` or `FOLDER@CHECKPOINT`, that can be compared on a split.

    Raises:
        ConfigError: fewer than two.
        RunError: no run, no such checkpoint, or other classes than those of the first.
        DataError: other samples than those of the first.
    """
    if len(texts) < 2:
        raise ConfigError(
            "regard compare",
            expected="two runs or more, the one to compare with first",
            found=str(len(texts)),
            remedy="name another run's folder, or another checkpoint of it: RUN@last",
        )
    runs = [
        Named(name, open_run(text, device=device))
        for name, text in zip(_names(texts), texts, strict=True)
    ]
    for text, other in zip(texts[1:], runs[1:], strict=True):
        _refuse_other_samples(runs[0].run, other.run, split, f"{texts[0]} and {text}")
    return runs


def _names(texts: Sequence[str]) -> list[str]:
    """Names of the folders with what was said after the @; one that is met again is numbered."""
    names: list[str] = []
    for text in texts:
        folder, checkpoint = split_checkpoint(text)
        name = folder.resolve().name + (f"@{checkpoint}" if checkpoint else "")
        numbered = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
        names.append(next(free for free in numbered if free not in names))
    return names


def _refuse_other_samples(first: Run, other: Run, split: str, where: str) -> None:
    if first.task != other.task:
        raise RunError(
            where,
            expected="runs of one task",
            found=f"one of {_LEARNED[first.task]} and one of {_LEARNED[other.task]}",
            remedy="compare runs that have learned the same",
        )
    if first.classes != other.classes:
        missing = [name for name in first.classes if name not in other.classes]
        more = [name for name in other.classes if name not in first.classes]
        told = [f"without {', '.join(missing[:5])}"] if missing else []
        told += [f"with {', '.join(more[:5])}"] if more else []
        raise RunError(
            where,
            expected="runs of the same classes",
            found=f"the second {' and '.join(told) or 'with them in another order'}",
            remedy="compare runs that were trained on one manifest",
        )
    one, two = (_samples(run.manifest(), split) for run in (first, other))
    rows = one["index"], two["index"]
    if rows[0] != rows[1]:
        shared = len(set(rows[0]) & set(rows[1]))
        found = f"{len(rows[0])} and {len(rows[1])} of them, {shared} by the same row"
        raise _other_samples(where, split, found)
    for name in _COLUMNS:
        pairs = zip(one[name], two[name], strict=True)
        differing = [(a, b) for a, b in pairs if a != b]
        if differing:
            a, b = differing[0]
            found = f"another {name} for {len(differing)} of {len(rows[0])}, first {a} and {b}"
            raise _other_samples(where, split, found)


def _other_samples(where: str, split: str, found: str) -> DataError:
    return DataError(
        where,
        expected=f"runs with the same samples in split {split!r}",
        found=found,
        remedy="compare runs that were trained on one manifest with the same splits",
    )


def _samples(manifest: Manifest, split: str) -> dict[str, list[Any]]:
    """The columns that a comparison hangs on, paths as they really are; absent ones empty."""
    table = manifest.select(split)
    found: dict[str, list[Any]] = {"index": table["index"].to_list()}
    for name in _COLUMNS:
        cells = table[name].to_list() if name in table.columns else [None] * len(table)
        real = name in PATHS
        found[name] = [os.path.realpath(manifest.resolve(x)) if x and real else x for x in cells]
    return found
