"""Boxes of other formats as pixel edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from regard.errors import DataError, near


@dataclass(frozen=True)
class Corners:
    """Four columns that hold a box.

    Attributes:
        columns: of xmin, ymin, xmax, ymax.
        inclusive: whether xmax and ymax are the last pixels inside.
        one_based: whether the first pixel is called 1.
    """

    columns: tuple[str, ...]
    inclusive: bool
    one_based: bool

    @staticmethod
    def parse(
        text: str, inclusive: bool, one_based: bool, known: Sequence[str], where: str
    ) -> "Corners":
        """Read the columns' names from `xmin,ymin,xmax,ymax`."""
        names = tuple(name.strip() for name in text.split(","))
        absent = [name for name in names if name not in known]
        if len(names) != 4 or absent:
            raise DataError(
                f"{where}, --boxes",
                expected="four columns of boxes, as in xmin,ymin,xmax,ymax",
                found=f"{text!r} and columns " + ", ".join(known[:12]),
                remedy=near(absent[0], known) if absent else "name four columns",
            )
        return Corners(names, inclusive, one_based)

    def box(self, cells: Mapping[str, Any], where: str) -> list[float] | None:
        """The row's box in pixel edges; None where all four cells are empty."""
        texts = [cells[name] for name in self.columns]
        if all(text in (None, "") for text in texts):
            return None
        first = -1 if self.one_based else 0
        return edges(texts, where, first, first + self.inclusive)


def edges(
    texts: Sequence[str | float | None], where: str, first: int = 0, last: int = 0
) -> list[float]:
    """xmin, ymin, xmax, ymax as pixel edges.

    Args:
        texts: the four numbers, which may be text.
        where: for the error line.
        first: added to xmin and ymin: -1 where the first pixel is called 1.
        last: added to xmax and ymax: one more where they are the last pixel inside.

    Raises:
        DataError: not four finite numbers.
    """
    try:
        xmin, ymin, xmax, ymax = (float("" if text is None else text) for text in texts)
    except (ValueError, TypeError, OverflowError):
        xmin = ymin = xmax = ymax = float("nan")
    if not all(map(isfinite, (xmin, ymin, xmax, ymax))):
        raise DataError(
            where,
            expected="a box of four numbers",
            found=str(texts)[:120],
            remedy="correct the box",
        )
    return [xmin + first, ymin + first, xmax + last, ymax + last]
