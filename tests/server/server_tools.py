"""Servers for tests: asked in this process, or at a port of this machine."""

import threading
from contextlib import contextmanager

import httpx2
import uvicorn
from starlette.testclient import TestClient

from regard.server.app import make_app
from regard.server.limits import Limits
from regard.server.service import Service

LOCAL = "http://127.0.0.1"


@contextmanager
def serving(folder, cache, token=None, **limits):
    """A service of a folder, and a client that asks it in this process."""
    service = Service.of(folder, Limits(**limits), cache)
    with TestClient(make_app(service, token), LOCAL, raise_server_exceptions=False) as client:
        client.service = service
        yield client


@contextmanager
def listening(folder, cache, token=None, **limits):
    """A server that listens at a port of this machine, in a thread; its service has its address."""
    service = Service.of(folder, Limits(**limits), cache)
    how = uvicorn.Config(make_app(service, token), port=0, log_level="error", access_log=False)
    server = uvicorn.Server(how)
    started = threading.Event()
    startup = server.startup

    async def start(sockets=None):
        await startup(sockets)
        started.set()

    server.startup = start
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx2.Client(base_url=f"{LOCAL}:{port}", timeout=60) as http:
            http.service, http.port = service, port
            yield http
    finally:
        server.should_exit = True
        thread.join(30)


def one(client, **asked):
    """The JSON of a request that is answered; the path is `path`."""
    answer = client.get(f"/api/{asked.pop('path')}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(answer):
    """Status and the one line of a refused request, whose parts are all there."""
    told = answer.json()
    assert "\n" not in told["message"]
    assert set(told["error"]) == {"expected", "found", "remedy", "where"}
    return answer.status_code, told["message"]
