"""The metrics of one epoch, from a pass over val or the sample of train."""

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch.nn.functional import cross_entropy

from regard.evaluation.predict import Predictions
from regard.scores.base import SCORES


def measure(found: Predictions, weights: dict[str, float]) -> dict[str, float]:
    """Loss, accuracy, balanced accuracy, macro F1 and gaze scores; NaN where undefined.

    Args:
        found: of `predict`.
        weights: of the guidance terms, for the total loss.
    """
    logits, labels = torch.from_numpy(found.logits), torch.from_numpy(found.labels)
    values = {"cross_entropy": float(cross_entropy(logits, labels))}
    values |= {f"loss.{name}": mean(losses) for name, losses in found.terms.items()}
    terms = [weights[name] * values[f"loss.{name}"] for name in found.terms]
    values["loss"] = values["cross_entropy"] + float(np.nansum(terms))
    values |= _rates(found.logits.argmax(1), found.labels, found.logits.shape[1])
    scores = {n: SCORES[n].together(torch.from_numpy(rows)) for n, rows in found.gaze.items()}
    return values | scores


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
