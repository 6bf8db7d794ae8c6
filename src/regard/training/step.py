"""One optimiser step over an effective batch, in parts that fit into memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from regard.data.keys import key
from regard.data.samples import Batch, Samples
from regard.errors import NumericalError
from regard.evaluation.predict import model_input
from regard.guidance.base import Term
from regard.guidance.combination import Combination, Divisors
from regard.guidance.forward import guided_forward
from regard.guidance.forward_pass import Donors, lenders
from regard.guidance.output import GuidedOutput
from regard.models.device import out_of_memory
from regard.models.patch_weighting import image_weights
from regard.saliency.capture import Images
from regard.saliency.outputs import logits_of
from regard.training.objective import Objective
from regard.training.optimisers import LearningRate
from regard.training.prepare import Prepared
from regard.training.teacher import Lesson, nowhere


@dataclass
class Stepper:
    """Takes optimiser steps.

    Attributes:
        prepared: net, terms, transform and config.
        combination: makes one loss of cross-entropy and terms.
        optimiser: moves the parameters.
        rate: sets the learning rate.
        steps: in an epoch.
        objective: what is learned.
        note: called with a text worth logging.
    """

    prepared: Prepared
    combination: Combination
    optimiser: torch.optim.Optimizer
    rate: LearningRate
    steps: int
    objective: Objective
    note: Callable[[str], None]

    @cached_property
    def net(self) -> nn.Module:
        """The net as it is run in a step."""
        net = self.prepared.net
        return torch.compile(net) if self.prepared.config.training.compile else net  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return next(self.prepared.net.parameters()).device

    def step(self, batch: Batch, step: int, micro: int) -> tuple[float, dict[str, float], int]:
        """Take one step; returns right answers, the loss's parts, and the micro-batch's size.

        A part that does not fit into memory is halved and the step begun again.

        Raises:
            NumericalError: the loss or the gradient is not finite; nothing has moved then.
        """
        while True:
            try:
                correct, parts = self.gradients(batch, step, micro)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error) or micro == 1:
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

    def gradients(self, batch: Batch, step: int, micro: int) -> tuple[float, dict[str, float]]:
        """Leave the gradient of a step; returns right answers, and the loss's parts."""
        self.optimiser.zero_grad(set_to_none=True)
        terms = warmed(self.prepared.terms, step / self.steps)
        by = self._divisors(batch, terms, step)
        lend = _lenders(batch) if any(term.lends for term in terms) else None
        # Dropout is keyed by the step, so a resumed run draws what the first one drew.
        _seed(self.device, key(self.prepared.config.training.seed, "step", step))
        correct, sums = 0.0, {}
        for start in range(0, len(batch), micro):
            rows = slice(start, start + micro)
            donors = None if lend is None else self._donors(batch, lend[rows])
            right, parts = self._part(batch[rows], step, terms, by, donors)
            correct += right
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
        return correct, sums

    def _part(
        self, part: Batch, step: int, terms: Sequence[Term], by: Divisors, donors: Donors | None
    ) -> tuple[float, dict[str, float]]:
        how, device = self.prepared.config.training, self.device
        images = model_input(part, self.prepared.transform, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=how.bf16):
            lesson = self._lesson(part, step)
            output = self._output(images, part, step, terms, donors, lesson)
        losses = self.objective.entropies(output.logits, part)
        others = self.objective.others(output.logits, part)
        if lesson is not None:
            others |= lesson.losses(output.logits, part)
        for name, (weight, own) in others.items():
            output.losses[name], output.weights[name] = own, weight
        by_image = image_weights(self.prepared.net, images)
        losses = losses if by_image is None else losses * by_image
        loss, parts = self.combination(losses, output, by)
        loss.backward()
        found = {"loss": float(loss.detach())} | {k: float(v.detach()) for k, v in parts.items()}
        return self.objective.right(output.logits.detach(), part), found

    def _output(
        self,
        images: Images,
        part: Batch,
        step: int,
        terms: Sequence[Term],
        donors: Donors | None,
        lesson: Lesson | None,
    ) -> GuidedOutput:
        """The net's pass, and with it the terms, those on a teacher's maps among them."""
        targets, regions = self.objective.asked(part, step) if terms else (part.labels, None)
        # Where no image has a region, there is nothing to compute the others of.
        wanted = () if regions is None else terms
        if lesson is not None and lesson.terms:
            wanted = (*wanted, *lesson.terms)
            if regions is None:
                targets, regions = part.labels.clamp_min(0), nowhere(part)
        if regions is None:
            return GuidedOutput(logits_of(self.net(images)))
        regions = regions.to(self.device)
        return guided_forward(self.net, images, targets, regions, wanted, donors=donors)

    def _lesson(self, part: Batch, step: int) -> Lesson | None:
        teacher = self.prepared.teacher
        if teacher is None:
            return None
        lesson = teacher.lesson(part)
        return replace(lesson, terms=warmed(lesson.terms, step / self.steps))

    def _divisors(self, batch: Batch, terms: Sequence[Term], step: int) -> Divisors:
        by, teacher = self.objective.divisors(batch, terms, step), self.prepared.teacher
        if teacher is None:
            return by
        return replace(by, terms=by.terms | teacher.divisors(batch))

    def _donors(self, batch: Batch, rows: Tensor) -> Donors:
        """The images in these rows of the whole batch, and their regions."""
        assert batch.regions is not None
        view = next(iter(batch.images.values()))[rows].to(self.device)
        regions = batch.regions.to(self.device).of(batch.labels.to(self.device))
        inside = regions.inside[rows.to(self.device)]
        return Donors(self.prepared.transform.normalise(view), inside)

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


def warmed(terms: Sequence[Term], epochs: float) -> tuple[Term, ...]:
    """The terms with the weights that they have after so many epochs."""
    return tuple(
        replace(term, weight=min(1.0, epochs / term.warmup_epochs) * term.weight)
        if term.warmup_epochs
        else term
        for term in terms
    )


def _seed(device: torch.device, number: int) -> None:
    """Seed what draws on a device; `torch.manual_seed` asks every backend, a tenth of a step."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def _lenders(batch: Batch) -> Tensor:
    assert batch.regions is not None
    return lenders(batch.regions.of(batch.labels).partial)


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
