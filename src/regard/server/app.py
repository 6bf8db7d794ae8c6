"""The application: routes made of the table of the API, and errors made answers."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from regard.errors import ConfigError, RegardError
from regard.server.api import ENDPOINTS, Endpoint
from regard.server.client import Client
from regard.server.openapi import document
from regard.server.page import START, page_file
from regard.server.refusals import (
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnsupportedError,
)
from regard.server.replies import refused, reply
from regard.server.safety import Guard
from regard.server.service import Service
from regard.settings.mistakes import refuse

Answering = Callable[[Request], Awaitable[Response]]
# Of a client that has gone: nobody reads it.
_GONE = 499


def make_app(service: Service, token: str | None = None) -> Guard:
    """The application that serves a folder.

    Args:
        service: what it holds.
        token: that requests have to show; None: requests are of this machine alone.
    """
    threads = anyio.CapacityLimiter(service.limits.threads)
    told = document(ENDPOINTS)

    async def described(_request: Request) -> Response:
        return JSONResponse(told)

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", START)
        return reply(request, await anyio.to_thread.run_sync(page_file, name))

    @asynccontextmanager
    async def living(_app: Starlette) -> AsyncIterator[None]:
        yield
        await anyio.to_thread.run_sync(service.line.stop)

    routes = [
        Route("/", _careful(page)),
        Route("/static/{name:path}", _careful(page)),
        Route("/api/openapi.json", described),
        *(Route(f"/api{e.path}", _answering(e, service, threads), methods=[e.method])
          for e in ENDPOINTS),
    ]  # fmt: skip
    handlers: Any = {HTTPException: _no_route, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=living)
    return Guard(app, token, service.limits)


def _answering(endpoint: Endpoint, service: Service, threads: anyio.CapacityLimiter) -> Answering:
    async def answer(request: Request) -> Response:
        client = Client(request, service.limits, service.line, threads)
        asked = await _asked(endpoint, client, service.limits.correction_bytes)
        return reply(request, await endpoint.handler(service, client, asked))

    return _careful(answer)


async def _asked(endpoint: Endpoint, client: Client, most: int) -> BaseModel:
    """The question, from the query or from a body of JSON."""
    request = client.request
    if not endpoint.has_json:
        given: Any = {key: value for key, value in request.query_params.items() if value != ""}
    else:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedError(
                "Content-Type",
                expected="application/json",
                found=repr(kind[:80]),
                remedy="send JSON",
            )
        given = _parsed(await client.body(most))
    try:
        return endpoint.asks.model_validate(given)
    except ValidationError as error:
        refuse(endpoint.asks, error, "")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            "the body", expected="JSON", found=str(error)[:120], remedy="send JSON"
        ) from error


def _careful(answer: Answering) -> Answering:
    """A handler whose errors are answers."""

    async def carefully(request: Request) -> Response:
        try:
            return await answer(request)
        except RegardError as error:
            return refused(error)
        except ClientDisconnect:
            return Response(status_code=_GONE)
        except OSError as error:
            return refused(_unread(error))

    return carefully


def _unread(error: OSError) -> RegardError:
    """A file has gone meanwhile, or the disk is full or closed."""
    name = str(error.filename or "").rpartition("/")[2] or "a file"
    gone = isinstance(error, FileNotFoundError | NotADirectoryError)
    kind = NotFoundError if gone else UnavailableError
    found = error.strerror or type(error).__name__
    return kind(name, expected="a file to read or write", found=found, remedy="ask again")


async def _no_route(_request: Request, error: HTTPException) -> Response:
    found = RefusedError(
        "the address",
        expected="one that /api/openapi.json lists, asked for as it says",
        found=error.detail,
        remedy="correct it",
    )
    answer = refused(found, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _fault(_request: Request, error: Exception) -> Response:
    """A fault of ours; its traceback is in the server's log."""
    found = RefusedError(
        "the server",
        expected="an answer",
        found=type(error).__name__,
        remedy="report it with what the server printed",
    )
    return refused(found, 500)
