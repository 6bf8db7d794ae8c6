"""What `regard bench` shows."""

from collections.abc import Mapping
from pathlib import Path

from regard.cli.console import say, table
from regard.reports.blocks import Note, Table
from regard.reports.latency import latency_tables
from regard.reports.words import count, magnitude
from regard.runs.benched import Bench, Device, setting


def show_bench(values: Bench, path: Path) -> None:
    """The net's sizes, a table of batch sizes for each device, and how fast images are loaded."""
    height, width = values["size"]
    say(
        f"{values['parameters']:,} parameters ({values['trainable']:,} trainable), "
        f"{magnitude(values['weight_bytes'], 'B')}; input {height} x {width}; "
        f"{magnitude(values['flops'], 'FLOPs')} an image"
    )
    for device in values["devices"]:
        _show_device(device)
    loading = values["loading"]
    if loading is not None:
        say(
            f"Loading alone, {count(loading['batch'], 'sample')} of {loading['split']}: "
            f"{loading['images_per_second']:,.0f} a second in one process"
        )
    for note in values["notes"]:
        say(note)
    say(str(path))


def _show_device(device: Device) -> None:
    rows = [
        [
            f"{row['batch']}{' *' if row['batch'] == device['best'] else ''}",
            f"{row['median_ms']:.2f}",
            f"{row['low_ms']:.2f} to {row['high_ms']:.2f}",
            f"{row['least_ms']:.2f}",
            f"{row['images_per_second']:,.0f}",
            magnitude(row["peak_bytes"], "B"),
        ]
        for row in device["batches"]
    ]
    columns = ["batch", "median ms", "quartiles", "least", "images/s", "memory"]
    table(f"{setting(device)} (* best batch size)", columns, rows)
    if device["refused"]:
        say(f"Did not fit into memory: a batch of {', '.join(map(str, device['refused']))}")


def show_latencies(benches: Mapping[str, Bench | None]) -> None:
    """Runs side by side, where all of them were measured."""
    for block in latency_tables({name: [own] for name, own in benches.items()}, "run"):
        if isinstance(block, Table):
            rows = [
                [f"{c.text} ({c.note})" if c.note else c.text for c in row] for row in block.rows
            ]
            table(block.caption, [name.rstrip("#") for name in block.head], rows)
        elif isinstance(block, Note):
            say(block.text)
