"""A run's net timed on one device."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from regard.evaluation.cost import Images, Pass
from regard.evaluation.throughput import Contest, throughput
from regard.models.device import device_name, lacking, out_of_memory
from regard.progress import Progress
from regard.runs.run import Run


def bench_device(
    run: Run,
    device: torch.device,
    batches: Sequence[int] | None,
    seconds: float,
    *,
    bf16: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time a run's net on a device; in evaluation mode and without gradients.

    Args:
        run: its net may lie on another device, and stays there.
        device: a CPU or a GPU.
        batches, seconds, progress: see `throughput`.
        bf16: under autocast in bfloat16.

    Returns:
        `device`, `name`, `threads` (None on a GPU), `dtype`, `refused` batch sizes that did not
        fit into memory, and what `throughput` gives.

    Raises:
        RunError: not even one image fits into memory.
    """
    here = run.device == device
    net = run.net if here else copy.deepcopy(run.net).to(device)
    contest = Contest(_passes(run, net, device, bf16), device)
    try:
        found = throughput(contest, batches, seconds, progress)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise lacking(device_name(device), error) from error
    return {**measured_on(device, bf16=bf16), "refused": contest.refused, **found}


def measured_on(device: torch.device, *, bf16: bool) -> dict[str, Any]:
    """What timings hang on: `device`, `name`, `threads` (None on a GPU) and `dtype`."""
    return {
        "device": device.type,
        "name": device_name(device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "dtype": "bfloat16" if bf16 else "float32",
    }


def _passes(run: Run, net: nn.Module, device: torch.device, bf16: bool) -> Callable[[int], Pass]:
    def make(size: int) -> Pass:
        images = random_images(run, size, device)

        def call() -> object:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                return net(images)

        return call

    return make


def random_images(run: Run, count: int, device: torch.device) -> Images:
    """Normalised noise as the run's net takes it, (B, 3, H, W) each view; always the same."""
    generator, shape = torch.Generator().manual_seed(count), (count, 3, *run.transform.size)
    views = {
        view: run.transform.normalise(
            torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        ).to(device)
        for view in run.data.views
    }
    return views if len(views) > 1 else next(iter(views.values()))
