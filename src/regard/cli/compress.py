"""`regard prune` and `regard distil`."""

import json
from pathlib import Path
from typing import Literal

import typer

from regard.cli.train import CHANGES, CHECKPOINT


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(prune)
    app.command()(distil)


def prune(
    run: Path = typer.Argument(help="A run's folder."),
    share: float = typer.Option(0.3, help="Share of each layer's channels to remove."),
    importance: Literal["magnitude", "taylor", "random"] = typer.Option(
        "taylor",
        help="What a channel is worth. taylor: the change of the loss without it; magnitude: the "
        "norm of its weights; random: a control.",
    ),
    multiple: int = typer.Option(8, help="What is left of a layer is a multiple of that."),
    epochs: int | None = typer.Option(None, help="Of training after it. Default: the run's."),
    changes: list[str] = CHANGES,
    out: Path | None = typer.Option(None, help="The new run's folder. Default: RUN-pruned."),
    checkpoint: str = CHECKPOINT,
    resume: bool = typer.Option(False, "--resume", help="Go on with one that was stopped."),
    as_json: bool = typer.Option(False, "--json", help="Print pruning.json."),
) -> None:
    """Take channels out of a net, and train what is left.

    With the run's own data and config, guidance included, into a new run. What is right is measured
    on val before, after the cut, and after the training. Needs the extra `prune`.
    """
    from regard.cli.console import print_json
    from regard.cli.show_compress import show_pruning
    from regard.cli.show_run import TrainingView
    from regard.cli.stopping import stop
    from regard.deployment.prune import prune_run, resume_pruning
    from regard.errors import command
    from regard.files.relative import beside
    from regard.runs.run import load_run
    from regard.training.stopping import Interrupted

    folder = out or beside(run, "-pruned")
    try:
        with TrainingView() as view:
            if resume:
                values = resume_pruning(folder, watcher=view)
            else:
                values = prune_run(
                    load_run(run, checkpoint),
                    folder,
                    share=share,
                    importance=importance,
                    multiple=multiple,
                    epochs=epochs,
                    changes=changes,
                    watcher=view,
                    note=view.note,
                )
    except Interrupted as stopped:
        again = command("prune", run, "--out", folder, "--resume")
        stop(f"{stopped}; go on with: {again}", 130)
    if as_json:
        print_json(values)
    else:
        show_pruning(values)


def distil(
    teacher: str = typer.Argument(help="A run's folder, or RUN@CHECKPOINT."),
    config: Path = typer.Argument(help="The student's config in YAML."),
    temperature: float | None = typer.Option(None, help="Default: the config's, or 4."),
    weight: float | None = typer.Option(None, help="Beside the cross-entropy. Default: 1."),
    maps: float | None = typer.Option(
        None, help="Weight of learning where the teacher looks, too. Default: not."
    ),
    changes: list[str] = CHANGES,
    out: Path | None = typer.Option(None, help="The run's folder. Default: runs/NAME-distilled."),
) -> None:
    """Train a student that learns from another run's net beside the labels.

    The same as a section `distil` in the config, which goes on with: regard train OUT --resume.
    """
    from regard.cli.show_run import TrainingView, next_steps
    from regard.cli.stopping import stop
    from regard.errors import command
    from regard.files.relative import seen_from
    from regard.training.config import read_config
    from regard.training.stopping import Interrupted
    from regard.training.train import train

    folder = out or Path("runs") / f"{config.stem}-distilled"
    given = {"temperature": temperature, "weight": weight, "maps.weight": maps}
    # Quoted, as a folder may be called `12`, or `big #2`.
    named = json.dumps(seen_from(config.parent, teacher), ensure_ascii=False)
    own = [f"distil.teacher={named}"]
    own += [f"distil.{key}={value}" for key, value in given.items() if value is not None]
    try:
        with TrainingView() as view:
            student = read_config(config, [*changes, *own])
            train(student, folder, folder=config.parent, watcher=view)
    except Interrupted as stopped:
        stop(f"{stopped}; go on with: {command('train', folder, '--resume')}", 130)
    next_steps(folder)
