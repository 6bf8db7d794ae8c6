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
        self.text = text if self.computed else "{" + text + "}"
        for name in FIELD.findall(self.text):
            if name not in columns and name != "stem":
                raise DataError(
                    where,
                    expected=f"a column {name!r}",
                    found="columns " + ", ".join(columns[:12]),
                    remedy=near(name, columns),
                )

    def fill(self, cells: Mapping[str, Any], stem: str = "") -> str | None:
        """The text for one row; None where one of its columns is empty."""
        values = dict(cells) if "stem" in cells else {**cells, "stem": stem}
        if any(values[name] in (None, "") for name in FIELD.findall(self.text)):
            return None
        return FIELD.sub(lambda match: str(values[match[1]]), self.text)
