"""One optimiser step over an effective batch, in parts that fit into memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
from regard.guidance.forward_pass import Donors
from regard.guidance.output import GuidedOutput
from regard.models.device import lacking, out_of_memory, release
from regard.models.patch_weighting import image_weights
from regard.saliency.capture import Images
from regard.saliency.outputs import logits_of
from regard.training.objective import Objective
from regard.training.optimisers import LearningRate
from regard.training.prepare import Prepared
from regard.training.statistics import Statistics
from regard.training.summing import Summing
from regard.training.teacher import Lesson, nowhere
from regard.training.whole import Taken, Work, whole


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
        guided: by term, images that it was computed of so far.
    """

    prepared: Prepared
    combination: Combination
    optimiser: torch.optim.Optimizer
    rate: LearningRate
    steps: int
    objective: Objective
    note: Callable[[str], None]
    guided: Counter[str] = field(default_factory=Counter)

    @cached_property
    def net(self) -> nn.Module:
        """The net as it is run in a step."""
        net = self.prepared.net
        return torch.compile(net) if self.prepared.config.training.compile else net  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return next(self.prepared.net.parameters()).device

    @cached_property
    def statistics(self) -> Statistics:
        """What a pass moves beside the gradient."""
        return Statistics(self.prepared.net)

    @cached_property
    def summing(self) -> Summing:
        """Adds up over processes."""
        others = list(self.combination.parameters())
        return Summing(self.prepared.net, others, self.prepared.group)

    def work(self, batch: Batch, step: int) -> Work:
        """What is to be done of a step, whose batch or share of it this is."""
        terms = warmed(self.prepared.terms, step / self.steps)
        own = self._divisors(batch, terms, step)
        known = whole(self.prepared.group, own, batch, terms)
        return Work(batch, step, terms, known)

    def step(self, batch: Batch, step: int, micro: int) -> Taken:
        """Take one step.

        A part that does not fit into memory is halved and the step begun again.

        Args:
            batch: of the step; of several processes each has its share.
            step: its number.
            micro: images a forward pass.

        Raises:
            NumericalError: the loss or the gradient is not finite; nothing has moved then.
            RunError: not even one image fits into memory.
        """
        work = self.work(batch, step)
        if self.prepared.group.size > 1:
            self.summing.begin()
        self.statistics.keep()
        while True:
            try:
                correct, parts = self.gradients(work, micro)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if micro == 1:
                    raise lacking(str(self.device), error) from error
                micro = max(1, min(micro, len(batch)) // 2)
            release(self.device)
            self.statistics.restore()
            self.note(_smaller(micro))
        taken = Taken(work.whole.rows, correct, parts, work.whole.by, micro)
        if self.prepared.group.size > 1:
            taken = self._together(taken, work.whole.share)
        self._refuse_non_finite(taken, self._clipped())
        self.guided.update(taken.by.terms)
        self.rate.before_step(step)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return taken

    def _together(self, own: Taken, share: float) -> Taken:
        """The whole step from its shares; every process then has the whole gradient."""
        found = self.prepared.group.gather((own, self.summing.found()))
        self.summing.add([flags for _, flags in found], share)
        each = [taken for taken, _ in found]
        micro = min(taken.micro for taken in each)
        if micro < own.micro:
            self.note(_smaller(micro))
        # The first process always has an image, and so all parts.
        parts = {name: sum(t.parts.get(name, 0.0) for t in each) for name in each[0].parts}
        return replace(own, correct=sum(taken.correct for taken in each), parts=parts, micro=micro)

    def gradients(self, work: Work, micro: int) -> tuple[float, dict[str, float]]:
        """Leave the gradient of a step; returns right answers, and the loss's parts."""
        self.optimiser.zero_grad(set_to_none=True)
        # Dropout is keyed by the step, so a resumed run draws what the first one drew.
        number, seed = self.prepared.group.number, self.prepared.config.training.seed
        _seed(self.device, key(seed, "step", work.step, *([number] if number else [])))
        correct, sums = 0.0, {}
        for start in range(0, len(work.batch), micro):
            rows = slice(start, start + micro)
            right, parts = self._part(work.batch[rows], work, self._donors(work, rows))
            correct += right
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
        return correct, sums

    def _donors(self, work: Work, rows: slice) -> Donors | None:
        lending = work.whole.lending
        if lending is None:
            return None
        return lending.donors(rows, self.prepared.transform, self.device)

    def _part(
        self, part: Batch, work: Work, donors: Donors | None
    ) -> tuple[float, dict[str, float]]:
        how, device = self.prepared.config.training, self.device
        images = model_input(part, self.prepared.transform, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=how.bf16):
            lesson = self._lesson(part, work.step)
            output = self._output(images, part, work, donors, lesson)
        losses = self.objective.entropies(output.logits, part)
        others = self.objective.others(output.logits, part)
        if lesson is not None:
            others |= lesson.losses(output.logits, part)
        for name, (weight, own) in others.items():
            output.losses[name], output.weights[name] = own, weight
        by_image = image_weights(self.prepared.net, images)
        losses = losses if by_image is None else losses * by_image
        loss, parts = self.combination(losses, output, work.whole.by)
        loss.backward()
        found = {"loss": float(loss.detach())} | {k: float(v.detach()) for k, v in parts.items()}
        return self.objective.right(output.logits.detach(), part), found

    def _output(
        self,
        images: Images,
        part: Batch,
        work: Work,
        donors: Donors | None,
        lesson: Lesson | None,
    ) -> GuidedOutput:
        """The net's pass, and with it the terms, those on a teacher's maps among them."""
        terms = work.terms
        targets, regions = self.objective.asked(part, work.step) if terms else (part.labels, None)
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
        if not len(batch):
            return Divisors(0.0, {}, 0)
        by, teacher = self.objective.divisors(batch, terms, step), self.prepared.teacher
        if teacher is None:
            return by
        return replace(by, terms=by.terms | teacher.divisors(batch))

    def _clipped(self) -> Tensor:
        """The norm of the net's gradient, which is made no longer than `training.clip`."""
        parameters = [p for p in self.prepared.net.parameters() if p.grad is not None]
        clip = self.prepared.config.training.clip
        return nn.utils.clip_grad_norm_(parameters, float("inf") if clip is None else clip)

    def _refuse_non_finite(self, taken: Taken, norm: Tensor) -> None:
        if bool(torch.isfinite(norm)) and all(map(_finite, taken.parts.values())):
            return
        self.optimiser.zero_grad(set_to_none=True)
        values = ", ".join(f"{name} {value:.4g}" for name, value in taken.parts.items())
        what = f"{values}, gradient norm {float(norm):.4g}"
        raise NumericalError(blown_up(what, self.prepared.train.data, taken.rows))


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


def _smaller(micro: int) -> str:
    return (
        f"memory ran out: parts of {micro} images from here on, same gradient "
        "(batch norm sees smaller batches)"
    )


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
