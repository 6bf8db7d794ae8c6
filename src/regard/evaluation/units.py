"""What was drawn at random: single images, or whole groups of them (patients, plants, products).

Images of one patient are alike. An interval that is to hold for other patients takes whole
patients, as does a test (Field & Welsh 2007, J. R. Stat. Soc. B 69:369).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm, t

COLUMN = "group"
Floats = NDArray[np.float64]
_FEW = 8.0


@dataclass(frozen=True, eq=False)
class Units:
    """Which images were drawn together.

    Attributes:
        of: (N,) number of each image's unit, in [0, count).
        count: units.
        drawn: whether they are some of those of a set that was drawn by groups.
    """

    of: NDArray[np.int64]
    count: int
    drawn: bool = False

    @classmethod
    def alone(cls, images: int) -> "Units":
        """Each of so many images by itself."""
        return cls(np.arange(images), images)

    @classmethod
    def grouped_by(cls, groups: Sequence[Any]) -> "Units":
        """From the name of each image's group; None: the image is its own.

        Example:
            >>> Units.grouped_by(["ann", "bob", "ann", None]).of.tolist()
            [0, 1, 0, 2]
        """
        numbers: dict[Any, int] = {}
        of = [
            numbers.setdefault((0, row) if group is None else (1, group), len(numbers))
            for row, group in enumerate(groups)
        ]
        return cls._from(np.array(of, dtype=np.int64), len(numbers))

    @classmethod
    def _from(cls, of: NDArray[np.int64], count: int, *, drawn: bool = False) -> "Units":
        """In the order of the images where each is its own, so that sums are those of images."""
        return cls(of if count < len(of) else np.arange(count), count, drawn)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.of)

    @property
    def grouped(self) -> bool:
        """Whether groups were drawn; of some of their images each may be its own."""
        return self.drawn or self.lumped

    @property
    def lumped(self) -> bool:
        """Whether any unit has several images."""
        return self.count < len(self.of)

    @property
    def few(self) -> bool:
        """Whether there are so few groups that percentiles of their resamples are none."""
        return self.grouped and self.freedom < _FEW

    @property
    def groups(self) -> int | None:
        """How many groups the images are of; None where each is its own."""
        return self.count if self.grouped else None

    @cached_property
    def sizes(self) -> Floats:
        """Images of each unit, (count,)."""
        return self.sums(np.ones(len(self.of)))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of a variance between groups: their effective number less one.

        (sum_g n_g)^2 / sum_g n_g^2, as one large group among small ones is nearly all that there is
        (Carter, Schnepel & Steigerwald 2017, Rev. Econ. Stat. 99:698); at least 1.
        """
        if not len(self.of):
            return 1.0
        return max(1.0, float(self.sizes.sum() ** 2 / (self.sizes**2).sum()) - 1)

    def sums(self, values: Floats) -> Floats:
        """Sum over each unit's images, (count,), of (N,)."""
        found = np.bincount(self.of, weights=values, minlength=self.count)
        return found.astype(np.float64)

    def where(self, rows: NDArray[np.bool_]) -> "Units":
        """Of the images that are marked (N,) alone."""
        if rows.all():
            return self
        kept = self.of[rows]
        if not self.lumped:
            return Units(np.arange(len(kept)), len(kept), self.drawn)
        names, of = np.unique(kept, return_inverse=True)
        return Units._from(of.astype(np.int64), len(names), drawn=True)

    def wide(self, level: float) -> float:
        """The level at which percentiles of resampled groups hold `level`.

        Resamples of G groups spread too little, by sqrt((G - 1) / G), and know nothing of
        Student's t: 2 Phi(t sqrt(G / (G - 1))) - 1, t that of G - 1 degrees of freedom (the
        expanded percentile interval of Hesterberg 2015, Am. Stat. 69:371, section 5), G - 1 being
        `freedom`. Of images that are their own, of which there are many, it is `level`.
        """
        if not self.grouped:
            return level
        return float(1 - 2 * norm.sf(self.reach(level)))

    def reach(self, level: float) -> float:
        """From how many standard deviations of resampled groups' means to none `level` reaches."""
        factor = math.sqrt(1 + 1 / self.freedom)
        return float(t.ppf((1 + level) / 2, self.freedom)) * factor

    def reached(self, deviations: float) -> float:
        """The two-sided p-value of so many standard deviations, as of `reach`."""
        return float(2 * t.sf(abs(deviations) / math.sqrt(1 + 1 / self.freedom), self.freedom))

    def wide_p(self, p: float) -> float:
        """What a p-value by the percentiles of resampled groups is worth, as of `wide`."""
        if not self.grouped:
            return p
        return self.reached(float(norm.isf(p / 2)))


def told_groups(table: pl.DataFrame) -> list[str]:
    """The column of groups, if a table of images has it."""
    return [COLUMN] if COLUMN in table.columns else []


def shared_groups(tables: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Tables of images, all of them with the groups that any of them tells."""
    telling = [table for table in tables if told_groups(table)]
    if not telling or len(telling) == len(tables):
        return [*tables]
    known = pl.concat([table.select("index", COLUMN) for table in telling]).unique("index")
    return [
        t if told_groups(t) else t.join(known, on="index", how="left", maintain_order="left")
        for t in tables
    ]


def units_of(table: pl.DataFrame) -> Units:
    """Of the rows of a table, by its columns `group` and `index`; without the former each its own.

    Rows of one image (of several trainings, or of its classes) are one unit.
    """
    if COLUMN not in table.columns and table["index"].is_unique().all():
        return Units.alone(len(table))
    group = pl.col(COLUMN).cast(pl.String) if COLUMN in table.columns else pl.lit(None, pl.String)
    own = pl.when(group.is_null()).then("index")
    names = table.select(pl.struct(group=group, own=own).rank("dense").alias("unit") - 1)["unit"]
    of = names.to_numpy().astype(np.int64)
    return Units._from(of, int(of.max(initial=-1)) + 1)
