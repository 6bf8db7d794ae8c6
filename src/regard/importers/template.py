"""Text with columns in braces."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from regard.errors import DataError, near

FIELD = re.compile(r"\{([^{}]+)\}")


class Template:
    """A column's name, or a text with columns and `{stem}` in braces.

    Attributes:
        computed: whether it is a text with braces.

    >>> Template("{split}/{image}", ["split", "image"], "t.csv").fill(
    ...     {"split": "val", "image": "1.png"})
    'val/1.png'
    """

    def __init__(self, text: str, columns: Sequence[str], where: str) -> None:
        self.computed = "{" in text
        self.text, self.names = text, FIELD.findall(text) if self.computed else [text]
        rest = FIELD.sub("", text)
        if self.computed and ("{" in rest or "}" in rest or not self.names):
            raise DataError(
                where,
                expected="names of columns in braces, as in {image}",
                found=repr(text),
                remedy="close the brace, or leave it out",
            )
        for name in self.names:
            if name not in columns and name != "stem":
                raise DataError(
                    where,
                    expected=f"a column {name!r}",
                    found="columns " + ", ".join(columns[:12]),
                    remedy=near(name, [*columns, "stem"] if self.computed else columns),
                )

    def fill(self, cells: Mapping[str, Any], stem: str = "") -> str | None:
        """The text for one row; None where one of its columns is empty."""
        values = dict(cells) if "stem" in cells else {**cells, "stem": stem}
        if any(values[name] in (None, "") for name in self.names):
            return None
        if not self.computed:
            return str(values[self.text])
        return FIELD.sub(lambda match: str(values[match[1]]), self.text)
