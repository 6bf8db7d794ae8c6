"""`regard compare`."""

from pathlib import Path
from typing import Any

import typer

from regard.cli.train import DEVICE


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    runs: list[str] = typer.Argument(
        help="Two or more: folders, or RUN@last, RUN@step-N, or RUN@N, the state after epoch N if "
        "it was kept; or arms of studies, STUDY:ARM.",
    ),
    split: str = typer.Option("test", help="Of the runs' manifest."),
    out: Path | None = typer.Option(None, help="A folder. Default: compare/NAME-vs-NAME."),
    method: str | None = typer.Option(
        None, help="Of the maps, regard list methods. Default: the first run's own."
    ),
    device: str = DEVICE,
    pictures: int = typer.Option(8, min=0, help="Images in each gallery of the report."),
    lang: str = typer.Option("en", help="Language of the report: en or fr."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json."),
) -> None:
    """Compare runs, or checkpoints of one, image by image.

    Every other one is held against the first on the same images: differences with 95% intervals,
    classes, calibration, which images became right or wrong, and which stay right without the
    region being looked at. Arms are compared over all their seeds and folds, by what the study's
    runs wrote. Writes pairs.parquet, summary.json and report.html.
    """
    from regard.cli.console import counter, print_json, say
    from regard.cli.show_compare import show_comparison
    from regard.reports.compare_report import compare_report, pictures_of
    from regard.reports.languages import language_of
    from regard.studies.finished_arms import is_arm

    language_of(lang)  # an unknown one is refused before any work
    if any(map(is_arm, runs)):
        folder, summary = _arms(runs, split, out, method, device)
    else:
        folder, summary = _runs(runs, split, out, method, device)
    with counter("drawing", pictures_of(summary, pictures)) as shown:
        report = compare_report(folder, pictures=pictures, language=lang, progress=shown)
    if as_json:
        print_json(summary)
    else:
        show_comparison(summary)
        say(f"Report: {report}")


def _runs(
    runs: list[str], split: str, out: Path | None, method: str | None, device: str
) -> tuple[Path, dict[str, Any]]:
    from regard.cli.console import counter
    from regard.runs.comparable import open_runs
    from regard.runs.compare import compare_runs, default_folder, gaze_of, passes, refuse_folder
    from regard.runs.evaluate import image_paths

    opened = open_runs(runs, split, device=device)
    folder = out or default_folder([named.name for named in opened])
    refuse_folder(folder)
    gaze_of(opened[0].run, opened[0].run, method)  # an unknown method is refused before any work
    total = passes(opened) * len(image_paths(opened[0].run, split))
    with counter(f"comparing on {split}", total) as shown:
        return folder, compare_runs(opened, split, folder, method=method, progress=shown)


def _arms(
    arms: list[str], split: str, out: Path | None, method: str | None, device: str
) -> tuple[Path, dict[str, Any]]:
    from regard.errors import ConfigError
    from regard.runs.compare import default_folder
    from regard.studies.compare_arms import compare_arms
    from regard.studies.finished_arms import open_arms

    given = {"--method": method, "--device": None if device == "auto" else device}
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"regard compare, {option}",
                expected="none for arms, whose runs were scored by the study",
                found=repr(value),
                remedy=f"leave {option} out, or compare two runs of the study",
            )
    opened = open_arms(arms)
    folder = out or default_folder([arm.name.replace(":", "-") for arm in opened])
    return folder, compare_arms(opened, split, folder)
