"""`regard tune`."""

from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)


def tune(
    tuning: Path = typer.Argument(help="A tuning file in YAML: a base config and what to search."),
    trials: int | None = typer.Option(
        None, help="How many, those counted that are done. Default: the file's own."
    ),
    storage: str | None = typer.Option(
        None,
        help="For several machines: postgresql://USER@HOST/DB. Default: SQLite in the folder.",
    ),
    out: Path | None = typer.Option(None, help="The tuning's folder. Default: tunings/NAME."),
    workers: int = typer.Option(1, help="Processes, each at a trial of its own."),
    changes: list[str] = typer.Option(
        [],
        "--set",
        metavar="A.B=C",
        help="Change a value of the file: base.training.epochs=5. May be repeated.",
    ),
    lang: str = typer.Option("en", help="Language of the report: en or fr."),
    as_json: bool = typer.Option(False, "--json", help="Print tuning.json."),
) -> None:
    """Search for the settings that do best on val.

    Trains a run a trial, breaks off those that do badly, and writes the best config and a
    report; test is not read. Started again, it goes on where it was stopped.
    """
    from regard.cli.show_tune import tune_and_show
    from regard.studies.tuning_read import read_tuning

    chosen = read_tuning(tuning, changes)
    tune_and_show(
        chosen,
        out or Path("tunings") / chosen.name,
        trials=trials,
        storage=storage,
        workers=workers,
        as_json=as_json,
        lang=lang,
    )
