"""`regard serve`."""

from pathlib import Path

import typer

from regard.cli.train import DEVICE


def add(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    folder: Path = typer.Argument(help="A folder of runs, studies or tunings, or one of them."),
    host: str = typer.Option(
        "127.0.0.1", help="To listen at. Where others can reach it a --token is needed."
    ),
    port: int = typer.Option(8080, min=0, max=65535, help="0 takes one that is free."),
    token: str | None = typer.Option(
        None, help="What every request has to show: /?token=TEXT once, or Authorization: Bearer."
    ),
    device: str = DEVICE,
) -> None:
    """Look through runs in a browser.

    Galleries to filter, maps made on demand, curves of runs that are being trained, an image of
    your own, regions to be corrected. Stops at Ctrl-C.
    """
    from regard.cli.console import say
    from regard.errors import MissingExtraError

    try:
        from regard.server.serving import serve as start
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise MissingExtraError("regard serve", "web") from error
    start(folder, host, port, token, device=device, say=say)
