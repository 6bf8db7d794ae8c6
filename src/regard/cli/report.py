"""`regard report`."""

from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    folder: Path = typer.Argument(help="A run's or a study's folder."),
    out: Path | None = typer.Option(None, help="Default: report.html in the folder."),
) -> None:
    """Write one HTML file that opens offline, from the folder's files alone."""
    from regard.cli.console import say
    from regard.reports import report as write

    say(str(write(folder, out)))
