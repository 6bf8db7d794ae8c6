"""One sample as loader processes hold it: plain values, no table and no shared state."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

# A view that is drawn from the sample's region, white inside of it; all of it where there is none.
REGION_VIEW = "region"
# Of a sample or of a batch the views, or the masks, by name.
Planes = dict[str, Tensor]


class Draw(NamedTuple):
    """Which sample, in which epoch, the how-many-th time in that epoch."""

    row: int
    epoch: int = 0
    occurrence: int = 0


@dataclass(frozen=True)
class Sample:
    """One row of a manifest: absolute paths, and the label as an index.

    Attributes:
        index: row in the manifest, the sample's identity.
        views: name and path of each view, the explained one first.
        label: class index, or -1 for none.
        labels: class indices of a sample that has a set of them, in order; None where it has one
            label or a mask.
        region, avoid, ignore: paths of grey images.
        region_threshold: the region is 1 above this grey level; None: grey / 255.
        boxes: pixel edges in the upright image; used when there is no region image.
        told: whether guidance is told of the region and of the area to avoid.
        box_labels: class index of each box, -1 for another; of a sample with `labels` alone.
        draws_region: whether the model takes the region too, as a view `region`.
        mask: path of an image of class ids, where its pixels are learned.
    """

    index: int
    views: tuple[tuple[str, str], ...]
    label: int
    region: str | None = None
    region_threshold: int | None = None
    avoid: str | None = None
    ignore: str | None = None
    boxes: tuple[tuple[float, ...], ...] | None = None
    told: bool = True
    draws_region: bool = False
    mask: str | None = None
    labels: tuple[int, ...] | None = None
    box_labels: tuple[int, ...] | None = None

    @property
    def view_names(self) -> tuple[str, ...]:
        """Of all views that the model takes."""
        names = tuple(name for name, _ in self.views)
        return (*names, REGION_VIEW) if self.draws_region else names


def of_label(sample: Sample, label: int) -> Sample:
    """A sample of a set of labels with that label alone, and with the region of that label.

    That is its region image, if it has one; else its boxes of that class, or all of them where
    boxes carry no classes. Without a box of the class, and for the label -1, the region is missing.
    """
    if label < 0:
        sample = replace(sample, region=None, boxes=None, avoid=None)
    elif sample.boxes is not None and sample.box_labels is not None:
        pairs = zip(sample.boxes, sample.box_labels, strict=True)
        own = tuple(box for box, of in pairs if of == label)
        sample = replace(sample, boxes=own or None)
    return replace(sample, label=label, labels=(label,) * (label >= 0), box_labels=None)


def each_label(samples: Iterable[Sample]) -> list[Sample]:
    """Samples of sets of labels, each as one for each of its labels; without any as none."""
    return [of_label(sample, label) for sample in samples for label in sample.labels or ()]


def says_where(sample: Sample) -> bool:
    """Whether a region, boxes, or an area to avoid is told of the sample."""
    has = (sample.region, sample.boxes, sample.avoid)
    return sample.told and any(part is not None for part in has)


def any_says_where(samples: Iterable[Sample]) -> bool:
    """Whether a region, boxes, or an area to avoid is told of any of the samples."""
    return any(map(says_where, samples))
