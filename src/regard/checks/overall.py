"""What the files of all samples tell together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from torch import Tensor

from regard.checks.mask_like import is_two_toned, masks_by_name
from regard.checks.problems import Problem

# Where half of several regions cover as much of the image, they are likelier inverted.
LARGE, SEVERAL = 0.8, 3


@dataclass
class Overall:
    """What is gathered while samples are looked at one by one, in any order.

    Attributes:
        shares: of the image that each region's file has inside.
        two_toned: rows, counted from 1, whose image is of black and white alone.
        others: rows whose image is not.
    """

    shares: list[float] = field(default_factory=list)
    two_toned: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    def look(self, row: int, image: Tensor) -> None:
        """Take one image, uint8 (3, H, W); threads may call it at once."""
        (self.two_toned if is_two_toned(image) else self.others).append(row)

    def problems(self, rows: Sequence[dict[str, Any]]) -> list[Problem]:
        """Warnings of all samples.

        Args:
            rows: of the manifest.
        """
        return [*self._large(), *self._masks(rows)]

    def _large(self) -> Iterator[Problem]:
        """Regions that leave next to nothing outside, as those of inverted masks do."""
        if len(self.shares) < SEVERAL or median(self.shares) < LARGE:
            return
        detail = f"half of the regions cover {median(self.shares):.0%} of the image or more; white "
        detail += "is inside: if the subject is black in these masks, invert them"
        yield Problem(None, "region", None, "large regions", detail, "warning")

    def _masks(self, rows: Sequence[dict[str, Any]]) -> Iterator[Problem]:
        """Masks that were taken for photos; where all images are black and white, these are."""
        named = {mask.path: mask for mask in masks_by_name([row["image"] for row in rows])}
        plain = set(self.two_toned) if self.others else set()
        for number, row in enumerate(rows, start=1):
            mask = named.get(row["image"])
            if mask is not None:
                detail = f"called as the mask of {mask.photo}; if it is, import anew with --region "
                detail += f"'{mask.template}'"
            elif number in plain:
                detail = "black and white alone, as masks are; if it is one, take it out and name "
                detail += "it by --region of the import"
            else:
                continue
            yield Problem(number, "image", row["image"], "mask as image", detail, "warning")
