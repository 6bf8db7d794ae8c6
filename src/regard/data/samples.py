"""Samples loaded, fitted, augmented and made into batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from regard.data.annotation import Annotation
from regard.data.augmenting import augment
from regard.data.held import Held
from regard.data.keys import key, keyed_generator
from regard.data.mask_classes import TARGET, MaskClasses
from regard.data.mixing import Mix, Partners
from regard.data.pasting import Lenders, Loan
from regard.data.regions import Regions
from regard.data.sample import REGION_VIEW, Draw, Planes, Sample, of_label
from regard.data.settings import Augment
from regard.data.transforms import ON_BLACK, Transform
from regard.data.where import Where
from regard.images.opening import image_size

Item = tuple[Planes, Planes, Sample]
# Views, masks, the label of the larger share, and the share of each class.
Mixed = tuple[Planes, Planes, int, Tensor]
# Before the kinds of masks that guidance takes in place of the samples' own.
USED = "used "


@dataclass(frozen=True)
class Batch:
    """What the loader yields.

    Attributes:
        images: uint8 (B, 3, H, W), a tensor for each view.
        labels: (B,), -1 for none; of a mixed image that of the larger share. Of samples with sets
            of labels the one that is asked about, drawn evenly from the set.
        index: (B,), rows in the manifest.
        regions: at the images' size; None when the data set has none at all.
        target: class indices of the pixels, uint8 (B, H, W), `VOID` where nothing is said; None
            where samples have no masks.
        shares: of the classes in each image, (B, K) with rows that sum to 1; None where no image
            is mixed.
        sets: class indices of samples that have sets of them, (B, P), and -1 behind the last; None
            where samples have one label or a mask.
        used: in place of the regions what guidance takes for them; None: these themselves.
    """

    images: Planes
    labels: Tensor
    index: Tensor
    regions: Regions | None
    target: Tensor | None = None
    shares: Tensor | None = None
    sets: Tensor | None = None
    used: Regions | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Batch":
        regions = None if self.regions is None else self.regions[rows]
        images = {name: view[rows] for name, view in self.images.items()}
        target = None if self.target is None else self.target[rows]
        shares = None if self.shares is None else self.shares[rows]
        sets = None if self.sets is None else self.sets[rows]
        used = None if self.used is None else self.used[rows]
        of = self.labels[rows], self.index[rows]
        return Batch(images, *of, regions, target, shares, sets, used)


class Samples(torch.utils.data.Dataset):
    """Loads, fits and augments samples by `Draw`; the randomness is keyed by the draw alone.

    Of a sample with a set of labels each draw asks about one of them, with the region of that one
    where its boxes have classes: the same one for the same seed, epoch and sample.

    Args:
        samples: the rows of one split.
        transform: how images are fitted.
        augmentation: None for evaluation.
        seed: of the augmentation.
        annotation: how regions are used; None: each sample's own.
        used: how guidance would use them, beside the samples' own; None: not asked for.
        classes: what the ids of masks mean, for segmentation.
        lenders: of the pixels that the augmentation pastes.
        partners: that the augmentation mixes images with.
        cache_mb: bound of the cache of fitted samples, for each process.

    Attributes:
        size: (H, W) of what it yields: the transform's, or that of the augmentation's crop.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transform: Transform,
        *,
        augmentation: Augment | None = None,
        seed: int = 0,
        annotation: Annotation | None = None,
        used: Annotation | None = None,
        classes: MaskClasses | None = None,
        lenders: Lenders | None = None,
        partners: Partners | None = None,
        cache_mb: int = 0,
    ) -> None:
        self.samples, self.transform, self.augmentation = tuple(samples), transform, augmentation
        self.seed, self.where = seed, Where(transform, annotation, self.samples)
        self.used = None if used is None else Where(transform, used, self.samples)
        self.classes, self.lenders, self.partners = classes, lenders, partners
        self.size = (augmentation or Augment()).cut(transform.size)
        kinds = (*self.where.kinds, *([] if classes is None else [TARGET]))
        if self.used is not None:
            kinds += tuple(USED + name for name in self.used.kinds)
        # In a mixed image there are pixels to ignore, whatever the samples themselves have.
        mixed = ("ignore",) if partners is not None and "attend" in kinds else ()
        self.kinds = tuple(dict.fromkeys((*kinds, *mixed)))
        # Whether a sample is another one each time that it is drawn.
        self._changes = augmentation is not None and augmentation != Augment()
        self._labels = torch.tensor([sample.label for sample in self.samples])
        self._index = torch.tensor([sample.index for sample in self.samples])
        self._sets = padded(self.samples)
        # Then the region is another one for each label, and cannot be held by sample.
        self._by_label = any(sample.box_labels is not None for sample in self.samples)
        views = self.samples[0].view_names if self.samples else ()
        held = () if self._by_label else kinds
        self.held = Held(len(self.samples), views, held, transform.size, cache_mb * 2**20)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> Item:
        """The sample by itself, augmented; what it is mixed with comes in a batch."""
        sample = self.samples[draw.row]
        images, masks = self.fitted(draw.row)
        if self._by_label:
            masks = self._regions_of(of_label(sample, self.asked(draw)))
        named = (draw.epoch, sample.index, draw.occurrence)
        images, masks = self._augmented(draw.row, (images, masks), *named)
        return images, masks, sample

    def fitted(self, row: int) -> tuple[Planes, Planes]:
        """Views and masks of a row at the transform's size, before augmentation.

        Of samples whose labels have each their own region the masks are those of all their boxes.
        """
        held = self.held.get(row)
        if held is None:
            held = self._views(self.samples[row]), self._masks(self.samples[row])
            self.held.put(row, *held)
        return held

    def asked(self, draw: Draw) -> int:
        """The label that a draw asks about: the sample's own, or one of its set; -1 for none."""
        sample = self.samples[draw.row]
        if not sample.labels:
            return sample.label
        place = key(self.seed, "asked", draw.epoch, sample.index, draw.occurrence)
        return sample.labels[place % len(sample.labels)]

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """The samples of these draws."""
        rows = [draw.row for draw in draws]
        if self.partners is not None:
            return self._mixed([self.mixed(draw, self.partners) for draw in draws], rows)
        fresh = self._changes or self._by_label
        held = None if fresh else self.held.batch(rows)
        images, masks, there = held or self._collated([self[draw] for draw in draws])
        regions, target = self._regions(masks, there), masks.get(TARGET)
        used = None if self.used is None else self._regions(masks, there, USED)
        target = None if target is None else target.to(torch.uint8)
        if self._sets is None:
            return Batch(images, self._labels[rows], self._index[rows], regions, target, used=used)
        sets = self._sets[rows]
        labels = torch.tensor([self.asked(draw) for draw in draws])
        return Batch(images, labels, self._index[rows], regions, target, sets=sets, used=used)

    def mixed(self, draw: Draw, partners: Partners) -> Mixed:
        """The sample of a draw with what is mixed into it, if anything is."""
        images, masks, sample = self[draw]
        named = (draw.epoch, sample.index, draw.occurrence)
        unit = torch.rand(7, generator=keyed_generator(self.seed, "mix", *named)).tolist()
        mix = Mix.drawn(self.augmentation or Augment(), unit[:5], self.size)
        row = partners.drawn(unit[5:], besides=draw.row)
        if mix is None or row is None:
            alone = Mix(1.0).target(sample.label, sample.label, partners.classes)
            return images, masks, sample.label, alone
        others, away = self._augmented(row, self.fitted(row), "partner", *named)
        label = self.samples[row].label
        shares = mix.target(sample.label, label, partners.classes)
        images = {name: mix.image(image, others[name]) for name, image in images.items()}
        masks = mix.masks(masks, away, alike=label == sample.label)
        return images, masks, label if mix.main else sample.label, shares

    def _augmented(
        self, row: int, fitted: tuple[Planes, Planes], *named: int | str
    ) -> tuple[Planes, Planes]:
        """Views and masks of a row, changed as is drawn for what is named."""
        images, masks = fitted
        if not self._changes or self.augmentation is None:
            return images, masks
        generator = keyed_generator(self.seed, *named)
        lend = None if self.lenders is None else partial(self._lent, self.lenders, row)
        return augment(images, masks, self.augmentation, generator, lend)

    def _mixed(self, parts: Sequence[Mixed], rows: Sequence[int]) -> Batch:
        images, masks, there = self._collated(parts)
        labels = torch.tensor([label for _, _, label, _ in parts])
        shares = torch.stack([shares for *_, shares in parts])
        return Batch(images, labels, self._index[rows], self._regions(masks, there), shares=shares)

    def _lent(self, lenders: Lenders, row: int, unit: list[float]) -> Loan | None:
        """What another sample lends to a row."""
        chosen = lenders.drawn(unit, besides=row)
        if chosen is None:
            return None
        index, other = chosen
        images, masks = self.fitted(other)
        (image,) = images.values()
        return Loan(image, masks[TARGET] == index, index)

    def _views(self, sample: Sample) -> Planes:
        images = {
            name: self.transform.load(path, black=name in ON_BLACK) for name, path in sample.views
        }
        if sample.draws_region:
            region = Where(self.transform).region(sample)
            grey = torch.ones(self.transform.size) if region is None else region
            images[REGION_VIEW] = (grey * 255).round().to(torch.uint8).expand(3, -1, -1)
        return images

    def _regions_of(self, sample: Sample) -> Planes:
        masks = self.where.masks(sample)
        used = {} if self.used is None else self.used.masks(sample)
        return masks | {USED + name: mask for name, mask in used.items()}

    def _masks(self, sample: Sample) -> Planes:
        masks = self._regions_of(sample)
        if self.classes is not None:
            assert sample.mask is not None
            size = image_size(sample.views[0][1])
            found = self.classes.read(sample.mask, size, max_pixels=self.transform.max_pixels)
            masks[TARGET] = self.transform.fit_target(found)
        return masks

    def _collated(self, items: Sequence[Item | Mixed]) -> tuple[Planes, Planes, Planes]:
        """Views, masks and whether these are there, as `Held.batch` gives them."""
        nothing = torch.zeros(self.size)
        images = {name: torch.stack([item[0][name] for item in items]) for name in items[0][0]}
        masks = {
            kind: torch.stack([item[1].get(kind, nothing) for item in items]) for kind in self.kinds
        }
        there = {kind: torch.tensor([kind in item[1] for item in items]) for kind in masks}
        return images, masks, there

    def _regions(self, masks: Planes, there: Planes, of: str = "") -> Regions | None:
        if f"{of}attend" not in masks:
            return None
        avoid, ignore = masks.get(f"{of}avoid"), masks.get(f"{of}ignore")
        return Regions(masks[f"{of}attend"], avoid, ignore, there[f"{of}attend"])


def padded(samples: Sequence[Sample]) -> Tensor | None:
    """The sets of labels (N, P) of samples, -1 behind each; None where they have none."""
    sets = [sample.labels for sample in samples]
    if None in sets or not sets:
        return None
    most = max(1, max(len(own) for own in sets if own is not None))
    rows = [[*own, *[-1] * (most - len(own))] for own in sets if own is not None]
    return torch.tensor(rows)


def truth_of(sets: Tensor, classes: int) -> Tensor:
    """Which classes each image is of, bool (B, K), from `Batch.sets`.

    Args:
        sets: class indices (B, P), -1 for none.
        classes: K.
    """
    truth = torch.zeros(len(sets), classes + 1, dtype=torch.bool, device=sets.device)
    truth.scatter_(1, torch.where(sets < 0, classes, sets), True)
    return truth[:, :classes]
