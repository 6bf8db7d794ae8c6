"""`regard screen`."""

from pathlib import Path
from typing import Literal

import typer

from regard.cli.train import CHECKPOINT, DEVICE


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(screen)


def screen(
    run: Path = typer.Argument(help="A run's folder."),
    src: Path = typer.Argument(help="A folder, a manifest (.parquet, .csv) or a .tar of images."),
    out: Path = typer.Option(..., help="The folder for rows, maps and summary."),
    grid: int | None = typer.Option(
        None, help="Cut images into square tiles of this side, pixels."
    ),
    stride: int | None = typer.Option(None, help="From tile to tile. Default: the tile's side."),
    boxes: bool = typer.Option(False, "--boxes", help="Cut out the manifest's boxes."),
    times: float = typer.Option(2.0, help="A crop's side over the longer side of its box."),
    positive: str | None = typer.Option(None, help="The class that is looked for."),
    threshold: float | None = typer.Option(
        None,
        help="Least probability at which a piece counts as positive. Default: that of the run's "
        "threshold.json if it is of this class and checkpoint, else 0.5; of more than "
        "two classes where it is the most probable one.",
    ),
    uncertain: float = typer.Option(0.01, help="Share of pieces whose maps are made."),
    most_maps: int = typer.Option(10_000, help="Maps at the most, for either reason."),
    group: Literal["folder", "none"] = typer.Option(
        "none", help="folder: an image's folder is its patient, say. A manifest has a column group."
    ),
    part: int = typer.Option(2048, help="Images of one file of rows."),
    batch: int = typer.Option(64, help="Pieces in one pass of the net."),
    workers: int | None = typer.Option(
        None, help="Threads that decode. Default: the cores. With ray: processes with a net each."
    ),
    device: str = DEVICE,
    bf16: bool = typer.Option(False, "--bf16", help="Compute in bfloat16 where that is safe."),
    compile: bool = typer.Option(False, "--compile", help="Compile the net first."),
    engine: Literal["local", "ray"] = typer.Option(
        "local", help="ray: processes of a cluster, which may be this machine alone."
    ),
    address: str | None = typer.Option(
        None, help="Of a cluster of Ray: auto or HOST:PORT. Default: this machine alone."
    ),
    checkpoint: str = CHECKPOINT,
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
) -> None:
    """Ask a net about very many images.

    Writes probabilities and uncertainty of every image, tile or box, maps of what is uncertain or
    positive, and a summary. Stopped or killed, the same command goes on.
    """
    from regard.cli.console import print_json, stages
    from regard.cli.show_screen import show_screening
    from regard.cli.stopping import going_on
    from regard.runs.run import load_run
    from regard.screening.cutting import cutting_of
    from regard.screening.screen import screen as run_screening
    from regard.screening.sources import open_source

    loaded, source = load_run(run, checkpoint), open_source(src, group)
    cutting = cutting_of(grid, stride, boxes, times, has_boxes=source.boxes is not None)
    with going_on("stopped; the same command goes on"), stages() as shown:
        values = run_screening(
            loaded,
            source,
            out,
            cutting=cutting,
            positive=positive,
            threshold=threshold,
            uncertain=uncertain,
            most_maps=most_maps,
            part=part,
            batch=batch,
            workers=workers,
            device=device,
            bf16=bf16,
            compile=compile,
            engine=engine,
            address=address,
            progress=shown,
        )
    if as_json:
        print_json(values)
    else:
        show_screening(values, out)
