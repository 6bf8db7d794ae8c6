"""What a run's `bench.json` says."""

from collections.abc import Mapping
from typing import Any

from regard.language import plural
from regard.runs.files import read_json
from regard.runs.folder import RunFolder

Bench = Mapping[str, Any]
Device = Mapping[str, Any]


def read_bench(files: RunFolder) -> dict[str, Any] | None:
    """What `regard bench` wrote into a run's folder; None where there is nothing to be read."""
    try:
        return read_json(files.bench)
    except (OSError, ValueError):
        return None


def alone(device: Device) -> Mapping[str, Any]:
    """The row of one image at a time: its `median_ms` is the latency."""
    return device["batches"][0]


def fastest(device: Device) -> Mapping[str, Any]:
    """The row of the best batch size."""
    return next(row for row in device["batches"] if row["batch"] == device["best"])


def setting(device: Device) -> str:
    """What timings hang on: `AMD EPYC, 2 threads, float32`."""
    threads = device["threads"]
    told = [device["name"]]
    told += [] if threads is None else [plural(threads, "{n} thread", "{n} threads")]
    return ", ".join([*told, device["dtype"]])


def bench_numbers(bench: Bench | None) -> dict[str, Any]:
    """`latency_ms` of one image on the first device, and `flops`; nothing of None."""
    if bench is None:
        return {}
    return {"latency_ms": alone(bench["devices"][0])["median_ms"], "flops": bench["flops"]}
