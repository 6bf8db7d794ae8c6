"""One of several processes that train together; see `in_processes`."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import torch

import regard
from forked import Forked
from processes import until
from regard.errors import LostProcessError
from regard.evaluation.predict import model_input
from regard.models.heads import train_mode
from regard.runs.folder import RunFolder
from regard.runs.log import Unwritten
from regard.training import step as stepping
from regard.training.group import ALONE, taking_part
from regard.training.joining import joined
from regard.training.loop import Trainer
from regard.training.prepare import prepare
from regard.training.teacher import Teacher
from regard.training.train import resume
from regard.training.watching import Silent
from tinyset import SEGMENTER, SETS, config_of

PLAIN = ("model.spec=regard:cnn1", "training.batch_size=4")  # no batch norm
# What a step may be made of: the set, its base, and changes.
CASES = {
    "plain": ("tiny", PLAIN),
    "in parts": ("tiny", (*PLAIN, "training.batch_size=1", "training.accumulate=4")),
    "frozen norms": (
        "tiny",
        ("model.freeze_bn=true", "training.batch_size=4", "guidance.terms=[{term: l1}]"),
    ),
    "weights": ("tiny", (*PLAIN, "training.imbalance=both", "training.label_smoothing=0.1")),
    "energy": ("tiny", (*PLAIN, "guidance.terms=[{term: energy, weight: 0.7}]")),
    "rrr": ("tiny", (*PLAIN, "guidance.terms=[{term: rrr, weight: 0.1}]")),
    "background_swap": ("tiny", (*PLAIN, "guidance.terms=[{term: background_swap}]")),
    "sum": (
        "tiny",
        (*PLAIN, "guidance.terms=[{term: energy}, {term: gradmask}, {term: masked_input}]"),
    ),
    "uncertainty": (
        "tiny",
        (
            *PLAIN,
            "guidance.terms=[{term: energy}, {term: background_swap}]",
            "guidance.combine=uncertainty",
            "training.imbalance=weights",
        ),
    ),
    "product": ("tiny", (*PLAIN, "guidance.terms=[{term: energy}]", "guidance.combine=product")),
    "quotient": ("tiny", (*PLAIN, "guidance.terms=[{term: iou}]", "guidance.combine=quotient")),
    "mixed": ("tiny", (*PLAIN, "guidance.terms=[{term: energy}]", "data.augment.cutmix=1")),
    "taught": (
        "tiny",
        (
            *PLAIN,
            "guidance.terms=[{term: energy}]",
            "data.augment.mixup=0.5",
            "distil={teacher: teacher, weight: 0.7, maps: {weight: 0.6}}",
        ),
    ),
    "sets": ("sets", (*PLAIN, "guidance.terms=[{term: energy}]")),
    "taught sets": ("sets", (*PLAIN, "distil={teacher: teacher, maps: {}}")),
    "masks": (
        "masks",
        ("model.freeze_bn=true", "training.batch_size=4", "guidance.terms=[{term: energy}]"),
    ),
}
BASES = {"sets": {"base": SETS}, "masks": {"base": SEGMENTER}}


def made(home, case, group):
    """A trainer of a case, its net in float64 and as it is in a step."""
    where, changes = CASES[case]
    prepared = prepare(config_of(*changes, **BASES.get(where, {})), home / where, group)
    prepared.net.double()
    if prepared.teacher is not None:
        prepared.teacher.run.net.double()
    train_mode(prepared.net, frozen=False, freeze_bn=prepared.config.model.freeze_bn)
    trainer = Trainer(prepared, RunFolder(home), Unwritten(), Silent())
    trainer.combination.double()
    return trainer


def gradients(home, case, group=ALONE):
    """The gradient of each step of an epoch, and what the steps have found."""
    trainer, found = made(home, case, group), []
    steps, own = [], trainer.optimiser.step

    def step():
        every = [*trainer.prepared.net.parameters(), *trainer.combination.parameters()]
        steps.append(torch.cat([p.grad.flatten().double() for p in every if p.grad is not None]))
        own()

    def doubled(*args):
        return model_input(*args).double()

    def fitted(*args):
        return seen(*args).double()

    seen = Teacher.fitted
    with (
        mock.patch.object(stepping, "model_input", doubled),
        mock.patch.object(Teacher, "fitted", fitted),
    ):
        trainer.optimiser.step = step
        for number, batch in enumerate(trainer.prepared.train.batches(trainer.draws(0))):
            taken = trainer.stepper.step(batch, number, trainer.how.batch_size)
            found.append((taken.rows, taken.correct, taken.parts))
    trainer.prepared.close()
    return steps, found


def statistics(home, group=ALONE):
    """The buffers of a net with batch norms after a step on a batch of 4."""
    prepared = prepare(config_of("training.batch_size=4"), home / "tiny", group)
    prepared.net.train()
    trainer = Trainer(prepared, RunFolder(home), Unwritten(), Silent())
    batch = next(iter(prepared.train.batches(trainer.draws(0))))
    trainer.stepper.step(batch, 0, 4)
    return {name: value.clone() for name, value in prepared.net.named_buffers()}


def failing(told):
    """The second process fails in a training, but goes on to live; the first one notices."""
    try:
        with taking_part() as group:
            if not group.first:
                raise ZeroDivisionError
            group.gather(0)
    except LostProcessError as error:
        told.write_text(str(error))
    except ZeroDivisionError:
        until(told.is_file)


def main(home, job):
    with joined() as group:
        if "into" in job:
            found = {case: gradients(home, case, group) for case in CASES}
            found["statistics"] = statistics(home, group)
            if group.first:
                torch.save(found, home / job["into"])
        if "runs" in job:
            for out, changes in job["runs"].items():
                regard.train(config_of(*changes), Path(out), folder=home / "tiny")
            failing(home / "lost")
        if "resumed" in job:
            resume(Path(job["resumed"]))


def started(words, size):
    """So many processes that know of each other, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        Forked(
            [sys.executable, *words],
            env=os.environ
            | {
                "RANK": str(number),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(size)
    ]


def in_processes(home, size, job, *, timeout=600):
    """Do a job in so many processes."""
    group = started([__file__, home, json.dumps(job)], size)
    errors = [process.communicate(timeout=timeout)[1] for process in group]
    assert [process.returncode for process in group] == [0] * size, "\n".join(errors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
