"""The screening on a cluster of Ray: a process a GPU or a machine, each with the net."""

import math
import platform
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch

from regard import __version__
from regard.errors import ConfigError, RegardError, RunError
from regard.machine import cores
from regard.models.device import device_of
from regard.runs.run import load_run
from regard.screening.fleet import Fleet
from regard.screening.job import Job, Tables
from regard.screening.operator import Operator, operator_of
from regard.screening.ray_extra import cluster


@dataclass(frozen=True)
class Order:
    """What a process of the cluster is to do; its paths are absolute.

    Attributes:
        job: what is asked.
        run: whose net is asked.
        checkpoint: of the run.
        device: of the net.
        bf16: as for the operator.
        compile: as for the operator.
        threads: of torch, on which sums of floats depend.
        sharing: processes on a machine, which share its cores for decoding.
        version: of regard.
    """

    job: Job
    run: Path
    checkpoint: str
    device: str
    bf16: bool
    compile: bool
    threads: int
    sharing: int
    version: str = __version__


class Asker:
    """A process of the cluster, with a net of its own."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def begin(self) -> Exception | None:
        """Load the net; what went wrong, as not every error survives the way as it is."""
        order = self._order
        try:
            if order.version != __version__:
                raise RunError(
                    "regard",
                    expected=f"version {order.version}, as where the command runs",
                    found=__version__,
                    remedy="install the same everywhere",
                )
            torch.set_num_threads(order.threads)
            run = load_run(order.run, order.checkpoint)
            device = device_of(order.device, "--device")
            self._net = operator_of(run, device, bf16=order.bf16, compile=order.compile)
        except RegardError as error:
            return error.within(f"on {platform.node()}")
        return None

    def table(self, part: int) -> pl.DataFrame | Exception:
        """The rows of a part."""
        threads = max(1, min(16, cores() // self._order.sharing))
        try:
            return next(self._order.job.tables(self._net, [part], threads))[1]
        except RegardError as error:
            return error.within(f"on {platform.node()}")
        except OSError as error:
            return error


def tables_on_ray(
    job: Job,
    operator: Operator,
    parts: Sequence[int],
    *,
    device: str,
    compile: bool,
    processes: int | None,
    address: str | None,
) -> Tables:
    """The parts' tables, in whatever order they come; each is that of one process without Ray.

    Args:
        job: what is asked.
        operator: of this process, whose like every process of the cluster has.
        parts: that are wanted.
        device: `auto`: a GPU for each process where the cluster has any, else the processor.
        compile: the nets are compiled.
        processes: how many, sharing the GPUs if there are fewer; None: as many as there are GPUs,
            or machines.
        address: of a cluster; None: one of this machine alone.

    Raises:
        RegardError: no such cluster or device, or what a process met.
    """
    room = processes or (1 if device == "cpu" else max(1, torch.cuda.device_count()))
    with cluster(address, room, gpus=device != "cpu") as ray:
        found = int(ray.cluster_resources().get("GPU", 0))
        machines = max(1, sum(node["Alive"] for node in ray.nodes()))
        own = device_for(device, found)
        count = processes or (found if own == "cuda" else machines)
        order = Order(
            replace(job, source=job.source.absolute()),
            operator.run.folder.resolve(),
            operator.run.checkpoint,
            own,
            operator.bf16,
            compile,
            torch.get_num_threads(),
            -(-count // machines),
        )
        kind = ray.remote(Asker).options(
            num_cpus=1,
            num_gpus=share_of_gpu(count, found) if own == "cuda" else 0,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        told = ray.put(order)
        yield from Fleet(ray, lambda: kind.remote(told), deque(parts)).tables(count)


def share_of_gpu(processes: int, gpus: int) -> float:
    """How much of a GPU each process is lent, so that all of them run at once."""
    return 1 / math.ceil(processes / gpus)


def device_for(asked: str, gpus: int) -> str:
    """The device of each process of a cluster with so many GPUs, of which it is lent one.

    Raises:
        ConfigError: a GPU is asked for, and there is none.
    """
    if asked == "auto":
        return "cuda" if gpus else "cpu"
    if not asked.startswith("cuda"):
        return asked
    if not gpus:
        raise ConfigError(
            "--device",
            expected="a cluster with a GPU",
            found=f"{asked!r} and none",
            remedy="use auto or cpu",
        )
    return "cuda"
