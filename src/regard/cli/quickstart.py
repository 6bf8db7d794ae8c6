"""`regard quickstart`."""

from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(quickstart)


def quickstart(
    out: Path = typer.Option(Path("quickstart"), help="The folder for everything."),
    scale: str | None = typer.Option(
        None, help="smoke: a run of seconds whose results mean nothing."
    ),
    lang: str = typer.Option("en", help="Language of the report: en or fr."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
) -> None:
    """Run the main job on embedded data.

    Draws herbarium sheets, trains three arms over several seeds, and prints a table and the
    path of a report. Takes two to five minutes on two cores.
    """
    from regard.cli.console import say
    from regard.cli.show_study import run_and_show
    from regard.errors import command
    from regard.studies.read import read_study

    run_and_show(read_study("quickstart", scale), out, as_json=as_json, lang=lang)
    if not as_json:
        say("")
        say("Look at the images, the plain net's maps beside the guided one's:")
        say(f"  {command('serve', out)}")
        say("Now with your own images, in a folder a class:")
        say("  regard data import folder PHOTOS --out my.parquet")
        say("  regard data check my.parquet; regard data describe my.parquet")
        say("  regard train my.yaml    (the README shows a config)")
