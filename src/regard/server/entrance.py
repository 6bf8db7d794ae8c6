"""Where a browser shows its token: a small page with a form, in place of JSON."""

from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import Scope

from regard.server.bodies import whole_body
from regard.server.refusals import UnauthorisedError, UnsupportedError

FIELD = "token"
# What the form is drawn with, which says nothing of the folder.
OPEN = ("/static/page.css", "/static/icon.svg")
_FORM = "application/x-www-form-urlencoded"
# Bytes of a form that holds a token alone.
_MOST = 8192
# Under `no-referrer` a browser would call the form's own origin `null`.
_HEADERS = {**UnauthorisedError.headers, "Referrer-Policy": "same-origin"}
_WRONG = '<p class="notice refused" role="alert" id="wrong">This is not the token.</p>'
# A form without an action goes to the address that it was asked at, with what stands behind its #.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Token · Regard</title>
<link rel="icon" href="static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/page.css">
</head>
<body>
<header class="top"><span class="mark">Regard</span></header>
<main>
<h1>A token is needed</h1>
<p id="why">Whoever started <code>regard serve</code> gave it one, and knows it.</p>
{wrong}
<form class="row" method="post">
<div class="field">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" size="32" required
 autofocus aria-describedby="{described}"{invalid}>
</div>
<button class="main">Open</button>
</form>
</main>
</body>
</html>
"""


def for_a_person(scope: Scope, headers: Headers) -> bool:
    """Whether a browser asks for the page, rather than a program for the API."""
    return scope["path"] == "/" and "text/html" in headers.get("accept", "")


def entrance(csp: str, *, wrong: bool) -> HTMLResponse:
    """The form.

    Args:
        csp: the policy of every other page, under which no form goes anywhere.
        wrong: whether another token has been shown already.
    """
    page = _PAGE.format(
        wrong=_WRONG if wrong else "",
        described="wrong why" if wrong else "why",
        invalid=' aria-invalid="true"' if wrong else "",
    )
    policy = csp.replace("form-action 'none'", "form-action 'self'")
    headers = {**_HEADERS, "Content-Security-Policy": policy}
    return HTMLResponse(page, UnauthorisedError.status, headers)


def is_form(scope: Scope) -> bool:
    """Whether it is the form that has been sent."""
    return scope["path"] == "/" and scope["method"] == "POST"


async def token_in(request: Request, seconds: float) -> str:
    """The token of the form that has been sent; empty for none.

    Args:
        request: that it came with.
        seconds: within which the body has to arrive.

    Raises:
        UnsupportedError: a body of another kind.
        TooLargeError: a body that holds more than a token.
        TooSlowError: it does not arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise UnsupportedError(
            "Content-Type", expected=_FORM, found=repr(kind[:80]), remedy="send the page's form"
        )
    body = await whole_body(request, _MOST, seconds)
    return parse_qs(body.decode("utf-8", "replace")).get(FIELD, [""])[0]
