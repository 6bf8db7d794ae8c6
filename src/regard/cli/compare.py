"""`regard compare`."""

from pathlib import Path

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    runs: list[str] = typer.Argument(
        help="Two or more: folders, or RUN@0, the state after epoch 0, or RUN@last, RUN@step-N."
    ),
    split: str = typer.Option("test", help="Of the runs' manifest."),
    out: Path | None = typer.Option(None, help="A folder. Default: compare/NAME-vs-NAME."),
    method: str | None = typer.Option(
        None, help="Of the maps, regard list methods. Default: the first run's own."
    ),
    pictures: int = typer.Option(8, min=0, help="Images in each gallery of the report."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
) -> None:
    """Compare runs, or checkpoints of one, image by image.

    Every other one is held against the first on the same images: differences with 95% intervals,
    which images became right or wrong, and which stay right without the region being looked at.
    Writes pairs.parquet, summary.json and report.html.
    """
    from regard.cli.console import counter, print_json, say
    from regard.cli.show_compare import show_comparison
    from regard.reports.compare_report import compare_report, pictures_of
    from regard.runs.comparable import open_runs
    from regard.runs.compare import compare_runs, default_folder, gaze_of, passes, refuse_folder
    from regard.runs.evaluate import image_paths

    opened = open_runs(runs, split)
    folder = out or default_folder(opened)
    refuse_folder(folder)
    gaze_of(opened[0].run, opened[0].run, method)  # an unknown method is refused before any work
    total = passes(opened) * len(image_paths(opened[0].run, split))
    with counter(f"comparing on {split}", total) as shown:
        summary = compare_runs(opened, split, folder, method=method, progress=shown)
    with counter("drawing", pictures_of(summary, pictures)) as shown:
        report = compare_report(folder, pictures=pictures, progress=shown)
    if as_json:
        print_json(summary)
    else:
        show_comparison(summary)
        say(f"Report: {report}")
