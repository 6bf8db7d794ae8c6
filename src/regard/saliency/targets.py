"""What to explain: a class for each image, or for a segmenter a class over some pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, cast

import torch
from torch import Tensor

from regard.errors import ModelError, TargetError


@dataclass(frozen=True)
class PixelTarget:
    """A segmenter's target: the sum of a class's logits over a set of pixels.

    Vinogradova et al., Seg-Grad-CAM, arXiv:2002.11434. An empty set gives a zero map.

    Attributes:
        class_index: the class, or of each image its own, ints (B,).
        where: `predicted` for the pixels where the class wins, a mask (B, H, W), or one
            pixel (row, column).
    """

    class_index: int | Tensor
    where: Literal["predicted"] | Tensor | tuple[int, int] = "predicted"

    def to(self, device: torch.device | str) -> "PixelTarget":
        """The same on another device."""
        index, where = self.class_index, self.where
        return PixelTarget(
            index.to(device) if isinstance(index, Tensor) else index,
            where.to(device) if isinstance(where, Tensor) else where,
        )


Targets = Tensor | Sequence[int] | int | PixelTarget | None


def resolve(targets: Targets, logits: Tensor) -> Tensor | PixelTarget:
    """Class indices (B,), or a pixel target, checked against the logits.

    Raises:
        TargetError: another number of targets than images, a class out of range, a segmenter
            without pixel target or a classifier with one.
        ModelError: logits of another shape than (B, K) or (B, K, H, W).
    """
    if logits.ndim not in (2, 4):
        raise ModelError(
            "net",
            expected="logits (B, K) or (B, K, H, W)",
            found=f"shape {tuple(logits.shape)}",
            remedy="wrap the net so that it returns logits",
        )
    if logits.ndim == 4 or isinstance(targets, PixelTarget):
        return _pixels(targets, logits)
    if targets is None:
        return logits.argmax(1)
    return _indices(_each(targets, len(logits)), logits)


def _each(targets: Tensor | Sequence[int] | int, images: int) -> Tensor | Sequence[int]:
    """One target for all, of numpy too, as one an image."""
    if isinstance(targets, Integral):
        return [int(targets)] * images
    return cast(Tensor | Sequence[int], targets)


def _indices(targets: Tensor | Sequence[int], logits: Tensor) -> Tensor:
    """Class indices (B,) on the logits' device; what comes from the CPU is checked there."""
    return class_indices(targets, len(logits), logits.shape[1]).to(logits.device)


def class_indices(
    targets: Tensor | Sequence[int] | int, images: int, classes: int | None = None
) -> Tensor:
    """Class indices (B,), where they are.

    Args:
        targets: a class for each of the images, or one for all.
        images: their number.
        classes: of the net, where that is known.

    Raises:
        TargetError: another number of them, no integers, or a class out of range.
    """
    indices = _tensor(_each(targets, images))
    if indices.shape != (images,) or indices.is_floating_point():
        raise TargetError(
            "targets",
            expected=f"{images} class indices, one an image",
            found=f"{indices.dtype} of shape {tuple(indices.shape)}",
            remedy="pass ints (B,), or None for the predicted class",
        )
    refuse_classes(indices, classes)
    # A tensor made in inference mode cannot be part of a graph; its copy can.
    return indices.long().clone()


def refuse_classes(indices: Tensor, classes: int | None) -> None:
    """Refuse an index below 0, or one of no class where their number is known.

    Raises:
        TargetError: an index below 0, or of no class.
    """
    outside = indices < 0 if classes is None else (indices < 0) | (indices >= classes)
    if bool(outside.any()):
        raise TargetError(
            "targets",
            expected="classes from 0 on" if classes is None else f"classes 0 to {classes - 1}",
            found=str(int(indices[outside][0])),
            remedy="check the labels against the net's classes",
        )


def _tensor(targets: Tensor | Sequence[int]) -> Tensor:
    try:
        return torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TargetError(
            "targets", expected="class indices", found=str(error), remedy="pass ints (B,)"
        ) from error


def _pixels(targets: Targets, logits: Tensor) -> PixelTarget:
    if logits.ndim == 2 or not isinstance(targets, PixelTarget):
        raise TargetError(
            "targets",
            expected="PixelTarget for a segmenter, classes for a classifier",
            found=f"{type(targets).__name__} with logits {tuple(logits.shape)}",
            remedy="pass regard.saliency.PixelTarget(class_index) for a segmenter",
        )
    index = targets.class_index
    of_each = _indices([index] * len(logits) if isinstance(index, int) else index, logits)
    chosen = index if isinstance(index, int) else of_each
    height, width = logits.shape[2:]
    match targets.where:
        case "predicted":
            # The pixels of this very pass, also where other pixels are tried.
            return PixelTarget(chosen, logits.argmax(1) == of_each[:, None, None])
        case Tensor():
            return PixelTarget(chosen, targets.where.to(logits.device))
        case (row, column) if 0 <= row < height and 0 <= column < width:
            return PixelTarget(chosen, targets.where)
    raise TargetError(
        "targets",
        expected=f"where: predicted, a mask, or a pixel (row, column) of {height} x {width}",
        found=str(targets.where),
        remedy="correct PixelTarget.where",
    )


def classes_of(targets: Tensor | PixelTarget, images: int) -> Tensor:
    """The class (B,) of each image."""
    if isinstance(targets, Tensor):
        return targets
    index = targets.class_index
    return torch.full((images,), index) if isinstance(index, int) else index


def of_rows(target: Tensor | PixelTarget, rows: Tensor | None) -> Tensor | PixelTarget:
    """The target of some of the batch's images; None: of all."""
    if rows is None:
        return target
    if isinstance(target, Tensor):
        return target[rows]
    index, where = target.class_index, target.where
    return PixelTarget(
        index[rows] if isinstance(index, Tensor) else index,
        where[rows] if isinstance(where, Tensor) else where,
    )


def is_empty(target: Tensor | PixelTarget) -> Tensor | None:
    """Which images (B,) have a pixel target without pixels; None if none can."""
    if isinstance(target, Tensor) or not isinstance(target.where, Tensor):
        return None
    return ~target.where.flatten(1).any(1)


def pixel_count(target: Tensor | PixelTarget) -> Tensor | int:
    """Of how many logits of an image `value` is the sum, (B,) or 1; at least 1."""
    if isinstance(target, Tensor) or not isinstance(target.where, Tensor):
        return 1
    return target.where.flatten(1).sum(1).clamp_min(1)


def value(logits: Tensor, target: Tensor | PixelTarget) -> Tensor:
    """The number (B,) that is explained: a logit, or the sum of a class's logits.

    Raises:
        TargetError: a mask of another shape than the logits.
    """
    if isinstance(target, Tensor):
        return logits.gather(1, target[:, None])[:, 0]
    chosen = _of_class(logits, target.class_index)
    if not isinstance(target.where, Tensor):
        assert not isinstance(target.where, str)  # resolved
        row, column = target.where
        return chosen[:, row, column]
    mask = target.where.to(logits, copy=True)
    if mask.shape != chosen.shape:
        raise TargetError(
            "targets",
            expected=f"a mask of shape {tuple(chosen.shape)}",
            found=f"{tuple(mask.shape)}",
            remedy="resize the mask to the logits",
        )
    return (chosen * mask).sum((1, 2))


def _of_class(logits: Tensor, index: int | Tensor) -> Tensor:
    """The logits (B, H, W) of one class, or of each image's own."""
    if isinstance(index, int):
        return logits[:, index]
    return logits[torch.arange(len(logits), device=logits.device), index]
