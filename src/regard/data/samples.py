"""Samples loaded, fitted, augmented and made into batches."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.annotation import Annotation, spread_evenly
from regard.data.decoding import Size, decode_grey, image_size
from regard.data.held import Held
from regard.data.keys import keyed_generator
from regard.data.regions import Regions, boxes_to_mask
from regard.data.sample import Draw, Sample, says_where
from regard.data.settings import Augment
from regard.data.transforms import Transform, augment

# Files of areas that several samples share (the corners of a frame), kept at the most.
SHARED = 16
Item = tuple[dict[str, Tensor], dict[str, Tensor], Sample]
Stacked = dict[str, Tensor]


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
        self.has_regions = self.annotation.kind != "none" and any(
            says_where(s) for s in self.samples
        )
        self.has_avoid = self.has_regions and any(s.avoid for s in self.samples)
        self.has_ignore = self.has_regions and any(s.ignore for s in self.samples)
        areas = Counter(path for s in self.samples for path in (s.avoid, s.ignore) if path)
        self._shared: dict[str, Tensor | None] = {
            path: None for path, times in areas.most_common(SHARED) if times > 1
        }
        self._labels = torch.tensor([sample.label for sample in self.samples])
        self._index = torch.tensor([sample.index for sample in self.samples])
        views = [name for name, _ in self.samples[0].views] if self.samples else []
        self.held = Held(len(self.samples), views, self._kinds(), transform.size, cache_mb * 2**20)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> Item:
        images, masks = self.fitted(draw.row)
        sample = self.samples[draw.row]
        if self._changes and self.augmentation is not None:
            generator = keyed_generator(self.seed, draw.epoch, sample.index, draw.occurrence)
            images, masks = augment(images, masks, self.augmentation, generator)
        return images, masks, sample

    def fitted(self, row: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Views and masks of a row at the input size, before augmentation."""
        held = self.held.get(row)
        if held is None:
            held = self._views(self.samples[row]), self._masks(self.samples[row])
            self.held.put(row, *held)
        return held

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """The samples of these draws."""
        rows = [draw.row for draw in draws]
        held = None if self._changes else self.held.batch(rows)
        images, masks, there = held or self._collated([self[draw] for draw in draws])
        return Batch(images, self._labels[rows], self._index[rows], self._regions(masks, there))

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
            masks["ignore"] = self._area(sample.ignore)
        return masks

    def region(self, sample: Sample) -> Tensor | None:
        """The sample's region at the input size, (H, W), as the annotation is used."""
        region = self._own_region(sample)
        return None if region is None else self.annotation.region(region, sample)

    def avoided(self, sample: Sample) -> Tensor | None:
        """The area to avoid at the input size, (H, W), as the annotation is used."""
        if sample.avoid is None:
            return None
        return self.annotation.avoided(self._area(sample.avoid), sample)

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

    def _area(self, path: str) -> Tensor:
        """The mask of a file at the input size, (H, W); decoded once if many samples share it."""
        found = self._shared.get(path)
        if found is None:
            found = self.transform.fit_mask(self._grey(path) / 255)
            if path in self._shared:
                self._shared[path] = found
        return found

    def _grey(self, path: str) -> Tensor:
        return decode_grey(path, max_pixels=self.transform.max_pixels)

    @property
    def _changes(self) -> bool:
        """Whether a sample is another one each time that it is drawn."""
        return self.augmentation is not None and self.augmentation != Augment()

    def _kinds(self) -> list[str]:
        """Of masks that a sample may have."""
        has = {"attend": self.has_regions, "avoid": self.has_avoid, "ignore": self.has_ignore}
        return [name for name, there in has.items() if there]

    def _collated(self, items: Sequence[Item]) -> tuple[Stacked, Stacked, Stacked]:
        """Views, masks and whether these are there, as `Held.batch` gives them."""
        nothing = torch.zeros(self.transform.size)
        images = {name: torch.stack([item[0][name] for item in items]) for name in items[0][0]}
        masks = {
            kind: torch.stack([item[1].get(kind, nothing) for item in items])
            for kind in self._kinds()
        }
        there = {kind: torch.tensor([kind in item[1] for item in items]) for kind in masks}
        return images, masks, there

    def _regions(self, masks: Stacked, there: Stacked) -> Regions | None:
        if not self.has_regions:
            return None
        present = there["attend"]
        return Regions(masks["attend"], masks.get("avoid"), masks.get("ignore"), present)


def _drawn(boxes: Tensor, size: Size, wanted: Size) -> Tensor:
    """The boxes as a mask of the image's shape, no finer than twice what is wanted needs."""
    height, width = size
    shrink = max(1, min(height // (2 * wanted[0]), width // (2 * wanted[1])))
    rows, columns = -(-height // shrink), -(-width // shrink)
    scale = torch.tensor([columns / width, rows / height] * 2, dtype=boxes.dtype)
    return boxes_to_mask(boxes * scale, (rows, columns))
