"""One sample as loader processes hold it: plain values, no table and no shared state."""

from dataclasses import dataclass
from typing import NamedTuple

# A view that is drawn from the sample's region, white inside of it; all of it where there is none.
REGION_VIEW = "region"


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
        region, avoid, ignore: paths of grey images.
        region_threshold: the region is 1 above this grey level; None: grey / 255.
        boxes: pixel edges in the upright image; used when there is no region image.
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
    draws_region: bool = False
    mask: str | None = None

    @property
    def view_names(self) -> tuple[str, ...]:
        """Of all views that the model takes."""
        names = tuple(name for name, _ in self.views)
        return (*names, REGION_VIEW) if self.draws_region else names


def says_where(sample: Sample) -> bool:
    """Whether the sample has a region, boxes, or an area to avoid."""
    return sample.region is not None or sample.boxes is not None or sample.avoid is not None
