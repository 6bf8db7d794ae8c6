"""Serve a folder until it is stopped."""

import contextlib
import errno
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from regard.errors import ConfigError
from regard.server.app import make_app
from regard.server.limits import Limits
from regard.server.safety import Guard, refuse_open
from regard.server.service import Service

_TAKEN = (errno.EADDRINUSE, errno.EACCES)
# Seconds that open requests are given when the server is stopped.
GRACE = 3


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    *,
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a folder of runs until Ctrl-C.

    Args:
        root: the folder.
        host: to listen at; others than this machine are let in with a token alone.
        port: 0 for any that is free.
        token: that every request has to show.
        limits: of the server.
        say: told the address.

    Raises:
        ConfigError: no such folder, no token where one is needed, or a port that is taken.
    """
    refuse_open(host, token)
    service = Service.of(root, limits)
    app = make_app(service, token)
    with _listening(host, port) as listener:
        # An interrupt that comes once it has ended, or before it began, is the same end.
        with contextlib.suppress(KeyboardInterrupt):
            say(f"Serving {service.folder.root} at {_address(listener)}  (stop with Ctrl-C)")
            if token is not None:
                say("The first time open it with /?token=TOKEN")
            uvicorn.Server(_how(app)).run(sockets=[listener])
        say("Stopped.")


def _how(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        limit_concurrency=1000,
        timeout_keep_alive=30,
    )


def _listening(host: str, port: int) -> socket.socket:
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=kind, backlog=512)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno in _TAKEN
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"--host {host} --port {port}",
            expected="an address of this machine with a free port",
            found="a port that is taken" if taken else reason,
            remedy="choose another --port; 0 takes a free one",
        ) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
