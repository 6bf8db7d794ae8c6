"""One optimiser step over an effective batch, in parts that fit into memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.data.keys import key
from regard.data.samples import Batch, Samples
from regard.errors import NumericalError
from regard.evaluation.predict import model_input
from regard.guidance.forward import GuidedOutput, guided_forward
from regard.saliency.outputs import logits_of
from regard.training.losses import Divisors, divisors, loss_of
from regard.training.optimisers import LearningRate
from regard.training.prepare import Prepared


@dataclass
class Stepper:
    """Takes optimiser steps.

    Attributes:
        prepared: net, terms, transform and config.
        optimiser: moves the parameters.
        rate: sets the learning rate.
        weights: of the classes, on the CPU, or None.
        note: called with a text worth logging.
    """

    prepared: Prepared
    optimiser: torch.optim.Optimizer
    rate: LearningRate
    weights: Tensor | None
    note: Callable[[str], None]

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return next(self.prepared.net.parameters()).device

    def step(self, batch: Batch, step: int, micro: int) -> tuple[int, dict[str, float], int]:
        """Take one step; returns right answers, the loss's parts, and the micro-batch's size.

        A part that does not fit into memory is halved and the step begun again.

        Raises:
            NumericalError: the loss or the gradient is not finite; nothing has moved then.
        """
        while True:
            try:
                correct, parts = self._gradients(batch, step, micro)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or micro == 1:
                    raise
                micro = max(1, micro // 2)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.note(
                f"memory ran out: parts of {micro} images from here on, same gradient "
                "(batch norm sees smaller batches)"
            )
        self._refuse_non_finite(batch, parts)
        self.rate.before_step(step)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return correct, parts, micro

    def _gradients(self, batch: Batch, step: int, micro: int) -> tuple[int, dict[str, float]]:
        self.optimiser.zero_grad(set_to_none=True)
        by = divisors(batch.labels, batch.regions, self.prepared.terms, self.weights)
        # Dropout is keyed by the step, so a resumed run draws what the first one drew.
        torch.manual_seed(key(self.prepared.config.training.seed, "step", step))
        correct, sums = 0, {}
        for start in range(0, len(batch), micro):
            right, parts = self._part(batch[start : start + micro], by)
            correct += right
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
        return correct, sums

    def _part(self, part: Batch, by: Divisors) -> tuple[int, dict[str, float]]:
        how, device = self.prepared.config.training, self.device
        labels = part.labels.to(device)
        images = model_input(part, self.prepared.transform, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=how.bf16):
            output = self._forward(self.prepared.net, images, labels, part)
        weights = None if self.weights is None else self.weights.to(device)
        loss, parts = loss_of(output, labels, by, weights=weights, smoothing=how.label_smoothing)
        loss.backward()
        found = {"loss": float(loss.detach())} | {k: float(v.detach()) for k, v in parts.items()}
        return int((output.logits.argmax(1) == labels).sum()), found

    def _forward(
        self, net: nn.Module, images: Tensor | dict, labels: Tensor, part: Batch
    ) -> GuidedOutput:
        if part.regions is None or not self.prepared.terms:
            return GuidedOutput(logits_of(net(images)))
        regions = part.regions.to(self.device)
        return guided_forward(net, images, labels, regions, self.prepared.terms)

    def _refuse_non_finite(self, batch: Batch, parts: dict[str, float]) -> None:
        parameters = [p for p in self.prepared.net.parameters() if p.grad is not None]
        clip = self.prepared.config.training.clip
        norm = nn.utils.clip_grad_norm_(parameters, float("inf") if clip is None else clip)
        if bool(torch.isfinite(norm)) and all(map(_finite, parts.values())):
            return
        self.optimiser.zero_grad(set_to_none=True)
        values = ", ".join(f"{name} {value:.4g}" for name, value in parts.items())
        what = f"{values}, gradient norm {float(norm):.4g}"
        raise NumericalError(blown_up(what, self.prepared.train.data, batch.index.tolist()))


def blown_up(what: str, data: Samples, rows: Sequence[int]) -> str:
    """What is not finite, with the files of the batch, and what to do."""
    wanted = set(rows)
    files = [s.views[0][1] for s in data.samples if s.index in wanted]
    shown = ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")
    return (
        f"not finite: {what}; batch of {shown}; "
        "the last checkpoint is kept: lower training.optimiser.lr, or set training.clip"
    )


def _finite(value: float) -> bool:
    return abs(value) < float("inf")


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text
    )
