"""`regard study`."""

from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(study)


def study(
    name: str = typer.Argument(help="A study's YAML file, or a recipe (regard list recipes)."),
    seeds: int | None = typer.Option(None, help="Seeds 0 to N-1 instead of the study's own."),
    folds: int | None = typer.Option(
        None, help="Cross-validate in so many folds, 3 or more, instead of the manifest's splits."
    ),
    scale: str | None = typer.Option(None, help="smoke, small or full, as the study has them."),
    data: Path | None = typer.Option(
        None,
        help="What a recipe's samples are made from; or a manifest, in place of its own samples.",
    ),
    out: Path | None = typer.Option(None, help="The study's folder. Default: studies/NAME."),
    workers: int | None = typer.Option(
        None, help="Processes. Default: one a GPU, or what fits the machine."
    ),
    lang: str = typer.Option("en", help="Language of the report: en or fr."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
) -> None:
    """Compare arms over seeds.

    Trains every arm with every seed, compares them and reports; started again, it goes on
    where it was stopped.
    """
    from regard.cli.show_study import run_and_show
    from regard.studies.read import read_study

    chosen = read_study(name, scale, seeds, data, folds)
    run_and_show(
        chosen, out or Path("studies") / chosen.name, workers=workers, as_json=as_json, lang=lang
    )
