"""The metrics of one epoch of a segmenter, from a pass over val at the input size."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from regard.data.mask_classes import VOID
from regard.data.samples import Batch
from regard.data.transforms import Transform
from regard.evaluation.pixels import pixel_confusion
from regard.evaluation.predict import model_input
from regard.evaluation.segmentation import pooled_metrics
from regard.saliency.capture import evaluating
from regard.saliency.outputs import logits_of
from regard.training.objective import Objective

SHOWN = ("accuracy", "mean_iou", "mean_dice", "balanced_accuracy")


@torch.no_grad()
def measure_masks(
    net: nn.Module,
    batches: Iterable[Batch],
    transform: Transform,
    objective: Objective,
    *,
    classes: int,
    cross_entropy: float = 1.0,
    bf16: bool = False,
) -> tuple[dict[str, float], list[int]]:
    """Losses, and the metrics of the pooled pixels; NaN where undefined.

    Args:
        net: left in its own mode afterwards.
        batches: of a loader, with targets.
        transform: normalises them.
        objective: whose losses are asked for.
        classes: K.
        cross_entropy: its weight in the loss.
        bf16: run the net under autocast in bfloat16.

    Returns:
        The metrics by name, and the rows in the manifest whose logits are not finite.
    """
    device = next(net.parameters()).device
    counts, sums, told = np.zeros((classes, classes), np.int64), {}, 0
    blown: list[int] = []
    with evaluating(net):
        for batch in batches:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = logits_of(net(model_input(batch, transform, device))).float()
            blown += batch.index[~logits.isfinite().flatten(1).all(1).cpu()].tolist()
            parts = {"cross_entropy": (cross_entropy, objective.entropies(logits, batch))}
            for name, (weight, losses) in (parts | objective.others(logits, batch)).items():
                before = sums.get(name, (weight, 0.0))[1]
                sums[name] = weight, before + float(losses.sum())
            assert batch.target is not None
            told += int((batch.target != VOID).flatten(1).any(1).sum())
            for guess, true in zip(
                logits.argmax(1).cpu().numpy(), batch.target.numpy(), strict=True
            ):
                counts += pixel_confusion(guess, true, classes)
    means = {name: (weight, total / max(told, 1)) for name, (weight, total) in sums.items()}
    values = {"cross_entropy": means["cross_entropy"][1]}
    values |= {f"loss.{name}": mean for name, (_, mean) in means.items() if name != "cross_entropy"}
    values["loss"] = sum(weight * mean for weight, mean in means.values())
    found = pooled_metrics(counts)
    return values | {name: found[name] for name in SHOWN}, blown
