"""The metrics of one epoch of a segmenter, from a pass over val at the input size."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from regard.data.mask_classes import VOID
from regard.data.samples import Batch
from regard.data.transforms import Transform
from regard.evaluation.pixels import pixel_confusion
from regard.evaluation.predict import model_input
from regard.evaluation.segmentation import pooled_metrics
from regard.models.fitting import fitted
from regard.saliency.capture import evaluating
from regard.saliency.outputs import logits_of
from regard.training.objective import Objective

SHOWN = ("accuracy", "mean_iou", "mean_dice", "balanced_accuracy")


@dataclass
class MaskTally:
    """What is counted of some images, to be added up.

    Attributes:
        counts: int64 (K, K), pixels by true and predicted class.
        sums: of the losses over the images, by name.
        weights: of the losses.
        told: images of which something is said.
        blown: rows in the manifest whose logits are not finite.
    """

    counts: np.ndarray
    sums: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    told: int = 0
    blown: list[int] = field(default_factory=list)

    def lose(self, name: str, weight: float, total: float) -> None:
        """Count a loss of some images."""
        self.weights[name] = weight
        self.sums[name] = self.sums.get(name, 0.0) + total

    def add(self, other: "MaskTally") -> None:
        """Count what another one has counted."""
        self.counts = self.counts + other.counts
        for name, total in other.sums.items():
            self.lose(name, other.weights[name], total)
        self.told += other.told
        self.blown += other.blown

    def metrics(self) -> dict[str, float]:
        """Losses, and the metrics of the pooled pixels; NaN where undefined."""
        means = {name: total / max(self.told, 1) for name, total in self.sums.items()}
        values = {"cross_entropy": means["cross_entropy"]}
        values |= {f"loss.{name}": m for name, m in means.items() if name != "cross_entropy"}
        values["loss"] = sum(self.weights[name] * mean for name, mean in means.items())
        found = pooled_metrics(self.counts)
        return values | {name: found[name] for name in SHOWN}


@torch.no_grad()
def tally_masks(
    net: nn.Module,
    batches: Iterable[Batch],
    transform: Transform,
    objective: Objective,
    *,
    classes: int,
    cross_entropy: float = 1.0,
    bf16: bool = False,
) -> MaskTally:
    """Count the pixels of batches, and add up their losses.

    Args:
        net: left in its own mode afterwards.
        batches: of a loader, with targets.
        transform: normalises them.
        objective: whose losses are asked for.
        classes: K.
        cross_entropy: its weight in the loss.
        bf16: run the net under autocast in bfloat16.
    """
    device = next(net.parameters()).device
    found = MaskTally(np.zeros((classes, classes), np.int64))

    def ask(batch: Batch) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return logits_of(net(model_input(batch, transform, device))).float()

    with evaluating(net):
        for batch, logits in fitted(batches, ask, device):
            found.blown += batch.index[~logits.isfinite().flatten(1).all(1).cpu()].tolist()
            parts = {"cross_entropy": (cross_entropy, objective.entropies(logits, batch))}
            for name, (weight, losses) in (parts | objective.others(logits, batch)).items():
                found.lose(name, weight, float(losses.sum()))
            assert batch.target is not None
            found.told += int((batch.target != VOID).flatten(1).any(1).sum())
            for guess, true in zip(
                logits.argmax(1).cpu().numpy(), batch.target.numpy(), strict=True
            ):
                found.counts += pixel_confusion(guess, true, classes)
    return found
