"""What a request is refused with: errors with a status of HTTP; any other mistake is a 400.

RegardError            400
├── NotFoundError      404
├── UnauthorisedError  401
├── ForbiddenError     403
├── TooSlowError       408
├── TooLargeError      413
├── UnsupportedError   415
├── BusyError          429
└── UnavailableError   503
"""

from typing import ClassVar

from regard.errors import RegardError


class RefusedError(RegardError):
    """A request that is refused with a status of its own.

    Attributes:
        status: of HTTP.
        headers: of the answer.
    """

    status: ClassVar[int] = 400
    headers: ClassVar[dict[str, str]] = {}


class NotFoundError(RefusedError):
    """There is no such thing."""

    status = 404


class UnauthorisedError(RefusedError):
    """The token is missing or wrong."""

    status = 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(RefusedError):
    """The request comes from another site's page, or under another name."""

    status = 403


class TooSlowError(RefusedError):
    """A body that does not arrive."""

    status = 408
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}


class TooLargeError(RefusedError):
    """A body or an image beyond the limits."""

    status = 413
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}


class UnsupportedError(RefusedError):
    """A body of another kind."""

    status = 415


class BusyError(RefusedError):
    """The queue is full."""

    status = 429
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


class UnavailableError(RefusedError):
    """No answer in time."""

    status = 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


def unknown(what: str, name: str, remedy: str) -> NotFoundError:
    """There is no run, split, image or class of that name."""
    found = repr(name)[:120]
    return NotFoundError(what, expected="one that is there", found=found, remedy=remedy)


def status_of(error: RegardError) -> int:
    """The status that an error is answered with."""
    return error.status if isinstance(error, RefusedError) else 400
