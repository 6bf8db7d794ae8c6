"""The metrics of one epoch, from a pass over val or the sample of train."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn.functional import cross_entropy

from regard.evaluation.multilabel import set_metrics
from regard.evaluation.predict import Predictions
from regard.guidance.base import Term
from regard.guidance.combination import Combination, Divisors
from regard.guidance.output import GuidedOutput
from regard.scores.base import SCORES
from regard.training.losses import set_entropies

OF_LABELS = ("accuracy", "balanced_accuracy", "f1_macro")
OF_SETS = ("accuracy", "map", "f1_macro", "f1_micro", "f1_samples", "hamming_loss")


def measure(
    found: Predictions, combination: Combination, terms: Sequence[Term]
) -> dict[str, float]:
    """Loss, rates of right answers and gaze scores; NaN where undefined.

    Rates are `OF_LABELS`, or of sets of labels `OF_SETS`; see `evaluation` for what they are.

    Args:
        found: of `predict`.
        combination: for the total loss.
        terms: that it combines, with their full weights.
    """
    values = {"cross_entropy": float(_entropies(found, "mean"))}
    values |= {f"loss.{name}": mean(losses) for name, losses in found.terms.items()}
    values["loss"] = _total(found, combination, terms)
    values |= _rates(found)
    scores = {n: SCORES[n].together(torch.from_numpy(rows)) for n, rows in found.gaze.items()}
    return values | scores


def gaze_by_image(found: Predictions) -> pl.DataFrame:
    """One row an image: label, prediction, scores of its map and losses of the terms."""
    scores = {name: values for name, values in found.gaze.items() if values.ndim == 1}
    losses = {f"loss.{name}": values for name, values in found.terms.items()}
    predicted = found.logits.argmax(1)
    fixed = {"index": found.index, "label": found.labels, "predicted": predicted}
    return pl.DataFrame({**fixed, "dead": found.dead, **scores, **losses}).sort("index")


def _entropies(found: Predictions, reduction: Literal["mean", "none"]) -> Tensor:
    """The cross-entropy (N,) of each image, without weights and smoothing, or its mean."""
    logits = torch.from_numpy(found.logits)
    if found.truth is None:
        return cross_entropy(logits, torch.from_numpy(found.labels), reduction=reduction)
    losses = set_entropies(logits, torch.from_numpy(found.truth), None)
    return losses.mean() if reduction == "mean" else losses


def _total(found: Predictions, combination: Combination, terms: Sequence[Term]) -> float:
    losses = {name: torch.from_numpy(values) for name, values in found.terms.items()}
    valid = {name: values.isfinite() for name, values in losses.items()}
    output = GuidedOutput(
        torch.from_numpy(found.logits),
        losses={name: values.nan_to_num(0.0) for name, values in losses.items()},
        valid=valid,
        weights={term.title: term.weight for term in terms if term.title in losses},
    )
    counts = {name: max(1, int(some.sum())) for name, some in valid.items()}
    entropies = _entropies(found, "none")
    by = Divisors(float(len(entropies)), counts, len(entropies))
    with torch.no_grad():
        return float(combination(entropies, output, by)[0])


def mean(values: np.ndarray) -> float:
    """The mean of what is defined, NaN when nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _rates(found: Predictions) -> dict[str, float]:
    if found.truth is None:
        return _of_labels(found.logits.argmax(1), found.labels, found.logits.shape[1])
    values = set_metrics(found.truth, found.probabilities)
    return {name: values[name] for name in OF_SETS}


def _of_labels(predicted: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, float]:
    table = confusion_matrix(labels, predicted, labels=range(classes))
    right, true, said = table.diagonal(), table.sum(1), table.sum(0)
    present = true > 0
    f1 = 2 * right / np.maximum(true + said, 1)
    return {
        "accuracy": float(right.sum() / table.sum()),
        "balanced_accuracy": float((right[present] / true[present]).mean()),
        "f1_macro": float(f1[present | (said > 0)].mean()),
    }
