"""The metrics of one epoch, from a pass over val or the sample of train."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn.functional import cross_entropy

from regard.evaluation.predict import Predictions
from regard.guidance.base import Term
from regard.guidance.combination import Combination, Divisors
from regard.guidance.output import GuidedOutput
from regard.scores.base import SCORES


def measure(
    found: Predictions, combination: Combination, terms: Sequence[Term]
) -> dict[str, float]:
    """Loss, accuracy, balanced accuracy, macro F1 and gaze scores; NaN where undefined.

    Args:
        found: of `predict`.
        combination: for the total loss.
        terms: that it combines, with their full weights.
    """
    logits, labels = torch.from_numpy(found.logits), torch.from_numpy(found.labels)
    values = {"cross_entropy": float(cross_entropy(logits, labels))}
    values |= {f"loss.{name}": mean(losses) for name, losses in found.terms.items()}
    values["loss"] = _total(found, logits, labels, combination, terms)
    values |= _rates(found.logits.argmax(1), found.labels, found.logits.shape[1])
    scores = {n: SCORES[n].together(torch.from_numpy(rows)) for n, rows in found.gaze.items()}
    return values | scores


def gaze_by_image(found: Predictions) -> pl.DataFrame:
    """One row an image: label, prediction, scores of its map and losses of the terms."""
    scores = {name: values for name, values in found.gaze.items() if values.ndim == 1}
    losses = {f"loss.{name}": values for name, values in found.terms.items()}
    predicted = found.logits.argmax(1)
    fixed = {"index": found.index, "label": found.labels, "predicted": predicted}
    return pl.DataFrame({**fixed, "dead": found.dead, **scores, **losses}).sort("index")


def _total(
    found: Predictions,
    logits: Tensor,
    labels: Tensor,
    combination: Combination,
    terms: Sequence[Term],
) -> float:
    losses = {name: torch.from_numpy(values) for name, values in found.terms.items()}
    valid = {name: values.isfinite() for name, values in losses.items()}
    output = GuidedOutput(
        logits,
        losses={name: values.nan_to_num(0.0) for name, values in losses.items()},
        valid=valid,
        weights={term.title: term.weight for term in terms if term.title in losses},
    )
    counts = {name: max(1, int(some.sum())) for name, some in valid.items()}
    by = Divisors(float(len(labels)), counts, len(labels))
    with torch.no_grad():
        return float(combination(cross_entropy(logits, labels, reduction="none"), output, by)[0])


def mean(values: np.ndarray) -> float:
    """The mean of what is defined, NaN when nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _rates(predicted: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, float]:
    table = confusion_matrix(labels, predicted, labels=range(classes))
    right, true, said = table.diagonal(), table.sum(1), table.sum(0)
    present = true > 0
    f1 = 2 * right / np.maximum(true + said, 1)
    return {
        "accuracy": float(right.sum() / table.sum()),
        "balanced_accuracy": float((right[present] / true[present]).mean()),
        "f1": float(f1[present | (said > 0)].mean()),
    }
