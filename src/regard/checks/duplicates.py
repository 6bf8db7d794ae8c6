"""Samples that show the same picture: a leak where they lie in different splits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from regard.checks.fingerprints import Fingerprint, fingerprint, look_alikes
from regard.checks.problems import Problem
from regard.data.manifest import Manifest
from regard.files.threads import in_threads
from regard.images.opening import MAX_PIXELS
from regard.progress import Progress


@dataclass(frozen=True)
class Duplicates:
    """Samples of one picture.

    Attributes:
        rows: of the manifest, counted from 1, ascending.
        files: their images, as the manifest has them.
        exact: whether the files are the same byte for byte.
        splits: that they lie in, each once.
        labels: that they carry, each once.
    """

    rows: tuple[int, ...]
    files: tuple[str, ...]
    exact: bool
    splits: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def leak(self) -> bool:
        """Whether the picture is in more than one split."""
        return len(self.splits) > 1

    def problem(self) -> Problem:
        """The same as what the checks find: of its first sample, with the others named."""
        (row, file), *same = zip(self.rows, self.files, strict=True)
        others = ", ".join(f"row {other} ({path})" for other, path in same[:3])
        more = f" and {len(same) - 3} more" if len(same) > 3 else ""
        where = f", in {' and '.join(self.splits)}" if self.leak else ""
        kind = "exact duplicates" if self.exact else "near duplicates"
        detail = f"the picture of {others}{more}{where}; give them one group"
        return Problem(row, "image", file, kind, detail, "warning")


def duplicates(
    manifest: Manifest, *, max_pixels: int = MAX_PIXELS, progress: Progress | None = None
) -> list[Duplicates]:
    """Groups of samples whose images are the same, exactly or to the eye.

    A group is near rather than exact when any two of its files differ. Files that cannot be
    read are passed over: the checks name them.

    Args:
        manifest: of the samples.
        max_pixels: larger images are passed over.
        progress: called with (images done, images in all).

    Returns:
        The groups, by their first row.
    """
    paths = [manifest.resolve(path) for path in manifest.table["image"].to_list()]
    prints = list(in_threads(lambda path: fingerprint(path, max_pixels), paths, progress))
    same: dict[bytes, list[int]] = defaultdict(list)
    for row, own in enumerate(prints):
        if own is not None:
            same[own.content].append(row)
    copies = list(same.values())
    groups = _joined(len(copies), _near([prints[rows[0]] for rows in copies]))
    found = []
    for group in groups:
        rows = sorted(row for member in group for row in copies[member])
        if len(rows) > 1:
            found.append(_describe(rows, len(group) == 1, manifest))
    return sorted(found, key=lambda group: group.rows)


def _near(prints: Sequence[Fingerprint | None]) -> list[tuple[int, int]]:
    kept = [(i, own) for i, own in enumerate(prints) if own is not None and not own.flat]
    if len(kept) < 2:
        return []
    bits = np.array([own.bits for _, own in kept], dtype=np.uint64)
    thumbnails = np.stack([own.thumbnail for _, own in kept])
    return [(kept[i][0], kept[j][0]) for i, j in look_alikes(bits, thumbnails)]


def _joined(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The connected groups of 0 .. count - 1."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    for first, second in pairs:
        parent[root(second)] = root(first)
    groups: dict[int, list[int]] = defaultdict(list)
    for item in range(count):
        groups[root(item)].append(item)
    return list(groups.values())


def _describe(rows: Sequence[int], exact: bool, manifest: Manifest) -> Duplicates:
    table = manifest.table[list(rows)]

    def distinct(column: str) -> tuple[str, ...]:
        if column not in table.columns:
            return ()
        return tuple(table[column].drop_nulls().unique(maintain_order=True).to_list())

    return Duplicates(
        rows=tuple(row + 1 for row in rows),
        files=tuple(table["image"].to_list()),
        exact=exact,
        splits=distinct("split"),
        labels=distinct("label"),
    )
