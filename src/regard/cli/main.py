"""`regard`: the commands, and what a mistake looks like."""

import sys

import typer

from regard.cli import (
    bench,
    compare,
    compress,
    data,
    export,
    gaze,
    listing,
    quickstart,
    report,
    screen,
    serve,
    study,
    train,
    tune,
)
from regard.cli.stopping import INTERRUPTED, refuse_many, stop
from regard.errors import LostProcessError, NumericalError, RegardError, of_system

# typer carries a click of its own, whose errors it names no other way.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
app = typer.Typer(
    help="Train image models to look at the right thing, and prove that they do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in a third of the time
)
quickstart.add(app)
app.add_typer(data.app, name="data")
train.add(app)
gaze.add(app)
compare.add(app)
bench.add(app)
screen.add(app)
export.add(app)
compress.add(app)
study.add(app)
tune.add(app)
report.add(app)
serve.add(app)
app.add_typer(listing.app, name="list")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    """Train image models to look at the right thing, and prove that they do."""
    if version:
        from regard import __version__

        typer.echo(__version__)
        raise typer.Exit
    refuse_many(context.invoked_subcommand)


def main() -> None:
    """Run a command; a user's mistake is one line and exit code 2."""
    try:
        # Not as typer would end it: it says in four lines what was written wrong.
        code = app(prog_name="regard", standalone_mode=False)
        if code == INTERRUPTED:
            stop("stopped", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)
    except UsageError as error:
        from regard.cli.usage import told

        line = told(error)
        sys.exit(2) if line is None else stop(str(line), 2)
    except typer.Abort:
        stop("aborted", 1)
    except RegardError as error:
        stop(str(error), 2)
    except (NumericalError, LostProcessError) as error:
        stop(str(error), 1)
    except OSError as error:
        stop(str(of_system(error)), 2)
    except (MemoryError, RuntimeError) as error:
        from regard.models.device import lacking, out_of_memory

        if not out_of_memory(error):
            raise
        stop(str(lacking("memory", error)), 2)
