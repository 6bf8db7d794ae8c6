"""Who may ask: the right name, the right origin, the right token; and what every answer forbids."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regard.errors import ConfigError, RegardError
from regard.server.entrance import FIELD, OPEN, entrance, for_a_person, is_form, token_in
from regard.server.limits import Limits
from regard.server.refusals import ForbiddenError, UnauthorisedError
from regard.server.replies import refused

COOKIE = "regard-token"
SHORTEST = 8
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# A page that goes on to the start by itself. A redirect would not do: after a click on a link
# elsewhere it would still count as that other site's request, which cookies do not go with.
_WELCOME = "<!doctype html><html lang=en><title>Regard</title><p><a href='/'>Go on</a></p></html>"


def is_local(host: str) -> bool:
    """Whether a host is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open(host: str, token: str | None) -> None:
    """Refuse to serve others without a token, or with one that is soon guessed.

    Raises:
        ConfigError: it is so.
    """
    if token is not None and len(token) < SHORTEST:
        raise ConfigError(
            "--token",
            expected=f"{SHORTEST} characters or more",
            found=str(len(token)),
            remedy="make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    if token is None and not is_local(host):
        raise ConfigError(
            f"--host {host}",
            expected="a --token where others can reach the page",
            found="none",
            remedy="add --token TEXT, or leave --host out to serve this machine alone",
        )


@dataclass(frozen=True)
class Guard:
    """Lets requests through that may ask, and adds the headers that every answer has.

    Without a token the page is for this machine, under its own names: another name in `Host` is
    that of a page elsewhere which had its name point here. With a token every request shows it, so
    that any name will do.

    Args:
        app: that answers.
        token: that requests have to show; None: none.
        limits: of what is sent.
    """

    app: ASGIApp
    token: str | None = None
    limits: Limits = field(default_factory=Limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        try:
            answer = await self._checked(scope, receive, headers)
        except UnauthorisedError as error:
            person = for_a_person(scope, headers)
            answer = entrance(CSP, wrong=_shows(scope)) if person else refused(error)
        except RegardError as error:
            answer = refused(error)
        except ClientDisconnect:
            return
        await (answer or self.app)(scope, receive, guarded)

    async def _checked(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        """An answer in place of the app's, if there is one."""
        host = headers.get("host", "")
        name = _name(host)
        if self.token is None and not is_local(name):
            raise ForbiddenError(
                "Host",
                expected="localhost or 127.0.0.1",
                found=repr(host[:80]),
                remedy="open the address that regard serve printed, or give it a --token",
            )
        self._refuse_foreign(scope, headers, host)
        if self.token is None:
            return None
        if is_form(scope):
            return _let_in(
                self.token, await token_in(Request(scope, receive), self.limits.body_seconds)
            )
        return self._refuse_unknown(scope, headers, self.token)

    def _refuse_foreign(self, scope: Scope, headers: Headers, host: str) -> None:
        """Another site's page neither posts nor has a net run."""
        writes = scope["method"] not in ("GET", "HEAD")
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        foreign = site in ("cross-site", "same-site") and (
            writes or scope["path"].startswith("/api/")
        )
        if writes and origin is not None:
            foreign = foreign or origin.partition("://")[2].lower() != host.lower()
        if foreign:
            raise ForbiddenError(
                "Origin",
                expected="a request of this page",
                found=repr((origin or site or "")[:80]),
                remedy="ask from the page itself, or from a program that names no origin",
            )

    def _refuse_unknown(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        if _shows(scope):
            if not _same(_shown(scope), token):
                raise _unauthorised()
            return _known(HTMLResponse(_WELCOME, headers={"Refresh": "0; url=/"}), token)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), token):
            return None
        if _same(_cookie(headers), _derived(token)) or scope["path"] in OPEN:
            return None
        raise _unauthorised()


def _shows(scope: Scope) -> bool:
    """Whether a token has been shown, in the address or by the form."""
    return is_form(scope) or (scope["path"] == "/" and bool(_shown(scope)))


def _shown(scope: Scope) -> str:
    """The token in the address."""
    return parse_qs(scope["query_string"].decode("latin-1")).get(FIELD, [""])[0]


def _let_in(token: str, given: str) -> Response:
    """On to the page, whose address the form's own part behind the # is kept in."""
    if not _same(given, token):
        raise _unauthorised()
    return _known(RedirectResponse("./", 303), token)


def _known(answer: Response, token: str) -> Response:
    """The answer with a cookie, by which the browser is known from now on."""
    answer.set_cookie(COOKIE, _derived(token), httponly=True, samesite="strict")
    return answer


def _name(host: str) -> str:
    """The host without its port, of an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _same(given: str, wanted: str) -> bool:
    """Whether both are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _derived(token: str) -> str:
    """What the cookie holds, so that the token itself does not lie in the browser's files."""
    return hmac.new(token.encode(), b"cookie", hashlib.sha256).hexdigest()


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _unauthorised() -> UnauthorisedError:
    return UnauthorisedError(
        "the token",
        expected="the token that regard serve was started with",
        found="none, or another one",
        remedy="open /?token=TOKEN once, or send the header Authorization: Bearer TOKEN",
    )
