"""What a net is trained on: the labels of images, sets of them, or the classes of their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from regard.data.annotation import Annotation, Frame
from regard.data.keys import keyed_generator
from regard.data.mask_classes import VOID
from regard.data.pixel_regions import present_classes, regions_of
from regard.data.regions import Regions
from regard.data.sample import Sample
from regard.data.samples import Batch, truth_of
from regard.guidance.base import Term
from regard.guidance.combination import Divisors, divisors
from regard.saliency.targets import PixelTarget
from regard.training.config import Config
from regard.training.losses import (
    class_weights,
    dice_losses,
    entropies,
    pixel_entropies,
    pixel_weights,
    positive_weights,
    set_entropies,
)


class Objective(Protocol):
    """The losses of images, how they are averaged, and what guidance asks about."""

    def divisors(self, batch: Batch, terms: Sequence[Term], step: int) -> Divisors:
        """What sums over an effective batch are divided by."""
        ...

    def asked(self, part: Batch, step: int) -> tuple[Tensor | PixelTarget, Regions | None]:
        """What terms explain in a step, and where the evidence for it should be."""
        ...

    def entropies(self, logits: Tensor, part: Batch) -> Tensor:
        """The cross-entropy (B,) of each image, times its weight."""
        ...

    def others(self, logits: Tensor, part: Batch) -> dict[str, tuple[float, Tensor]]:
        """Further losses by name: weight, and (B,)."""
        ...

    def right(self, logits: Tensor, part: Batch) -> float:
        """Right answers, counted in images."""
        ...


@dataclass(frozen=True)
class OfLabels:
    """The cross-entropy of images' labels, of mixed images by the shares of the classes.

    Attributes:
        weights: of the classes, on the CPU, or None.
        smoothing: of the labels.
    """

    weights: Tensor | None = None
    smoothing: float = 0.0

    def divisors(self, batch: Batch, terms: Sequence[Term], step: int) -> Divisors:
        """By the class weights of the labels, of mixed images by their shares."""
        by = divisors(batch.labels, batch.regions, terms, self.weights)
        if batch.shares is None or self.weights is None:
            return by
        return replace(by, cross_entropy=float((batch.shares @ self.weights).sum()))

    def asked(self, part: Batch, step: int) -> tuple[Tensor | PixelTarget, Regions | None]:
        """The labels, and the regions of the samples; of mixed images for the larger share."""
        return part.labels, part.regions

    def entropies(self, logits: Tensor, part: Batch) -> Tensor:
        """Of each image."""
        labels = (part.labels if part.shares is None else part.shares).to(logits.device)
        weights = None if self.weights is None else self.weights.to(logits.device)
        return entropies(logits, labels, weights, self.smoothing)

    def others(self, logits: Tensor, part: Batch) -> dict[str, tuple[float, Tensor]]:
        """None."""
        return {}

    def right(self, logits: Tensor, part: Batch) -> float:
        """Images whose label, of mixed ones that of the larger share, has the highest logit."""
        return float((logits.argmax(1) == part.labels.to(logits.device)).sum())


@dataclass(frozen=True)
class OfSets:
    """The binary cross-entropy of images' sets of labels, class by class.

    Attributes:
        weights: of the classes' positive parts, on the CPU, or None.
        smoothing: of the labels.
    """

    weights: Tensor | None = None
    smoothing: float = 0.0

    def divisors(self, batch: Batch, terms: Sequence[Term], step: int) -> Divisors:
        """By the images."""
        return divisors(batch.labels, batch.regions, terms)

    def asked(self, part: Batch, step: int) -> tuple[Tensor | PixelTarget, Regions | None]:
        """Of each image one of its labels, drawn with the sample, and the region of that label.

        Of an image without labels any class: its region is missing, so no term counts it.
        """
        return part.labels.clamp_min(0), part.regions

    def entropies(self, logits: Tensor, part: Batch) -> Tensor:
        """Of each image, the mean over the classes."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        return set_entropies(logits, _truth(part, logits), weights, self.smoothing)

    def others(self, logits: Tensor, part: Batch) -> dict[str, tuple[float, Tensor]]:
        """None."""
        return {}

    def right(self, logits: Tensor, part: Batch) -> float:
        """Images whose whole set is right, a class being predicted where its logit is above 0."""
        return float(((logits > 0) == _truth(part, logits)).all(1).sum())


