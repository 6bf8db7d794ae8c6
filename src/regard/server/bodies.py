"""The body of a request, as much of it as may be."""

import asyncio

from starlette.requests import Request

from regard.server.refusals import TooLargeError, TooSlowError


async def whole_body(request: Request, most: int, seconds: float) -> bytes:
    """All of a request's body; no more of it is read than may be.

    Args:
        request: whose body it is.
        most: bytes.
        seconds: until it has arrived.

    Raises:
        TooLargeError: it is larger, by its header or by what has come.
        TooSlowError: it does not arrive in time.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > most:
        raise _too_large(most, f"{int(told[:20]):,} bytes")
    data = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                data += part
                if len(data) > most:
                    raise _too_large(most, "more")
    except TimeoutError as error:
        raise TooSlowError(
            "the body",
            expected=f"all of it within {seconds:g} s",
            found=f"{len(data):,} bytes",
            remedy="send a smaller file",
        ) from error
    return bytes(data)


def _too_large(most: int, found: str) -> TooLargeError:
    return TooLargeError(
        "the body",
        expected=f"at most {most:,} bytes",
        found=found,
        remedy="send a smaller file",
    )
