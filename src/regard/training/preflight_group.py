"""What is refused of processes before they train together."""

import platform
from collections import Counter
from collections.abc import Sequence

import torch

from regard.errors import ConfigError, RunError
from regard.files.atomic import digest
from regard.models.device import device_of
from regard.runs.checkpoints import SUMS, Checkpoint
from regard.training.config import Config
from regard.training.group import Group

WHERE = "processes (torchrun --nproc-per-node and --nnodes)"


def refuse_processes(config: Config, group: Group) -> None:
    """Each process needs an image of a step.

    Raises:
        ConfigError: more processes than images of a step.
    """
    how = config.training
    images = how.batch_size * how.accumulate
    if group.size > images:
        raise ConfigError(
            WHERE,
            expected=f"at most {images}, the images of a step (batch_size x accumulate)",
            found=str(group.size),
            remedy="start fewer of them, or set training.batch_size higher",
        )


def device_for(config: Config, group: Group) -> torch.device:
    """The device of this process.

    Raises:
        ConfigError: this machine has no such device, or two processes would share a GPU.
    """
    device = device_of(config.training.device)
    if group.size == 1:
        return device
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(
            "training.device",
            expected="auto, cpu or cuda, for several processes",
            found=config.training.device,
            remedy="set training.device=cpu, or train in one process",
        )
    where = None
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        # By its own number, as each process may have been given but one, which it counts as 0.
        uuid = str(torch.cuda.get_device_properties(index).uuid)
        where = (platform.node(), uuid)
    _refuse_shared(group.gather(where))
    return device


def _refuse_shared(places: Sequence[tuple[str, str] | None]) -> None:
    """Two processes cannot share a GPU."""
    for (machine, uuid), count in Counter(place for place in places if place).items():
        if count > 1:
            raise ConfigError(
                "training.device",
                expected="a GPU for each process",
                found=f"{count} processes at GPU {uuid} of {machine}",
                remedy="set training.device=auto, and start no more processes than GPUs",
            )


def refuse_unlike(
    group: Group,
    config: Config,
    samples: str,
    saved: Checkpoint | None = None,
    teacher: str | None = None,
) -> None:
    """All processes have to train the same: samples, settings, teacher and checkpoint.

    Args:
        group: the processes.
        config: resolved.
        samples: a digest of them.
        saved: what is gone on from; None at the beginning.
        teacher: a digest of its weights; None: there is none.

    Raises:
        RunError: one of them has others than the first.
    """
    own = {
        "samples, labels, regions or splits": samples,
        "settings": config.model_dump(mode="json"),
        "teacher": teacher,
        "checkpoint": None if saved is None else (saved.path.name, digest(saved.path / SUMS)),
    }
    told = group.gather(own)
    for number, other in enumerate(told):
        unlike = [what for what, value in other.items() if value != told[0][what]]
        if unlike:
            raise RunError(
                f"process {number} of {group.size}",
                expected="what the first process has: the same files, the same command",
                found=f"another {unlike[0]}",
                remedy="give all machines the same files and the run's folder",
            )
