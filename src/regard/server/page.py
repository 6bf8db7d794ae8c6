"""The files of the page itself, which lie in the package."""

from pathlib import Path

from regard.server.media import Media
from regard.server.refusals import unknown

STATIC = Path(__file__).parent / "static"
START = "index.html"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


def page_file(name: str) -> Media:
    """A file of the page by its name, which is looked up and never made part of a path.

    Raises:
        NotFoundError: there is none.
    """
    known = {
        path.relative_to(STATIC).as_posix(): path
        for path in STATIC.rglob("*")
        if path.suffix in _KINDS and path.is_file()
    }
    if name not in known:
        raise unknown("file", name, "open / instead")
    return Media(known[name].read_bytes(), _KINDS[known[name].suffix])
