"""Answers of HTTP: JSON without NaN, pictures with their ETag, and errors in one line."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from regard.errors import RegardError
from regard.server.answers import Mistake, Refused
from regard.server.media import Media
from regard.server.refusals import RefusedError, status_of

JSON = "application/json"


def reply(request: Request, answer: BaseModel | Media) -> Response:
    """The answer; of a picture that the client has already, only that it is still so."""
    if isinstance(answer, BaseModel):
        return Response(told(answer), media_type=JSON)
    # It may be kept, and is asked for again each time whether it is still the same.
    headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache", **answer.headers}
    if answer.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(answer.content, media_type=answer.kind, headers=headers)


def told(answer: BaseModel) -> bytes:
    """As JSON; numbers that are not finite are null."""
    return answer.model_dump_json(by_alias=True).encode()


def refused(error: RegardError, status: int | None = None) -> Response:
    """An error in one line, and in parts."""
    parts = {"expected": error.expected, "found": error.found, "remedy": error.remedy}
    line = " ".join(str(error).split())
    answer = Refused(error=Mistake(**parts, where=error.where), message=line)
    headers = error.headers if isinstance(error, RefusedError) else {}
    return Response(told(answer), status or status_of(error), dict(headers), JSON)
