"""`regard train` and `regard evaluate`."""

from pathlib import Path

import typer

CHANGES = typer.Option(
    [], "--set", metavar="A.B=C", help="Change a value of the config. May be repeated."
)
CHECKPOINT = typer.Option("best", help="best, last, step-N or epoch-N.")
DEVICE = typer.Option("auto", help="Where the net answers: auto (a GPU if any), cpu, cuda ...")


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(evaluate)


def train(
    config: Path = typer.Argument(help="A config in YAML; with --resume the run's folder will do."),
    changes: list[str] = CHANGES,
    out: Path | None = typer.Option(None, help="The run's folder. Default: runs/NAME-OF-CONFIG."),
    resume: bool = typer.Option(False, "--resume", help="Go on with a run that was stopped."),
) -> None:
    """Train a model.

    Into a new folder; with --resume go on with one that was stopped. In several processes, on as
    many GPUs or machines: torchrun --nproc-per-node N -m regard train CONFIG.
    """
    from regard.cli.show_run import next_steps, watching
    from regard.cli.stopping import stop
    from regard.errors import ConfigError, command
    from regard.training.config import read_config
    from regard.training.joining import joined
    from regard.training.stopping import Interrupted
    from regard.training.train import finished
    from regard.training.train import resume as go_on
    from regard.training.train import train as start

    folder = out or (config if config.is_dir() else Path("runs") / config.stem)
    try:
        with joined() as group:
            if resume and changes:
                raise ConfigError(
                    "regard train --resume",
                    expected="the config that the run began with",
                    found="--set " + changes[0],
                    remedy="train anew into another --out",
                )
            before = finished(folder) if resume else None
            with watching(group.first) as view:
                if resume:
                    go_on(folder, watcher=view, group=group)
                else:
                    chosen = read_config(config, changes)
                    start(chosen, folder, folder=config.parent, watcher=view, group=group)
            if group.first:
                next_steps(folder, before)
    except Interrupted as stopped:
        stop(f"{stopped}; go on with: {command('train', folder, '--resume')}", 130)


def evaluate(
    run: Path = typer.Argument(help="A run's folder."),
    split: str = typer.Option("test", help="Of the run's manifest."),
    checkpoint: str = CHECKPOINT,
    device: str = DEVICE,
    window: int | None = typer.Option(None, help="Segmenters: side of sliding windows, pixels."),
    overlap: float = typer.Option(0.5, help="Share that a window has in common with the next."),
    flip: bool = typer.Option(False, "--flip", help="Segmenters: average with mirrored images."),
    size: tuple[int, int] | None = typer.Option(
        None, help="Segmenters: height and width of the input. Default: as trained."
    ),
    target_recall: float | None = typer.Option(
        None, help="Two classes: choose a threshold on val that finds this share of the positive."
    ),
    threshold: str | None = typer.Option(
        None, help="Two classes: choose it on val by f1 or youden instead."
    ),
    positive: str | None = typer.Option(
        None, help="Two classes: the positive one. Default: the config's, or the last."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print metrics/SPLIT.json."),
) -> None:
    """Predict a split and measure.

    Writes predictions/SPLIT.parquet and metrics/SPLIT.json, with 95% intervals over images or
    groups. A threshold that was chosen stays in threshold.json, and later evaluations of the same
    checkpoint apply it too.
    """
    from regard.cli.console import counter, print_json
    from regard.cli.show_run import show_metrics
    from regard.runs.deciding import with_options
    from regard.runs.evaluate import evaluate_run, image_paths
    from regard.runs.inference import inferring
    from regard.runs.run import load_run

    loaded = load_run(run, checkpoint, device=device)
    given = {"target_recall": target_recall, "threshold": threshold, "positive": positive}
    decide = with_options(loaded, **given)
    asked = inferring(loaded, window=window, overlap=overlap, flip=flip, size=size)
    with counter(f"predicting {split}", len(image_paths(loaded, split))) as shown:
        values = evaluate_run(loaded, split, decide=decide, asked=asked, progress=shown)
    if as_json:
        print_json(values)
    else:
        show_metrics(values, loaded.files)
