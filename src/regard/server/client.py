"""What a handler does for the client of one request: in a thread, or in the queue of nets."""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from regard.server.bodies import whole_body
from regard.server.limits import Limits
from regard.server.line import Line
from regard.server.refusals import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")


class Client:
    """Who asked.

    Args:
        request: of the client.
        limits: of the server.
        line: of requests that run a net.
        threads: bounds how many handlers work at once.
    """

    def __init__(
        self, request: Request, limits: Limits, line: Line, threads: anyio.CapacityLimiter
    ) -> None:
        self.request, self._limits, self._line, self._threads = request, limits, line, threads

    async def thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that reads, decodes or draws."""
        call = partial(work, *args, **kwargs)
        return await anyio.to_thread.run_sync(call, limiter=self._threads)

    async def net(self, key: Hashable, work: Callable[[], T]) -> T:
        """Run something with a net, once for all who ask the same, unless the client goes away.

        Raises:
            BusyError: the queue is full.
            UnavailableError: it takes too long.
            ClientDisconnect: nobody waits for it any more.
        """
        future = self._line.join(key, work)
        done = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait(
                {done, gone},
                timeout=self._limits.answer_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if done.done():
                return done.result()
        finally:
            self._line.leave(key, future)
            gone.cancel()
            done.cancel()
        if gone.done():
            raise ClientDisconnect
        raise UnavailableError(
            "the queue",
            expected=f"an answer of the net within {self._limits.answer_seconds:g} s",
            found="none yet",
            remedy="ask again later, or choose a cheaper method",
        )

    async def body(self, most: int) -> bytes:
        """The request's body, see `whole_body`."""
        return await whole_body(self.request, most, self._limits.body_seconds)

    async def _gone(self) -> None:
        while True:
            message = await self.request.receive()
            if message["type"] == "http.disconnect":
                return
