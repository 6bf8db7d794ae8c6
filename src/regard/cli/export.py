"""`regard export`."""

from pathlib import Path
from typing import Literal

import typer

from regard.cli.train import CHECKPOINT


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    run: Path = typer.Argument(help="A run's folder."),
    format: Literal["onnx", "torch"] = typer.Option("onnx", help="torch: for torch.export.load."),
    quantize: Literal["int8"] | None = typer.Option(
        None, help="Calibrated on train, kept if faster and hardly worse."
    ),
    gaze: bool = typer.Option(
        False, "--gaze", help="Give the predicted class's map too, where it has a closed form."
    ),
    most_lost: float = typer.Option(0.01, help="8 bits: most accuracy on val that may be lost."),
    out: Path | None = typer.Option(None, help="The file. Default: export/model.onnx in the run."),
    checkpoint: str = CHECKPOINT,
    as_json: bool = typer.Option(False, "--json", help="Print what FILE.json holds."),
) -> None:
    """Export a net for production, checked on real photos.

    Takes uint8 pixels of the run's input size and gives logits and probabilities, with
    normalisation and the names of the classes inside the file. It is kept only if it answers as
    the net does.
    """
    from regard.cli.console import print_json, working
    from regard.cli.show_export import show_export
    from regard.deployment.export import export_run
    from regard.runs.run import load_run

    loaded = load_run(run, checkpoint)
    with working("loading") as note:
        values = export_run(
            loaded,
            out,
            format=format,
            quantize=quantize,
            gaze=gaze,
            most_lost=most_lost,
            note=note,
        )
    if as_json:
        print_json(values)
    else:
        show_export(values)
