"""What a run's net costs: latency, images a second, memory, operations; as `bench.json`."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from regard import __version__
from regard.errors import ConfigError
from regard.evaluation.cost import channels_last, flops_of, weight_bytes
from regard.models.build import parameters_of
from regard.models.device import device_of
from regard.progress import Progress
from regard.runs.bench_device import bench_device, random_images
from regard.runs.files import write_json
from regard.runs.loading import loading_speed
from regard.runs.run import Run
from regard.saliency.capture import evaluating

# Of the rounds on each device; the search for batch sizes comes before them.
SECONDS = 5.0


def bench_run(
    run: Run,
    *,
    batches: Sequence[int] | None = None,
    device: str = "auto",
    threads: int | None = None,
    bf16: bool = False,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time and measure a run's net on random images of its input size, and write `bench.json`.

    The net runs as `regard evaluate` runs it: in evaluation mode and without gradients, weights as
    they lie in memory; the images are on the device already. Batch sizes take turns, see
    `take_turns`. Decoding and fitting the run's own images is timed apart. The net is left as it
    was.

    Args:
        run: of a classifier or a segmenter, of one view or several.
        batches: sizes beside 1, which is always measured; None: doubled as long as it pays.
        device: `cpu`, `cuda`, or `auto`: the CPU, and the GPU where there is one.
        threads: of torch on the CPU; None: torch's own.
        bf16: compute in bfloat16 where that is safe (autocast).
        seconds: of the rounds on each device, at the least.
        progress: called with (done, 100) during the rounds.

    Returns:
        What was written: `checkpoint`, `regard`, `torch`; `views`, `size` (H, W); `parameters`,
        `trainable`, `weight_bytes`, `channels_last`; `flops` of one image or None, see `Flops`,
        and `uncounted` operations; of each of `devices` what `bench_device` gives; `loading`, see
        `loading_speed`; `notes` on what is not there.

    Raises:
        ConfigError: no such device here, or a number below 1.
        RunError: not even one image fits into memory.
    """
    _refuse_less_than_one("batch", batches or ())
    _refuse_less_than_one("threads", [] if threads is None else [threads])
    if not 0 <= seconds < math.inf:
        raise ConfigError(
            "regard bench, seconds",
            expected="a number of 0 or more",
            found=f"{seconds:g}",
            remedy="correct it",
        )
    devices = _devices(device)
    notes: list[str] = []
    with _on_threads(threads), evaluating(run.net), torch.no_grad():
        measured = [
            bench_device(run, one, batches, seconds, bf16=bf16, progress=progress)
            for one in devices
        ]
        values = {
            "checkpoint": run.checkpoint,
            "regard": __version__,
            "torch": torch.__version__,
            **_whatever_the_machine(run, notes),
            "devices": measured,
            "loading": loading_speed(run, notes),
            "notes": notes,
        }
    write_json(run.files.bench, values)
    return values


def _refuse_less_than_one(name: str, numbers: Sequence[int]) -> None:
    if numbers and min(numbers) < 1:
        raise ConfigError(
            f"regard bench, {name}",
            expected="1 or more",
            found=str(min(numbers)),
            remedy="correct it",
        )


def _devices(name: str) -> list[torch.device]:
    if name == "auto":
        kinds = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        return [torch.device(kind) for kind in kinds]
    device = device_of(name, "regard bench, device")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(
            "regard bench, device",
            expected="cpu, cuda or auto",
            found=repr(name),
            remedy="choose one of them",
        )
    return [device]


@contextmanager
def _on_threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)


def _whatever_the_machine(run: Run, notes: list[str]) -> dict[str, Any]:
    """Sizes and operations of the net."""
    net = run.net
    images = random_images(run, 1, next(net.parameters()).device)
    try:
        counted = flops_of(net, images)
        flops, uncounted = counted.total, counted.uncounted
    except Exception as error:  # whatever a net does that torch's counter cannot see through
        flops, uncounted = None, ()
        notes.append(f"FLOPs were not counted: {' '.join(str(error).split())[:160]}")
    return {
        "views": run.data.views,
        "size": run.transform.size,
        "parameters": parameters_of(net),
        "trainable": sum(p.numel() for p in net.parameters() if p.requires_grad),
        "weight_bytes": weight_bytes(net),
        "channels_last": channels_last(net),
        "flops": flops,
        "uncounted": uncounted,
    }
