"""What nets cost, from their `bench.json`: of a run by batch size, of several side by side."""

import statistics
from collections.abc import Mapping, Sequence

from regard.language import PhraseTuple, phrase
from regard.reports.blocks import Block, Cell, Fact, Facts, Note, Section, Table, Text
from regard.reports.contents import RunContents
from regard.reports.words import columns, count, decimal, listed, magnitude, whole
from regard.runs.benched import Bench, Device, alone, fastest, setting

TITLE: PhraseTuple = ("Latency and size",)


def latency_section(run: RunContents) -> list[Section]:
    """What `bench.json` says of a run; nothing where there is none."""
    bench = run.bench
    if bench is None:
        return []
    blocks: list[Block] = [_facts(bench), *map(_by_batch, bench["devices"])]
    blocks.append(Text(_explained(bench)))
    blocks += map(Note, bench["notes"])
    return [Section("latency", phrase(*TITLE), blocks)]


def _facts(bench: Bench) -> Facts:
    height, width = bench["size"]
    size = phrase("of {height} × {width}", height=height, width=width)
    if len(bench["views"]) > 1:
        size = phrase("{size}, {views} views", size=size, views=len(bench["views"]))
    latencies = [
        Fact(
            phrase("Latency of one image"),
            _ms(alone(device)),
            phrase(
                "quartiles {quartiles}; {device}",
                quartiles=_quartiles(device),
                device=setting(device),
            ),
        )
        for device in bench["devices"]
    ]
    return Facts(
        [
            *latencies,
            Fact(phrase("FLOPs of one image"), magnitude(bench["flops"], "FLOPs"), size),
            Fact(
                phrase("Parameters"),
                whole(bench["parameters"]),
                magnitude(bench["weight_bytes"], "B"),
            ),
        ]
    )


def _by_batch(device: Device) -> Table:
    rows = [
        [
            Cell(f"{row['batch']}", note=phrase("best") if row["batch"] == device["best"] else ""),
            Cell(_ms(row), note=_range(row["low_ms"], row["high_ms"])),
            Cell(_ms(row, "least_ms")),
            Cell(decimal(row["images_per_second"], 0)),
            Cell(magnitude(row["peak_bytes"], "B")),
        ]
        for row in device["batches"]
    ]
    head = columns("Batch", "Time of a pass#", "Least#", "Images a second#", "Memory#")
    caption = phrase(
        "By batch size, on {device}: random images, the batch sizes taking turns; medians with "
        "quartiles",
        device=setting(device),
    )
    return Table(head, rows, caption)


def _explained(bench: Bench) -> list[str]:
    flops = [phrase("A multiply-add counts as two FLOPs.")]
    if bench["uncounted"]:
        names = listed(bench["uncounted"], 12)
        flops.append(phrase("Without a count are {names}.", names=names))
    memory = [phrase("Memory is the most that a pass allocates at once beyond weights and images.")]
    loading = bench["loading"]
    if loading is not None:
        speed = phrase(
            "Loading alone, in one process: {speed} samples a second, by {samples} of {split}.",
            speed=decimal(loading["images_per_second"], 0),
            samples=count(loading["batch"], "sample"),
            split=loading["split"],
        )
        memory.append(speed)
    return [" ".join(flops), " ".join(memory)]


def latency_tables(benches: Mapping[str, Sequence[Bench | None]], what: str) -> list[Block]:
    """Runs, or arms with several runs each, side by side, a table for each setting of all.

    Args:
        benches: name to what each of its runs measured; None for a run that did not.
        what: head of the names.

    Returns:
        Nothing where a run was not measured; a note where they have no device, number of threads
        and precision in common.
    """
    known = {name: [b for b in own if b is not None] for name, own in benches.items()}
    if not benches or any(not own or len(own) < len(benches[name]) for name, own in known.items()):
        return []
    settings = [{setting(d) for d in b["devices"]} for own in known.values() for b in own]
    first = next(iter(known.values()))[0]["devices"]
    shared = [s for s in map(setting, first) if all(s in own for own in settings)]
    if not shared:
        text = phrase(
            "Latencies are not set side by side: they were measured on different machines, or "
            "with other numbers of threads or another precision."
        )
        return [Note(text)]
    return [_side_by_side(known, one, what) for one in shared]


def _side_by_side(benches: Mapping[str, Sequence[Bench]], on: str, what: str) -> Table:
    rows = []
    for name, own in benches.items():
        devices = [next(d for d in bench["devices"] if setting(d) == on) for bench in own]
        most = [fastest(device) for device in devices]
        speed = statistics.median(row["images_per_second"] for row in most)
        sizes = ", ".join(str(size) for size in sorted({row["batch"] for row in most}))
        rows.append(
            [
                Cell(name),
                _latency(devices),
                Cell(decimal(speed, 0), note=phrase("batch {sizes}", sizes=sizes)),
                Cell(magnitude(own[0]["flops"], "FLOPs")),
                Cell(whole(own[0]["parameters"]), note=magnitude(own[0]["weight_bytes"], "B")),
            ]
        )
    named = columns("Latency of one image#", "Images a second#", "FLOPs#", "Parameters#")
    head = (what, *named)
    several = any(len(own) > 1 for own in benches.values())
    caption = phrase(
        "Latency and size, on {device}: medians with the range over runs"
        if several
        else "Latency and size, on {device}: medians with quartiles",
        device=on,
    )
    return Table(head, rows, caption)


def _latency(devices: Sequence[Device]) -> Cell:
    if len(devices) == 1:
        return Cell(_ms(alone(devices[0])), note=_quartiles(devices[0]))
    found = [alone(device)["median_ms"] for device in devices]
    spread = _range(min(found), max(found))
    return Cell(_ms({"median_ms": statistics.median(found)}), note=spread)


def _ms(row: Mapping[str, float], name: str = "median_ms") -> str:
    return f"{decimal(row[name], 2)}\N{NO-BREAK SPACE}ms"


def _quartiles(device: Device) -> str:
    row = alone(device)
    return _range(row["low_ms"], row["high_ms"])


def _range(low: float, high: float) -> str:
    return phrase("{low} to {high}", low=decimal(low, 2), high=decimal(high, 2))
