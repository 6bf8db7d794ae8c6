"""What the masks of a manifest hold: the pixels of each class, by split."""

from dataclasses import dataclass
from typing import Any

from regard.checks.measures import NO_SPLIT
from regard.data.manifest import Manifest
from regard.data.mask_classes import VOID, MaskClasses
from regard.data.pixel_counts import counted_masks
from regard.data.some import some_of
from regard.data.source import mask_classes
from regard.errors import DataError


@dataclass(frozen=True)
class MaskShares:
    """The classes of the masks of one split.

    Attributes:
        masks: that were read, a thousand at most, drawn at random.
        unreadable: of these, left out.
        void: share of all pixels of which nothing is said.
        pixels: by class, its share of the other pixels.
        images: by class, the masks that show it.
    """

    masks: int
    unreadable: int
    void: float
    pixels: dict[str, float]
    images: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dict(vars(self))


def describe_masks(manifest: Manifest) -> dict[str, MaskShares]:
    """The masks by split; empty where there are none, or where nothing says what ids mean."""
    table = manifest.table
    if not {"mask", "mask_classes"} <= set(table.columns):
        return {}
    try:
        classes = mask_classes(manifest)
    except DataError:
        return {}  # the checks name what is wrong
    paths: dict[str, list[str]] = {}
    split = table["split"] if "split" in table.columns else [None] * len(table)
    for name, path in zip(split, table["mask"], strict=True):
        if path:
            paths.setdefault(name or NO_SPLIT, []).append(manifest.resolve(path))
    return {name: _shares(own, classes) for name, own in paths.items()}


def _shares(paths: list[str], classes: MaskClasses) -> MaskShares:
    rows, by_mask = counted_masks(paths, classes, skip=True)
    counts, shown = by_mask.sum(0), (by_mask > 0).sum(0)
    said = max(1, int(counts[:VOID].sum()))
    return MaskShares(
        masks=len(rows),
        unreadable=len(some_of(len(paths))) - len(rows),
        void=int(counts[VOID]) / max(1, int(counts.sum())),
        pixels={name: int(counts[k]) / said for k, name in enumerate(classes.names)},
        images={name: int(shown[k]) for k, name in enumerate(classes.names)},
    )
