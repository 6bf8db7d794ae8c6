"""The training loop: epochs of steps, a measurement after each, checkpoints all along."""

import time
from pathlib import Path

import torch
from torch import Tensor

from regard.data.loader import epoch_order
from regard.data.sample import Draw
from regard.data.samples import Batch
from regard.errors import NumericalError, RunError
from regard.evaluation.direction import lower_is_better
from regard.guidance.combination import Combination
from regard.models.heads import freeze_backbone, train_mode
from regard.models.tensors import refuse_other_kinds
from regard.runs.checkpoints import (
    Checkpoint,
    drop_newer,
    flatten_optimiser,
    keep,
    point,
    point_again,
    prune,
    save,
    unflatten_optimiser,
)
from regard.runs.folder import RunFolder
from regard.runs.log import Log, Unwritten
from regard.training.measuring import Measuring
from regard.training.objective import objective_of
from regard.training.optimisers import LearningRate, build_optimiser, restore_formats
from regard.training.prepare import Prepared
from regard.training.progress import Progress
from regard.training.step import Stepper, blown_up
from regard.training.stopping import Interrupted, Stopping
from regard.training.watching import Watcher


class Trainer:
    """Trains, logs and saves; a killed run goes on from its last checkpoint, bit for bit.

    Args:
        prepared: of `prepare`.
        files: of the run.
        log: to append to.
        watcher: told of steps and epochs.

    Attributes:
        steps: optimiser steps in an epoch.
    """

    def __init__(
        self, prepared: Prepared, files: RunFolder, log: Log | Unwritten, watcher: Watcher
    ) -> None:
        self.group = prepared.group
        self.prepared, self.files, self.log, self.watcher = prepared, files, log, watcher
        self.folder = files.checkpoints
        self.how = prepared.config.training
        self.lower = lower_is_better(self.how.best)
        self.labels = [sample.label for sample in prepared.train.data.samples]
        self.progress = Progress(micro=self.how.batch_size)
        self.steps = -(-len(self.draws(0)) // (self.how.batch_size * self.how.accumulate))
        guidance = prepared.config.guidance
        self.combination = Combination(
            guidance.combine, prepared.terms, cross_entropy=guidance.cross_entropy
        ).to(next(prepared.net.parameters()).device)
        others = list(self.combination.parameters())
        self.optimiser = build_optimiser(prepared.net, self.how.optimiser, others)
        self.rate = LearningRate(
            self.optimiser,
            self.how.schedule,
            steps_per_epoch=self.steps,
            epochs=self.how.epochs,
            lower_is_better=self.lower,
        )
        samples = prepared.train.data.samples
        objective = objective_of(prepared.config, samples, prepared.pixels)
        self.stepper = Stepper(
            prepared, self.combination, self.optimiser, self.rate, self.steps, objective, self.note
        )
        if self.group.size > 1:
            self.stepper.summing.agree()
        self.measuring = Measuring(prepared, files, self.combination, objective)
        self.stopping = Stopping(many=self.group.size > 1)
        self._rows: list[int] = []
        self._saved_at = time.monotonic()

    def draws(self, epoch: int) -> list[Draw]:
        """The epoch's order of samples; it depends on seed and epoch alone."""
        how = self.how
        return epoch_order(self.labels, how.imbalance, seed=how.seed, epoch=epoch)

    def restore(self, saved: Checkpoint) -> None:
        """Go back to what a checkpoint holds.

        Raises:
            RunError: it is whole, and of another config than this one.
        """
        try:
            self._restore(saved)
        except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise RunError(
                str(saved.path),
                expected="the state of a training of this config",
                found=(str(error) or type(error).__name__).splitlines()[0][:160],
                remedy="restore the run's config.yaml, or train anew into another --out",
            ) from error
        last, best = saved.path.name, self.progress.best_step
        self.group.by_first(lambda: self._tidy(last, best))
        before = saved.state.get("processes", 1)
        if before != self.group.size:
            self.note(f"going on in {_processes(self.group.size)}, after {_processes(before)}")

    def _tidy(self, last: str, best: int | None) -> None:
        drop_newer(self.folder, last)
        point_again(self.folder, last, best)
        prune(self.folder)
        progress = self.progress
        ended = progress.epoch > 0 and progress.batch == 0
        if ended and self.measuring.keeps(progress.epoch):
            keep(self.folder, last, progress.epoch)  # the kill may have come before it

    def _restore(self, saved: Checkpoint) -> None:
        refuse_other_kinds(saved.model, self.prepared.net.state_dict())
        self.prepared.net.load_state_dict(saved.model)
        self.combination.restore(saved.state["combination"])
        rest = saved.state["optimiser"]
        self.optimiser.load_state_dict(unflatten_optimiser(saved.optimiser, rest))
        restore_formats(self.optimiser)
        self.rate.restore(saved.state["rate"])
        self.progress = Progress.restored(saved.state["progress"])
        self.stepper.guided.update(saved.state.get("guided", {}))

    def begin(self) -> None:
        """Save the first weights; where epoch 0 is kept, measure them too."""
        path = self.save()
        if self.measuring.keeps(0):
            record = {"train": self.measuring.gaze(0), **self.measuring.val(0)}
            self.log.write("untrained", epoch=0, step=0, **record)
            self.group.by_first(lambda: keep(self.folder, path.name, 0))

    def fit(self) -> Progress:
        """Train to the end.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the checkpoint is written.
            NumericalError: loss or gradient are not finite.
        """
        with self.stopping.listening():
            while self.progress.epoch < self.how.epochs and not self._stale():
                self._epoch()
        if self.progress.best_step is None:
            self.note(
                f"{self.how.best} was never a number, so no checkpoint is the best one: name one, "
                "as in regard evaluate RUN --checkpoint last"
            )
        return self.progress

    def _stale(self) -> bool:
        return self.how.patience is not None and self.progress.stale >= self.how.patience

    def _frozen(self) -> bool:
        return self.prepared.config.model.frozen(self.progress.epoch)

    def _epoch(self) -> None:
        frozen, epoch = self._frozen(), self.progress.epoch
        first = epoch == 0
        freeze_backbone(self.prepared.net, frozen)
        rest = self.prepared.config.model.freeze_bn
        train_mode(self.prepared.net, frozen=frozen, freeze_bn=rest)
        started = time.monotonic()
        for batch in self.prepared.train.batches(self.draws(epoch), self.progress.batch):
            self._step(batch)
            self.progress.seconds += time.monotonic() - started
            started = time.monotonic()
            due, asked = self._wishes()
            if due or asked:
                self.save()
            if asked:
                raise Interrupted(f"stopped after step {self.progress.step}")
        if first:
            self._tell_idle()
        self._end_epoch(started)

    def _tell_idle(self) -> None:
        """A term that could be computed of no image of a whole epoch has done nothing."""
        for name in (term.title for term in self.prepared.terms):
            if not self.stepper.guided[name]:
                self.note(
                    f"{name} has done nothing: no image of train has a region that it could be "
                    "computed of; regard data check lists those that are empty or everything"
                )

    def _step(self, batch: Batch) -> None:
        progress = self.progress
        taken = self.stepper.step(batch, progress.step, progress.micro)
        parts, progress.micro, self._rows = taken.parts, taken.micro, taken.rows
        progress.add(taken.correct, parts, taken.by)
        self.log.write("step", step=progress.step, epoch=progress.epoch, lr=self.rate.now, **parts)
        self.watcher.step(progress, self.steps, parts["loss"])

    def _end_epoch(self, started: float) -> None:
        progress, lr = self.progress, self.rate.now
        now = progress.epoch + 1
        record = {"train": progress.means() | self.measuring.gaze(now), **self.measuring.val(now)}
        metric = self.measuring.chosen_by(record, progress.epoch)
        better = progress.end_epoch(metric, lower=self.lower)
        self.rate.after_epoch(metric)
        progress.seconds += time.monotonic() - started
        told = {"epoch": progress.epoch, "step": progress.step, "lr": lr, **record}
        self.log.write("epoch", **told, best=better, seconds=round(progress.seconds, 3))
        path = self.save(best=better)
        if self.measuring.keeps(progress.epoch):
            self.group.by_first(lambda: keep(self.folder, path.name, progress.epoch))
        self.watcher.epoch({**told, "best": better, "checkpoint": path.name})

    def _wishes(self) -> tuple[bool, bool]:
        """Whether to save, by the first process's clock, and whether any was asked to stop."""
        told = self.group.gather((self._due(), self.stopping.asked))
        return told[0][0], any(asked for _, asked in told)

    def _due(self) -> bool:
        steps = self.how.checkpoint_steps
        by_steps = steps is not None and self.progress.step % steps == 0
        return by_steps or time.monotonic() - self._saved_at > 60 * self.how.checkpoint_minutes

    def save(self, *, best: bool = False) -> Path:
        """Write a checkpoint of this very moment.

        Raises:
            NumericalError: a weight is not finite; nothing is written then.
        """
        model = self.prepared.net.state_dict()
        if not all(bool(torch.isfinite(value).all()) for value in model.values()):
            raise NumericalError(
                blown_up(
                    f"weights after step {self.progress.step}", self.prepared.train.data, self._rows
                )
            )
        path = self.group.by_first(lambda: self._write(model, best))
        self._saved_at = time.monotonic()
        return path

    def _write(self, model: dict[str, Tensor], best: bool) -> Path:
        tensors, rest = flatten_optimiser(self.optimiser.state_dict())
        state = {
            "progress": self.progress.state(),
            "optimiser": rest,
            "rate": self.rate.state(),
            "combination": self.combination.state(),
            "guided": dict(self.stepper.guided),
            "log_bytes": self.log.sync(),
            "processes": self.group.size,
        }
        path = save(self.folder, self.progress.step, model, tensors, state)
        if best:
            point(self.folder, "best", path.name)
        prune(self.folder)
        return path

    def note(self, text: str) -> None:
        """Log something that a reader should know."""
        self.log.write("note", step=self.progress.step, text=text)
        self.watcher.note(text)


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"
