"""What is in a manifest: counts, sizes, regions."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from regard.checks.describe_masks import MaskShares, describe_masks
from regard.checks.measures import NO_SPLIT, measures
from regard.checks.table_checks import class_rows
from regard.data.manifest import Manifest, natural
from regard.data.source import splits_of
from regard.data.synthetic_samples import by_split as synthetic_by_split
from regard.images.opening import MAX_PIXELS
from regard.progress import Progress

QUANTILES = {"min": 0.0, "5%": 0.05, "median": 0.5, "95%": 0.95, "max": 1.0}
Quantiles = dict[str, float]


@dataclass(frozen=True)
class Description:
    """A manifest in numbers.

    Attributes:
        samples: rows.
        views: that every sample has.
        splits: samples by split.
        classes: samples by class and split; a sample of several classes counts for each.
        labels: samples by how many classes they are of; empty where they have no sets of labels.
        sizes: quantiles of width and height in pixels, and of the pixels of an image.
        formats: samples by format of the file.
        unreadable: samples whose image has no readable header.
        regions: samples by kind of region: `image`, `boxes`, `avoid` and `none`; `missing` and
            `unreadable` are those whose region's file is.
        coverage: quantiles, by split, of the share of the image that the region covers.
        boxes: quantiles of the boxes an image.
        groups: number of groups and size of the largest, if the manifest has any.
        synthetic: samples that are synthetic, by split (`left out` for those in none); empty where
            none is, or all are.
        masks: by split, what the masks of classes hold; empty where there are none.
        measures: one row a sample, see `regard.checks.measures.measures`.
    """

    samples: int
    views: tuple[str, ...]
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    labels: dict[str, int]
    sizes: dict[str, Quantiles]
    formats: dict[str, int]
    unreadable: int
    regions: dict[str, int]
    coverage: dict[str, Quantiles]
    boxes: Quantiles
    groups: dict[str, int]
    synthetic: dict[str, int]
    masks: dict[str, MaskShares]
    measures: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """Everything but `measures`, ready for JSON."""
        kept = {key: value for key, value in vars(self).items() if key != "measures"}
        masks = {name: own.as_dict() for name, own in self.masks.items()}
        return kept | {"views": list(self.views), "masks": masks}


def describe(
    manifest: Manifest, *, max_pixels: int = MAX_PIXELS, progress: Progress | None = None
) -> Description:
    """Count, and measure images by their headers and regions by their pixels.

    Files that cannot be read are counted and otherwise left out; the checks name them.

    Args:
        manifest: to be described.
        max_pixels: larger region images are left out.
        progress: called with (samples done, samples in all).
    """
    measured = measures(manifest, max_pixels=max_pixels, progress=progress)
    width, height = measured["width"], measured["height"]
    sizes = {"width": width, "height": height, "pixels": width * height}
    by_split = {name: measured.filter(pl.col("split") == name) for name in ordered_splits(measured)}
    covered = {name: quantiles(part["coverage"]) for name, part in by_split.items()}
    return Description(
        samples=len(manifest),
        views=manifest.views,
        splits={name: part.height for name, part in by_split.items()},
        classes=_classes(manifest, list(by_split)),
        labels=_labels(manifest),
        sizes={name: quantiles(values) for name, values in sizes.items()},
        formats=_counts(measured["format"]),
        unreadable=width.null_count(),
        regions=_counts(measured["region"]),
        coverage={name: values for name, values in covered.items() if values},
        boxes=quantiles(measured["boxes"]),
        groups=_groups(manifest),
        synthetic=synthetic_by_split(manifest.table),
        masks=describe_masks(manifest),
        measures=measured,
    )


def ordered_splits(table: pl.DataFrame) -> list[str]:
    """The splits in use, train, val and test first and samples without a split last."""
    names = splits_of(table)
    return sorted(names, key=lambda name: name == NO_SPLIT)


def quantiles(values: pl.Series) -> Quantiles:
    """Of the values that are there; empty for none."""
    values = values.drop_nulls()
    if values.is_empty():
        return {}
    return {name: float(values.quantile(share, "linear") or 0) for name, share in QUANTILES.items()}


def _counts(values: pl.Series) -> dict[str, int]:
    counts = values.drop_nulls().value_counts().sort("count", values.name, descending=[True, False])
    return dict(counts.iter_rows())


def _classes(manifest: Manifest, splits: list[str]) -> dict[str, dict[str, int]]:
    rows = class_rows(manifest.table.with_row_index("row"), sets=manifest.several)
    counts = rows.group_by("label", pl.col("split").fill_null(NO_SPLIT)).len()
    known = {(label, split): count for label, split, count in counts.iter_rows()}
    labels = sorted(rows["label"].unique().to_list(), key=natural)
    return {label: {name: known.get((label, name), 0) for name in splits} for label in labels}


def _labels(manifest: Manifest) -> dict[str, int]:
    if not manifest.several:
        return {}
    counts = manifest.table["labels"].drop_nulls().list.len().value_counts(sort=False)
    return {str(number): count for number, count in sorted(counts.iter_rows())}


def _groups(manifest: Manifest) -> dict[str, int]:
    if "group" not in manifest.table.columns:
        return {}
    sizes = manifest.table["group"].drop_nulls().value_counts()["count"].to_list()
    return {"groups": len(sizes), "largest": max(sizes, default=0)}
