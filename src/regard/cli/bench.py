"""`regard bench`."""

from pathlib import Path

import typer

from regard.cli.train import CHECKPOINT


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    run: Path = typer.Argument(help="A run's folder."),
    batch: list[int] = typer.Option(
        [],
        "--batch",
        metavar="<int>",
        help="A batch size beside 1. May be repeated. Default: doubled as long as it pays.",
    ),
    device: str = typer.Option(
        "auto", help="cpu, cuda, or auto: the CPU, and the GPU where there is one."
    ),
    threads: int | None = typer.Option(None, help="On the CPU. Default: torch's own number."),
    bf16: bool = typer.Option(False, "--bf16", help="Compute in bfloat16 where that is safe."),
    seconds: float = typer.Option(5.0, help="Of timing on each device, at the least."),
    checkpoint: str = CHECKPOINT,
    as_json: bool = typer.Option(False, "--json", help="Print bench.json."),
) -> None:
    """Measure what a net costs.

    Latency of one image, images a second by batch size, memory, parameters and FLOPs, on random
    images; and how fast the run's own images are loaded. Writes bench.json.
    """
    from regard.cli.console import bar, print_json
    from regard.cli.show_bench import show_bench
    from regard.runs.bench import bench_run
    from regard.runs.run import load_run

    loaded = load_run(run, checkpoint)
    with bar("timing") as shown:
        values = bench_run(
            loaded,
            batches=batch or None,
            device=device,
            threads=threads,
            bf16=bf16,
            seconds=seconds,
            progress=shown,
        )
    if as_json:
        print_json(values)
    else:
        show_bench(values, loaded.files.bench)
