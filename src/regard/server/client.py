"""What a handler does for the client of one request: in a thread, or in the queue of nets."""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from regard.server.limits import Limits
from regard.server.line import Line
from regard.server.refusals import TooLargeError, TooSlowError, UnavailableError

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
        """The request's body; no more of it is read than may be.

        Raises:
            TooLargeError: it is larger, by its header or by what has come.
            TooSlowError: it does not arrive in time.
        """
        told = self.request.headers.get("content-length", "")
        if told.isdecimal() and int(told[:20]) > most:
            raise _too_large(most, f"{int(told[:20]):,}")
        data = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in self.request.stream():
                    data += part
                    if len(data) > most:
                        raise _too_large(most, "more")
        except TimeoutError as error:
            raise TooSlowError(
                "the body",
                expected=f"all of it within {self._limits.body_seconds:g} s",
                found=f"{len(data):,} bytes",
                remedy="send a smaller file",
            ) from error
        return bytes(data)

    async def _gone(self) -> None:
        while True:
            message = await self.request.receive()
            if message["type"] == "http.disconnect":
                return


def _too_large(most: int, found: str) -> TooLargeError:
    return TooLargeError(
        "the body",
        expected=f"at most {most:,} bytes",
        found=f"{found} bytes" if found != "more" else "more",
        remedy="send a smaller file",
    )


async def answered(call: Any) -> Any:
    """The answer of a handler, whether it is a coroutine or not."""
    return await call if asyncio.iscoroutine(call) else call
