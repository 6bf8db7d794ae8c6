"""Boxes of other formats as pixel edges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from regard.errors import DataError, near
from regard.images.opening import image_size, orientation_of
from regard.images.orientation import TURNED, turned_upright
from regard.importers.files import some


@dataclass(frozen=True)
class Corners:
    """Four columns that hold a box.

    Attributes:
        columns: of xmin, ymin, xmax, ymax.
        inclusive: whether xmax and ymax are the last pixels inside.
        one_based: whether the first pixel is called 1.
        decimal_comma: whether 10,7 is a number, as in files whose columns commas do not separate.
    """

    columns: tuple[str, ...]
    inclusive: bool
    one_based: bool
    decimal_comma: bool

    @staticmethod
    def parse(
        text: str,
        known: Sequence[str],
        where: str,
        *,
        inclusive: bool,
        one_based: bool,
        decimal_comma: bool,
    ) -> "Corners":
        """Read the columns' names from `xmin,ymin,xmax,ymax`.

        Raises:
            DataError: other than four columns, or one that the table lacks.
        """
        names = tuple(name.strip() for name in text.split(","))
        absent = [name for name in names if name not in known]
        if len(names) != 4 or absent:
            raise DataError(
                f"{where}, --boxes",
                expected="four columns of boxes, as in xmin,ymin,xmax,ymax",
                found=f"{text!r} and columns " + ", ".join(known[:12]),
                remedy=near(absent[0], known) if absent else "name four columns",
            )
        return Corners(names, inclusive, one_based, decimal_comma)

    def box(self, cells: Mapping[str, Any], where: str) -> list[float] | None:
        """The row's box in pixel edges; None where all four cells are empty."""
        texts = [cells[name] for name in self.columns]
        if all(text in (None, "") for text in texts):
            return None
        if self.decimal_comma:
            texts = [str(text or "").replace(",", ".") for text in texts]
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
        commas = any("," in str(text) for text in texts)
        raise DataError(
            where,
            expected="a box of four numbers",
            found=str(texts)[:120],
            remedy="write decimals with a point, as in 10.7" if commas else "correct the box",
        )
    return [xmin + first, ymin + first, xmax + last, ymax + last]


@dataclass
class Uprights:
    """Boxes on upright photos, and which photos are not as their annotations say.

    An annotation tells the size of the photo that its boxes were drawn on. A camera that was held
    upright stores the photo on its side, with an orientation; some tools draw boxes on it as it is
    stored. Where the photo has the same size either way the size does not tell.

    Attributes:
        turned: photos whose boxes were turned with them.
        other: photos of another size than their annotations say, and both sizes.
        unclear: photos that are turned without another size; boxes are taken as upright.
    """

    turned: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    def boxes(
        self, boxes: list[list[float]], told: tuple[Any, Any], photo: Path
    ) -> list[list[float]]:
        """The boxes in pixel edges of the upright photo.

        Args:
            boxes: in pixel edges of the photo that they were drawn on.
            told: its (H, W); of no use unless both are positive whole numbers.
            photo: its file; one that cannot be read is for the check to find.
        """
        if not boxes or not all(type(side) is int and side > 0 for side in told):
            return boxes
        try:
            size, orientation = image_size(photo), orientation_of(photo)
        except DataError:
            return boxes
        if size == told:
            if orientation != 1 and (orientation not in TURNED or told[0] == told[1]):
                self.unclear.append(photo.name)
            return boxes
        if size != (told[1], told[0]) or orientation not in TURNED:
            sizes = f"{told[1]} x {told[0]}, is {size[1]} x {size[0]}"
            self.other.append(f"{photo.name} ({sizes})")
            return boxes
        self.turned.append(photo.name)
        return [turned_box(box, told, orientation) for box in boxes]

    def tell(self, say: Callable[[str], object] | None) -> None:
        """A line about each kind of photo, if there are any."""
        if say is None:
            return
        if self.turned:
            say("photos stored on their side, whose boxes were turned with them: "
                + some(sorted(self.turned)))  # fmt: skip
        if self.unclear:
            say("photos that are turned without another size, boxes kept as of the upright ones: "
                + some(sorted(self.unclear)))  # fmt: skip
        if self.other:
            say("photos of another size than their annotations say, boxes kept as they are: "
                + some(sorted(self.other)))  # fmt: skip


def turned_box(box: Sequence[float], size: tuple[int, int], orientation: int) -> list[float]:
    """A box of the stored photo on the upright one.

    Args:
        box: in pixel edges.
        size: (H, W) as it is stored.
        orientation: 1 to 8, of EXIF.
    """
    height, width = size
    left, top, right, bottom = box
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return [top, left, bottom, right] if orientation in TURNED else [left, top, right, bottom]


def upright(mask: np.ndarray, photo: Path) -> np.ndarray:
    """A mask (H, W) of a photo as it is stored, turned with it where it has that size."""
    try:
        size, orientation = image_size(photo), orientation_of(photo)
    except DataError:
        return mask
    on_its_side = size != mask.shape and size == mask.shape[::-1] and orientation in TURNED
    return turned_upright(mask, orientation) if on_its_side else mask
