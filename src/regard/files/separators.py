"""What stands between the columns of a CSV."""

import csv
import io
import re
from pathlib import Path

# From the likeliest on, where all fit as well: names of columns have commas, but hardly the others.
SEPARATORS = "\t;,"
_SAID = re.compile(r'"?sep=([^\w"])"?', re.IGNORECASE)
_HEAD = 1 << 16


def layout_of(path: Path) -> tuple[str, int]:
    """The separator of a CSV, and the number of lines above its names, as of `layout_in`.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not in UTF-8.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        return layout_in(file.read(_HEAD))


def layout_in(text: str) -> tuple[str, int]:
    """The separator of a CSV, and the number of lines above its names: 1 for Excel's `sep=;`.

    It is what that line says; else, of a comma, a semicolon and a tab, what splits the names and
    most rows after them into the same number of cells, the more the better.

    Args:
        text: of a CSV, from its beginning on; its last row may be cut off.
    """
    said = _SAID.match(text)
    if said and text[said.end() :].lstrip(" ;,\t")[:1] in ("\r", "\n", ""):
        return said[1], 1
    whole, text = len(text) < _HEAD, text[:_HEAD]
    return max(SEPARATORS, key=lambda between: _fit(text, between, whole=whole)), 0


def _fit(text: str, between: str, *, whole: bool) -> tuple[int, int, bool]:
    """How many cells it makes in rows as in the names, then in these; of none a comma is best."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=between) if row]
    except csv.Error:
        rows = []
    if not whole and len(rows) > 1:
        rows.pop()
    more = len(rows[0]) - 1 if rows else 0
    fitting = sum(len(row) == more + 1 for row in rows[1:])
    return fitting * more, more, between == "," and not more
