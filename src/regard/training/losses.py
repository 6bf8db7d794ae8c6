"""Losses of each image, of its label, its set of labels or its pixels, and what classes weigh."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
    logsigmoid,
    one_hot,
)

from regard.data.mask_classes import VOID
from regard.data.settings import Task


def class_weights(labels: Sequence[int], classes: int, imbalance: str) -> Tensor | None:
    """Weights by inverse class frequency, with mean 1 over the images; None for no weights.

    With `both` the same weights come on top of oversampling, as published: the rarer a class,
    the more often it is drawn and the more it counts.
    """
    if imbalance not in ("weights", "both"):
        return None
    count = Counter(labels)
    counts = torch.tensor([float(count[k]) for k in range(classes)])
    return len(labels) / (classes * counts)


def entropies(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Weight x cross-entropy of each image (B,); smoothing spreads over all classes alike.

    Args:
        logits: (B, K).
        labels: class indices (B,), or of mixed images the shares (B, K) of the classes: then the
            mean of what each class would give, by its share.
        weights: (K,) of the classes, or None.
        smoothing: of the labels.
    """
    if labels.ndim == 2:
        by_class = -logits.float().log_softmax(1)
        smoothed = (1 - smoothing) * by_class + smoothing * by_class.mean(1, keepdim=True)
        return (smoothed * (labels if weights is None else labels * weights)).sum(1)
    losses = cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
    return losses if weights is None else losses * weights[labels]


def positive_weights(sets: Sequence[Sequence[int]], classes: int, imbalance: str) -> Tensor | None:
    """Weight (K,) of the positive part of each class's cross-entropy; None for no weights.

    (N - n) / n of n images that have the class, so that both parts count alike; at least 1 / n, or
    of a class that all images have nothing would be learned.

    Args:
        sets: class indices of each image.
        classes: K.
        imbalance: of the settings.
    """
    if imbalance != "weights":
        return None
    count = Counter(label for own in sets for label in own)
    counts = torch.tensor([float(count[k]) for k in range(classes)])
    return (len(sets) - counts).clamp_min(1) / counts


def set_entropies(
    logits: Tensor, truth: Tensor, weights: Tensor | None, smoothing: float = 0.0
) -> Tensor:
    """Binary cross-entropy (B,) of each image: the mean over its classes.

    -(w_k t_k log s(y_k) + (1 - t_k) log (1 - s(y_k))), s the sigmoid.

    Args:
        logits: (B, K).
        truth: (B, K), 1 where the image is of the class; shares in [0, 1] will do.
        weights: (K,) of the positive parts, or None.
        smoothing: t becomes t (1 - smoothing) + smoothing / 2.
    """
    wanted = truth.float() * (1 - smoothing) + smoothing / 2
    losses = binary_cross_entropy_with_logits(
        logits.float(), wanted, reduction="none", pos_weight=weights
    )
    return losses.mean(1)


def pixel_weights(counts: Tensor, imbalance: str) -> Tensor | None:
    """Weights (K,) of classes by the inverse of their share of the pixels; None for no weights.

    As of labels, so that the mean over all pixels is 1; a class without a pixel gets 0.

    Args:
        counts: (K,) pixels of each class.
        imbalance: of the settings.
    """
    if imbalance not in ("weights", "both"):
        return None
    there = counts > 0
    share = counts.double() / counts.sum().clamp_min(1)
    return torch.where(there, 1 / (share * there.sum()).clamp_min(1e-12), 0.0).float()


def pixel_entropies(
    logits: Tensor, target: Tensor, weights: Tensor | None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy (B,) of each image: the mean over its pixels, weighted by their classes.

    Args:
        logits: (B, K, H, W).
        target: (B, H, W) class indices, `VOID` where nothing is said: left out.
        weights: (K,) of the classes, or None.
        smoothing: of the classes.

    Returns:
        0 for an image of which nothing is said.
    """
    said = target != VOID
    # Void is any class here, and counts nothing below.
    known = torch.where(said, target, 0).long()
    losses = cross_entropy(logits.float(), known, reduction="none", label_smoothing=smoothing)
    weight = said.float() if weights is None else weights[known] * said
    sums = (losses * weight).flatten(1).sum(1)
    return sums / weight.flatten(1).sum(1).clamp_min(1e-12)


def dice_losses(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss (B,) of each image: 1 - 2 sum(p t) / (sum(p) + sum(t)), a mean over classes.

    Sums are over the pixels that are not void; the mean is over the classes that occur among them,
    so that an absent class neither helps nor hurts.

    Args:
        logits: (B, K, H, W).
        target: (B, H, W) class indices, `VOID` where nothing is said.

    Returns:
        0 for an image of which nothing is said.

    Reference: Milletari, Navab, Ahmadi, V-Net, arXiv:1606.04797, section 3, with sums in place of
    sums of squares, as in Sudre et al., arXiv:1707.03237, section 2.
    """
    said = (target != VOID)[:, None]
    probabilities = logits.float().softmax(1) * said
    classes = logits.shape[1]
    true = one_hot(torch.where(said[:, 0], target, 0).long(), classes).movedim(3, 1) * said
    shared = (probabilities * true).flatten(2).sum(2)
    of_class = true.flatten(2).sum(2)
    losses = 1 - 2 * shared / (probabilities.flatten(2).sum(2) + of_class).clamp_min(1e-12)
    there = of_class > 0
    return (losses * there).sum(1) / there.sum(1).clamp_min(1)


def softened(
    logits: Tensor, wanted: Tensor, temperature: float, task: Task, target: Tensor | None = None
) -> Tensor:
    """T^2 KL(teacher, student) (B,) of answers at a temperature.

    T^2 sum_k p_k log(p_k / q_k),  p = softmax(v / T),  q = softmax(z / T)

    of a segmenter the mean over its pixels that are not void; of sets of labels the mean over the
    classes, each of which has two answers: p = (s, 1 - s), s = sigmoid(v / T). T^2 keeps the size
    of the gradient as it is.

    Args:
        logits: z, the student's, (B, K), of a segmenter (B, K, H, W).
        wanted: v, the teacher's; of a segmenter at any size, which is brought to the student's.
        temperature: T.
        task: what is learned.
        target: (B, H, W) of a segmenter, `VOID` where nothing is said.

    Returns:
        0 for an image of which nothing is said.

    Reference: Hinton, Vinyals, Dean, Distilling the knowledge in a neural network,
    arXiv:1503.02531, section 2.
    """
    if wanted.shape != logits.shape:
        wanted = interpolate(wanted, logits.shape[2:], mode="bilinear", align_corners=False)
    z, v = logits.float() / temperature, wanted.float() / temperature
    if task == "multilabel":
        apart = _divergence(logsigmoid(z), logsigmoid(v)) + _divergence(
            logsigmoid(-z), logsigmoid(-v)
        )
        return temperature**2 * apart.mean(1)
    apart = temperature**2 * _divergence(z.log_softmax(1), v.log_softmax(1)).sum(1)
    if target is None:
        return apart
    said = (target != VOID).float()
    return (apart * said).flatten(1).sum(1) / said.flatten(1).sum(1).clamp_min(1)


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Of logarithms, element by element: p (log p - log q)."""
    return wanted.exp() * (wanted - found)
