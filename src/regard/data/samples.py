"""Samples loaded, fitted, augmented and made into batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.data.annotation import Annotation, spread_evenly
from regard.data.decoding import Size, decode_grey, image_size
from regard.data.keys import keyed_generator
from regard.data.regions import Regions, boxes_to_mask
from regard.data.sample import Draw, Sample, says_where
from regard.data.settings import Augment
from regard.data.transforms import Transform, augment


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

    def __reduce__(self) -> tuple[type["Cache"], tuple[int]]:
        return Cache, (self.limit,)  # a loading process starts with an empty one

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
        seed: of the augmentation.
        annotation: how regions are used; None: each sample's own.
        cache_mb: bound of the cache of fitted samples, for each process.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transform,
        *,
        augmentation: Augment | None = None,
        seed: int = 0,
        annotation: Annotation | None = None,
        cache_mb: int = 0,
    ) -> None:
        self.samples, self.transform, self.augmentation = tuple(samples), transform, augmentation
        self.seed, self.annotation = seed, annotation or Annotation()
        self.cache = Cache(cache_mb * 2**20)
        self.has_regions = self.annotation.kind != "none" and any(
            says_where(s) for s in self.samples
        )
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
        return {name: self.transform.load(path) for name, path in sample.views}

    def _masks(self, sample: Sample) -> dict[str, Tensor]:
        if not self.has_regions:
            return {}
        masks = {}
        attend = self.region(sample)
        if attend is not None:
            masks["attend"] = attend
        avoid = self.avoided(sample)
        if avoid is not None:
            masks["avoid"] = avoid
            # Everything else may be looked at; `Regions.of` takes the avoided part out.
            masks.setdefault("attend", torch.ones_like(avoid))
        if sample.ignore is not None:
            masks["ignore"] = self.transform.fit_mask(self._grey(sample.ignore) / 255)
        return masks

    def region(self, sample: Sample) -> Tensor | None:
        """The sample's region at the input size, (H, W), as the annotation is used."""
        region = self._own_region(sample)
        return None if region is None else self.annotation.region(region, sample)

    def avoided(self, sample: Sample) -> Tensor | None:
        """The area to avoid at the input size, (H, W), as the annotation is used."""
        if sample.avoid is None:
            return None
        avoid = self.transform.fit_mask(self._grey(sample.avoid) / 255)
        return self.annotation.avoided(avoid, sample)

    def means(self) -> dict[str, Tensor]:
        """The mean `attend` and `avoid` (H, W) of a thousand samples at most that have them."""
        telling = [sample for sample in self.samples if says_where(sample)]
        masks = [self._masks(telling[i]) for i in spread_evenly(len(telling))]
        names = [n for n in ("attend", "avoid") if any(n in mask for mask in masks)]
        return {
            name: torch.stack([mask[name] for mask in masks if name in mask]).mean(0)
            for name in names
        }

    def _own_region(self, sample: Sample) -> Tensor | None:
        if sample.region is not None:
            grey = self._grey(sample.region)
            cut = sample.region_threshold
            return self.transform.fit_mask(grey / 255 if cut is None else (grey > cut).float())
        if sample.boxes is None:
            return None
        size = image_size(sample.views[0][1])
        boxes = torch.tensor(sample.boxes, dtype=torch.float64).view(-1, 4)
        return self.transform.fit_mask(_drawn(boxes, size, self.transform.size))

    def _grey(self, path: str) -> Tensor:
        return decode_grey(path, max_pixels=self.transform.max_pixels)

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


def _drawn(boxes: Tensor, size: Size, wanted: Size) -> Tensor:
    """The boxes as a mask of the image's shape, no finer than twice what is wanted needs."""
    height, width = size
    shrink = max(1, min(height // (2 * wanted[0]), width // (2 * wanted[1])))
    rows, columns = -(-height // shrink), -(-width // shrink)
    scale = torch.tensor([columns / width, rows / height] * 2, dtype=boxes.dtype)
    return boxes_to_mask(boxes * scale, (rows, columns))
