"""`regard explain` and `regard score`."""

from pathlib import Path

import typer

from regard.cli.train import CHECKPOINT, DEVICE

METHODS = typer.Option(
    [], "--method", metavar="NAME", help="May be repeated. Default: the run's own."
)
BACKGROUND = typer.Option(
    None, help="Images of train that expected_gradients begins from, drawn at random. Default: 32."
)
FAITHFUL = ("deletion", "insertion", "average_drop", "increase", "sparseness")


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(explain)
    app.command()(score)


def explain(
    run: Path = typer.Argument(help="A run's folder."),
    method: list[str] = typer.Option(
        [],
        "--method",
        metavar="NAME",
        help="May be repeated. Default: the run's own; with --global expected_gradients.",
    ),
    split: str | None = typer.Option(None, help="Explain a split. Default: test."),
    images: list[Path] = typer.Option(
        [], metavar="<path>", help="Explain these images instead. May be repeated."
    ),
    target: str | None = typer.Option(
        None,
        "--class",
        help="What to explain. Default: the predicted class, of sets of labels the surest one; a "
        "segmenter has none.",
    ),
    averages: bool = typer.Option(
        False, "--global", help="Mean maps over the split and by label, instead of single images."
    ),
    limit: int | None = typer.Option(
        None,
        help="At most this many images of a split. Default: the first 200; with --global all, or "
        "so many drawn at random.",
    ),
    background: int | None = BACKGROUND,
    out: Path | None = typer.Option(
        None,
        help="A folder. Default: RUN/explanations, of a segmenter RUN/explanations/CLASS; with "
        "--global RUN/explanations/global.",
    ),
    device: str = DEVICE,
    as_json: bool = typer.Option(False, "--json", help="Print what was written."),
) -> None:
    """Draw where a net looks.

    Writes an overlay for each image and method, and the maps themselves. With --global it writes
    mean maps, over the whole split and by label: of each image the map of its label's logit,
    divided by the sum of its absolute values. Of a segmenter each class of an image has a map.
    """
    if averages:
        _refuse_single(images, target)
        _average(
            run, method, split or "test", limit, background, out, device=device, as_json=as_json
        )
        return
    _refuse_split(images, split, limit)
    from regard.cli.console import counter, print_json
    from regard.cli.show_run import show_explanations
    from regard.runs.explain import explain_images, images_of
    from regard.runs.explanations import folder_name, refuse_unreadable
    from regard.runs.run import load_run

    loaded = load_run(run, device=device)
    refuse_unreadable(images)
    most = 200 if limit is None else limit
    paths = [str(p) for p in images] or images_of(loaded, split or "test", most)
    methods = method or [loaded.config["gaze"]["method"]]
    begun_from = _images_of_background(background, methods)
    folder = out or run / "explanations"
    if out is None and loaded.segments and target in loaded.classes:
        folder /= folder_name(target)
    with counter("explaining", len(paths)) as shown:
        rows = explain_images(
            loaded, paths, methods, folder, target=target, background=begun_from, progress=shown
        )
    if as_json:
        print_json(rows)
    else:
        show_explanations(rows, folder)


def _refuse_split(images: list[Path], split: str | None, limit: int | None) -> None:
    from regard.errors import ConfigError

    given = "--split" if split is not None else "--limit"
    if images and (split is not None or limit is not None):
        raise ConfigError(
            "regard explain --images",
            expected="images alone",
            found=given,
            remedy=f"leave out {given}, or --images",
        )


def _refuse_single(images: list[Path], target: str | None) -> None:
    from regard.errors import ConfigError

    given = "--images" if images else "--class"
    if images or target is not None:
        raise ConfigError(
            "regard explain --global",
            expected="a whole split, explained by label",
            found=given,
            remedy=f"leave out {given}, or --global",
        )


def _images_of_background(given: int | None, methods: list[str]) -> int:
    """How many images a method begins from; an unknown method is refused with the near names."""
    from regard.errors import ConfigError
    from regard.runs.background import BACKGROUND
    from regard.saliency.base import METHODS

    begin = [METHODS[name].from_background for name in methods]
    if given is None:
        return BACKGROUND
    if not any(begin):
        raise ConfigError(
            "--background",
            expected="a method that begins from other images, as expected_gradients",
            found=", ".join(methods),
            remedy="leave it out, or add --method expected_gradients",
        )
    return given


def _average(
    run: Path,
    method: list[str],
    split: str,
    limit: int | None,
    background: int | None,
    out: Path | None,
    *,
    device: str,
    as_json: bool,
) -> None:
    from regard.cli.console import counter, print_json
    from regard.cli.show_run import show_averages
    from regard.runs.averages import average_maps, chosen_samples
    from regard.runs.run import load_run

    loaded = load_run(run, device=device)
    methods = method or ["expected_gradients"]
    begun_from = _images_of_background(background, methods)
    folder = out or run / "explanations" / "global"
    total = len(chosen_samples(loaded, split, limit)) * len(methods)
    found = []
    with counter(f"averaging {split}", total) as shown:
        for name in methods:
            how = {"limit": limit, "background": begun_from, "progress": shown}
            found.append(average_maps(loaded, split, name, folder / name, **how))
    if as_json:
        print_json(found)
    else:
        for values in found:
            show_averages(values, folder / values["method"])


def score(
    run: Path = typer.Argument(help="A run's folder."),
    method: list[str] = METHODS,
    split: str = typer.Option("test", help="Of the run's manifest."),
    scores: list[str] = typer.Option(
        [],
        "--score",
        metavar="NAME",
        help="May be repeated. Default: the run's own (gaze.scores), deletion, insertion, "
        "average_drop, increase and sparseness; of a segmenter its own and sparseness.",
    ),
    background: int | None = BACKGROUND,
    checkpoint: str = CHECKPOINT,
    device: str = DEVICE,
    as_json: bool = typer.Option(False, "--json", help="Print the means with intervals."),
) -> None:
    """Score maps: do they lie in the regions, and does the net's answer hang on what they show?

    Writes scores/SPLIT.parquet, one row an image and method, and prints the scores of all images;
    of several methods also which is best, and which are not told apart from it. What was scored
    before of the same checkpoint stays. Without regions, only the scores that need none. Of a
    segmenter a row is an image and one of its classes, held against the class's own pixels; with
    sets of labels an image and one of its labels.
    """
    from regard.cli.console import counter, print_json, say
    from regard.cli.show_run import show_gaze, show_ranking
    from regard.errors import DataError
    from regard.evaluation.settings import Gaze
    from regard.runs.evaluate import evaluate_run, has_regions, image_paths
    from regard.runs.run import load_run
    from regard.scores.base import SCORES

    loaded = load_run(run, checkpoint, device=device)
    own = Gaze.model_validate(loaded.config["gaze"])
    begun_from = _images_of_background(background, method or [own.method])
    for name in scores:
        SCORES[name]
    faithful = ("sparseness",) if loaded.segments else FAITHFUL
    wanted = tuple(scores) or tuple(dict.fromkeys((*own.scores, *faithful)))
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
        how = {"background": begun_from, "keep": True, "progress": shown, "by": "regard score"}
        values = evaluate_run(loaded, split, gaze=gaze, **how)
    if as_json:
        print_json(values["gaze"])
    else:
        show_gaze(values["gaze"], split)
        show_ranking(loaded.files.scores(split), split)
        say(str(loaded.files.scores(split)))