@dataclass(frozen=True)
class OfMasks:
    """The cross-entropy of pixels, and the Dice loss; pixels of which nothing is said are left out.

    Attributes:
        weights: of the classes, on the CPU, or None.
        smoothing: of the classes of pixels.
        dice: weight of the Dice loss beside that of the cross-entropy.
        seed: of the classes that terms ask about.
        annotation: how the pixels of a class are used as its region.
    """

    weights: Tensor | None = None
    smoothing: float = 0.0
    dice: float = 1.0
    seed: int = 0
    annotation: Annotation = field(default_factory=Annotation)

    def divisors(self, batch: Batch, terms: Sequence[Term], step: int) -> Divisors:
        """By the images of which something is said."""
        told = int((_target(batch) != VOID).flatten(1).any(1).sum())
        by_name = {"dice": told}
        if terms:
            _, regions = self.asked(batch, step)
            by_name |= divisors(batch.labels, regions, terms).terms
        return Divisors(float(told), by_name, len(batch), told)

    def asked(self, part: Batch, step: int) -> tuple[Tensor | PixelTarget, Regions | None]:
        """Of each image one of the classes that it holds, over its true pixels, its region too.

        Drawn anew in each step, all alike, so that a rare class is asked about as often as a
        common one of the same images.
        """
        target = _target(part)
        present = present_classes(target, VOID)
        drawn = torch.tensor(
            [self._drawn(own, index, step) for own, index in zip(present, part.index, strict=True)]
        )
        regions, annotation = regions_of(target, drawn), self.annotation
        pixels = PixelTarget(drawn, regions.attend)
        if not annotation.changes:
            return pixels, regions
        rows = zip(regions.attend, part.index.tolist(), target != VOID, strict=True)
        placed = torch.stack(
            [annotation.region(own, index, _frame(told)) for own, index, told in rows]
        )
        return pixels, Regions(placed, ignore=regions.ignore, present=regions.present)

    def _drawn(self, present: Tensor, index: Tensor, step: int) -> int:
        """A class of those present; 0, which is then missing, where there is none."""
        classes = present.nonzero().flatten()
        if not len(classes):
            return 0
        generator = keyed_generator(self.seed, "class", step, int(index))
        return int(classes[torch.randint(len(classes), (1,), generator=generator)])

    def entropies(self, logits: Tensor, part: Batch) -> Tensor:
        """Of each image, the mean over its pixels."""
        target = _target(part).to(logits.device)
        weights = None if self.weights is None else self.weights.to(logits.device)
        return pixel_entropies(logits, target, weights, self.smoothing)

    def others(self, logits: Tensor, part: Batch) -> dict[str, tuple[float, Tensor]]:
        """The Dice loss."""
        if not self.dice:
            return {}
        return {"dice": (self.dice, dice_losses(logits, _target(part).to(logits.device)))}

    def right(self, logits: Tensor, part: Batch) -> float:
        """Shares of right pixels, summed over the images."""
        target = _target(part).to(logits.device)
        said = (target != VOID).flatten(1)
        right = (logits.argmax(1) == target).flatten(1) & said
        return float((right.sum(1) / said.sum(1).clamp_min(1)).sum())


def objective_of(config: Config, samples: Sequence[Sample], pixels: Tensor | None) -> Objective:
    """What a config asks to learn.

    Args:
        config: resolved.
        samples: of the train split.
        pixels: (K,) of each class in its masks, of a segmenter.
    """
    how, classes = config.training, len(config.classes or ())
    match config.data.task:
        case "segmentation":
            assert pixels is not None
            return OfMasks(
                pixel_weights(pixels, how.imbalance),
                how.label_smoothing,
                how.dice,
                how.seed,
                Annotation(config.guidance.regions, config.guidance.dilate, how.seed),
            )
        case "multilabel":
            sets = [sample.labels or () for sample in samples]
            return OfSets(positive_weights(sets, classes, how.imbalance), how.label_smoothing)
    labels = [sample.label for sample in samples]
    return OfLabels(class_weights(labels, classes, how.imbalance), how.label_smoothing)


def _truth(batch: Batch, logits: Tensor) -> Tensor:
    """Which classes each image is of, (B, K), where the logits are."""
    assert batch.sets is not None
    return truth_of(batch.sets.to(logits.device), logits.shape[1])


def _frame(told: Tensor) -> Frame | None:
    """The edges of the part of an image (H, W) of which something is said; None of none."""
    rows, columns = (told.any(axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _target(batch: Batch) -> Tensor:
    assert batch.target is not None
    return batch.target
