"""Samples as loader processes hold them: plain values, no table and no shared state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard.data.decoding import MAX_PIXELS, decode, decode_grey, image_size
from regard.data.keys import keyed_generator
from regard.data.regions import Regions, boxes_to_mask, misplace
from regard.data.settings import Augment
from regard.data.transforms import Transform, augment


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
    """

    index: int
    views: tuple[tuple[str, str], ...]
    label: int
    region: str | None = None
    region_threshold: int | None = None
    avoid: str | None = None
    ignore: str | None = None
    boxes: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class Batch:
    """What the loader yields.

    Attributes:
        images: uint8 (B, 3, H, W), a tensor for each view.
        labels: (B,), -1 for none.
        index: (B,), rows in the manifest.
        regions: at the input size; None when the data set has none at all.
    """

    images: dict[str, Tensor]
    labels: Tensor
    index: Tensor
    regions: Regions | None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Batch":
        regions = None if self.regions is None else self.regions[rows]
        images = {name: view[rows] for name, view in self.images.items()}
        return Batch(images, self.labels[rows], self.index[rows], regions)


class Cache:
    """Decoded samples by row, kept until a bound in bytes is reached."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._held: dict[int, Any] = {}

    def get(self, row: int) -> Any:
        """What is held for the row, or None."""
        return self._held.get(row)

    def put(self, row: int, value: Any, size: int) -> None:
        """Hold the value if it fits."""
        if self.used + size <= self.limit and row not in self._held:
            self._held[row] = value
            self.used += size


class Samples(torch.utils.data.Dataset):
    """Loads, fits and augments samples by `Draw`; the randomness is keyed by the draw alone.

    Args:
        samples: the rows of one split.
        transform: how images are fitted.
        augmentation: None for evaluation.
        seed: of the augmentation, and of the misplaced regions.
        regions: `own`; `misplaced`, moved away from the true place, the same for every epoch;
            or `none`, which leaves them out.
        cache_mb: bound of the cache of fitted samples, for each process.
        max_pixels: larger images are refused.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transform,
        *,
        augmentation: Augment | None = None,
        seed: int = 0,
        regions: str = "own",
        cache_mb: int = 0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.samples, self.transform, self.augmentation = tuple(samples), transform, augmentation
        self.seed, self.regions, self.max_pixels = seed, regions, max_pixels
        self.cache = Cache(cache_mb * 2**20)
        self.has_regions = regions != "none" and any(_says_where(s) for s in self.samples)
        self.has_avoid = self.has_regions and any(s.avoid for s in self.samples)
        self.has_ignore = self.has_regions and any(s.ignore for s in self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> tuple[dict[str, Tensor], dict[str, Tensor], Sample]:
        images, masks = self.fitted(draw.row)
        sample = self.samples[draw.row]
        if self.augmentation is not None:
            generator = keyed_generator(self.seed, draw.epoch, sample.index, draw.occurrence)
            images, masks = augment(images, masks, self.augmentation, generator)
        return images, masks, sample

    def fitted(self, row: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Views and masks of a row at the input size, before augmentation."""
        held = self.cache.get(row)
        if held is None:
            held = self._views(self.samples[row]), self._masks(self.samples[row])
            size = sum(t.nbytes for part in held for t in part.values())
            self.cache.put(row, held, size)
        return held

    def _views(self, sample: Sample) -> dict[str, Tensor]:
        return {name: self._view(path) for name, path in sample.views}

    def _view(self, path: str) -> Tensor:
        need = self.transform.need(image_size(path) if self.transform.fit == "crop" else None)
        return self.transform.fit_image(decode(path, need=need, max_pixels=self.max_pixels))

    def _masks(self, sample: Sample) -> dict[str, Tensor]:
        if not self.has_regions:
            return {}
        masks = {}
        attend = self.region(sample)
        if attend is not None:
            masks["attend"] = attend
        for name, path in (("avoid", sample.avoid), ("ignore", sample.ignore)):
            if path is not None:
                masks[name] = self.transform.fit_mask(self._grey(path) / 255)
        if "avoid" in masks and "attend" not in masks:
            masks["attend"] = 1 - masks["avoid"]
        return masks

    def region(self, sample: Sample) -> Tensor | None:
        """The sample's region at the input size, (H, W), misplaced if that was asked for."""
        region = self._own_region(sample)
        if region is not None and self.regions == "misplaced":
            region = misplace(region, keyed_generator(self.seed, "misplaced", sample.index))
        return region

    def _own_region(self, sample: Sample) -> Tensor | None:
        if sample.region is not None:
            grey = self._grey(sample.region)
            cut = sample.region_threshold
            return self.transform.fit_mask(grey / 255 if cut is None else (grey > cut).float())
        if sample.boxes is None:
            return None
        size = image_size(sample.views[0][1])
        return self.transform.fit_mask(boxes_to_mask(torch.tensor(sample.boxes).view(-1, 4), size))

    def _grey(self, path: str) -> Tensor:
        return decode_grey(path, max_pixels=self.max_pixels)

    def collate(self, items: list[tuple[dict[str, Tensor], dict[str, Tensor], Sample]]) -> Batch:
        """A batch of what `__getitem__` gave."""
        names = items[0][0]
        images = {name: torch.stack([views[name] for views, _, _ in items]) for name in names}
        labels = torch.tensor([sample.label for _, _, sample in items])
        index = torch.tensor([sample.index for _, _, sample in items])
        return Batch(images, labels, index, self._regions([masks for _, masks, _ in items]))

    def _regions(self, masks: list[dict[str, Tensor]]) -> Regions | None:
        if not self.has_regions:
            return None
        nothing = torch.zeros(self.transform.size)

        def stack(name: str) -> Tensor:
            return torch.stack([mask.get(name, nothing) for mask in masks])

        return Regions(
            attend=stack("attend"),
            avoid=stack("avoid") if self.has_avoid else None,
            ignore=stack("ignore") if self.has_ignore else None,
            present=torch.tensor(["attend" in mask for mask in masks]),
        )


def _says_where(sample: Sample) -> bool:
    return sample.region is not None or sample.boxes is not None or sample.avoid is not None
