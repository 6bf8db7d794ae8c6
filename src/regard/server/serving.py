"""Serve a folder until it is stopped."""

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from regard.errors import ConfigError
from regard.server.app import make_app
from regard.server.limits import Limits
from regard.server.patience import Patient
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
    device: str = "cpu",
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a folder of runs until Ctrl-C.

    Args:
        root: the folder.
        host: to listen at; others than this machine are let in with a token alone.
        port: 0 for any that is free.
        token: that every request has to show.
        device: where nets answer, `auto`, `cpu`, `cuda` ...
        limits: of the server.
        say: told the address.

    Raises:
        ConfigError: no such folder or device, no token where one is needed, a port that is taken.
    """
    refuse_open(host, token)
    service = Service.of(root, limits, device=device)
    app = make_app(service, token)
    with _listening(host, port) as listener:
        server = uvicorn.Server(_how(app))
        with _stopped_by_signals(server):
            say(f"Serving {service.folder.root} at {_address(listener)}  (stop with Ctrl-C)")
            if token is not None:
                say("The first time open it with /?token=TOKEN")
            server.run(sockets=[listener])
        say("Stopped.")


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Within, Ctrl-C and SIGTERM ask the server to stop, also before it runs and once it has ended.

    An interrupt that is raised may be raised where Python drops it, in a destructor say.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, server.handle_exit) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _how(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Patient,
        log_level="error",  # a line for each request of nonsense would be as many as anyone likes
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
