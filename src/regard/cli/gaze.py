"""`regard explain` and `regard score`."""

from pathlib import Path

import typer

METHODS = typer.Option([], "--method", help="May be repeated. Default: the run's own.")
FAITHFUL = ("deletion", "insertion", "average_drop", "increase", "sparseness")


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(explain)
    app.command()(score)


def explain(
    run: Path = typer.Argument(help="A run's folder."),
    method: list[str] = METHODS,
    split: str | None = typer.Option(None, help="Explain a split. Default: test."),
    images: list[Path] = typer.Option([], help="Explain these images instead. May be repeated."),
    target: str | None = typer.Option(None, help="A class. Default: the predicted one."),
    limit: int = typer.Option(200, help="At most this many images of a split."),
    out: Path | None = typer.Option(None, help="A folder. Default: RUN/explanations."),
    as_json: bool = typer.Option(False, "--json", help="Print what was written."),
) -> None:
    """Draw where a net looks.

    Writes an overlay for each image and method, and the maps themselves.
    """
    from regard.cli.console import counter, print_json
    from regard.cli.show_run import show_explanations
    from regard.runs.explain import explain_images, images_of
    from regard.runs.explanations import refuse_unreadable
    from regard.runs.run import load_run

    loaded = load_run(run)
    refuse_unreadable(images)
    paths = [str(p) for p in images] or images_of(loaded, split or "test")[:limit]
    methods = method or [loaded.config["gaze"]["method"]]
    folder = out or run / "explanations"
    with counter("explaining", len(paths)) as shown:
        rows = explain_images(loaded, paths, methods, folder, target=target, progress=shown)
    if as_json:
        print_json(rows)
    else:
        show_explanations(rows, folder)


def score(
    run: Path = typer.Argument(help="A run's folder."),
    method: list[str] = METHODS,
    split: str = typer.Option("test", help="Of the run's manifest."),
    scores: list[str] = typer.Option(
        [], "--score", help="May be repeated. Default: the run's own, and how faithful the map is."
    ),
    checkpoint: str = typer.Option("best", help="best, last or step-N."),
    as_json: bool = typer.Option(False, "--json", help="Print the means with intervals."),
) -> None:
    """Score maps: do they lie in the regions, and does the net's answer hang on what they show?

    Writes scores/SPLIT.parquet, one row an image and method, and prints the scores of all images;
    of several methods also which is best, and which are not told apart from it. Without regions,
    only the scores that need none.
    """
    from regard.cli.console import counter, print_json, say
    from regard.cli.show_run import show_gaze, show_ranking
    from regard.errors import DataError
    from regard.evaluation.settings import Gaze
    from regard.runs.evaluate import evaluate_run, has_regions, image_paths
    from regard.runs.run import load_run
    from regard.saliency.base import METHODS
    from regard.scores.base import SCORES

    loaded = load_run(run, checkpoint)
    own = Gaze.model_validate(loaded.config["gaze"])
    for name in method:
        METHODS[name]  # an unknown one is refused with the near names
    wanted = tuple(scores) or tuple(dict.fromkeys((*own.scores, *FAITHFUL)))
    own = Gaze.model_validate(own.model_dump() | {"scores": wanted})
    gaze = [own.model_copy(update={"method": name}) for name in method] or [own]
    total = len(image_paths(loaded, split)) * len(gaze)
    if not has_regions(loaded, split) and all(SCORES[name].asks == "region" for name in wanted):
        raise DataError(
            str(run),
            expected=f"samples of {split!r} with a region for {', '.join(wanted)}",
            found="none",
            remedy=f"add regions to the manifest, or choose from {', '.join(FAITHFUL)}",
        )
    with counter(f"scoring {split}", total) as shown:
        values = evaluate_run(loaded, split, gaze=gaze, progress=shown)
    if as_json:
        print_json(values["gaze"])
    else:
        show_gaze(values["gaze"], split)
        show_ranking(loaded.files.scores(split), split)
        say(str(loaded.files.scores(split)))
