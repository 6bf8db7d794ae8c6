"""`regard report`."""

from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    folder: Path = typer.Argument(help="A run's, a study's or a tuning's folder."),
    out: Path | None = typer.Option(None, help="Default: report.html in the folder."),
    pictures: int | None = typer.Option(
        None, min=0, help="Samples in each gallery. Default: 12 of a run, 8 of a study."
    ),
    lang: str = typer.Option("en", help="Language of the report: en or fr."),
) -> None:
    """Write an HTML report.

    One file that opens offline, made from the folder's files alone.
    """
    from regard.cli.console import say
    from regard.reports import report as write

    say(str(write(folder, out, pictures=pictures, language=lang)))
