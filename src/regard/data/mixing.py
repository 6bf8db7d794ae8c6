"""Two training images made into one, with their regions and a share of each label.

References: Zhang et al., mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412, section 2;
Yun et al., CutMix, arXiv:1905.04899, equations 1 and 2. There two images of a batch are mixed, with
one share for all; here each image has a share and a partner of its own, drawn from all of train, so
that what it becomes depends on its draw alone and not on who is in the batch.

Which pixels count for the class that terms explain, that of the larger share (the main one):

- In an image with a pasted box each pixel comes from one of the two. It counts if that one is of
  the main class and has a region, and lies inside if it does there. All others are ignored: of the
  other class they may well be evidence, for that class, and of an image without a region it is not
  known what they are.
- In a blend each pixel comes from both. The region is that of the main image; where the other's
  sticks out, pixels are ignored: it is evidence for the other class, and of the same class it may
  be too faint to be seen. The rest is outside: neither has evidence there. If one of the two has no
  region, its evidence may be anywhere, and the blend has no region either.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.data.colours import levels
from regard.data.sample import Planes
from regard.data.settings import Augment

Box = tuple[slice, slice]
KINDS = ("attend", "avoid", "ignore")


@dataclass(frozen=True)
class Partners:
    """Who may be mixed into a sample: any other of train.

    Attributes:
        groups: of rows, each sorted; one group is as likely as another, and so are the rows in it.
        classes: number of classes.
    """

    groups: tuple[tuple[int, ...], ...]
    classes: int

    @classmethod
    def of(cls, labels: Sequence[int], classes: int, *, evenly: bool = False) -> "Partners":
        """Of the samples of train.

        Args:
            labels: of all of them.
            classes: number of classes.
            evenly: each class as often as another, as oversampling draws them.
        """
        rows = range(len(labels))
        if not evenly:
            return cls((tuple(rows),), classes)
        by_class = (tuple(row for row in rows if labels[row] == k) for k in range(classes))
        return cls(tuple(filter(None, by_class)), classes)

    def drawn(self, unit: Sequence[float], *, besides: int) -> int | None:
        """A row other than the sample's own; None where there is no other in the group drawn.

        Args:
            unit: two numbers in [0, 1), for the group and the row.
            besides: the sample's own row.
        """
        group = self.groups[int(unit[0] * len(self.groups))]
        place = bisect_left(group, besides)
        own = place < len(group) and group[place] == besides
        number = int(unit[1] * (len(group) - own))
        if own and len(group) == 1:
            return None
        return group[number + (own and number >= place)]


@dataclass(frozen=True)
class Mix:
    """How two images become one.

    Attributes:
        share: of the first image, in [0, 1]; of its label too.
        box: rows and columns that come from the second image; None: a blend.
    """

    share: float
    box: Box | None = None

    @classmethod
    def drawn(cls, how: Augment, unit: Sequence[float], size: tuple[int, int]) -> "Mix | None":
        """From five numbers in [0, 1): whether and which, the share, and the box's middle.

        The share is drawn from Beta(alpha, alpha). A box whose sides are sqrt(1 - share) of the
        image's is cut off at the image's edges, and the share then is that of the pixels.
        """
        if unit[0] >= how.mix_probability:
            return None
        pastes = how.cutmix and (not how.mixup or unit[1] < 0.5)
        share = _beta(how.cutmix if pastes else how.mixup, unit[2])
        if not pastes:
            return cls(share)
        height, width = size
        side = (1 - share) ** 0.5
        rows = _span(unit[3] * height, side * height, height)
        columns = _span(unit[4] * width, side * width, width)
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return cls(1 - area / (height * width), (rows, columns))

    @property
    def main(self) -> int:
        """0 where the first image has the larger share, or half of it; 1 for the second."""
        return int(self.share < 0.5)

    def image(self, first: Tensor, second: Tensor) -> Tensor:
        """One view of both, uint8 (3, H, W); those given stay as they are."""
        if self.box is None:
            return levels(self.share * first + (1 - self.share) * second)
        mixed = first.clone()
        mixed[(slice(None), *self.box)] = second[(slice(None), *self.box)]
        return mixed

    def masks(self, first: Planes, second: Planes, *, alike: bool) -> Planes:
        """What there is of `attend`, `avoid` and `ignore` (H, W) for the main class.

        Args:
            first: masks of the first image; without `attend` it has no region.
            second: of the other.
            alike: whether both are of one class, which matters under a box.
        """
        if self.box is None:
            both = (second, first) if self.main else (first, second)
            return _blended(*both)
        known = [part["attend"].shape for part in (first, second) if "attend" in part]
        tells = ["attend" in part for part in (first, second)]
        if not alike:
            tells[1 - self.main] = False
        if not any(tells):
            return {}
        nothing = torch.zeros(known[0])
        own, away = (
            part if counts else {"ignore": torch.ones_like(nothing)}
            for part, counts in zip((first, second), tells, strict=True)
        )
        kinds = [kind for kind in KINDS if kind in own or kind in away]
        joined = {kind: own.get(kind, nothing).clone() for kind in kinds}
        for kind, mask in joined.items():
            mask[self.box] = away.get(kind, nothing)[self.box]
        return joined

    def target(self, first: int, second: int, classes: int) -> Tensor:
        """The share of each class, (K,), of the labels of both."""
        shares = torch.zeros(classes)
        shares[first] += self.share
        shares[second] += 1 - self.share
        return shares


def _beta(alpha: float, unit: float) -> float:
    """The number below which so large a part of Beta(alpha, alpha) lies."""
    # Late, as loading processes that mix nothing would wait for it.
    from scipy.special import betaincinv

    return float(betaincinv(alpha, alpha, unit))


def _span(middle: float, length: float, whole: int) -> slice:
    """What lies around a middle, in whole pixels, and within the image."""
    ends = (round(middle - length / 2), round(middle + length / 2))
    low, high = (min(max(end, 0), whole) for end in ends)
    return slice(low, high)


def _blended(main: Planes, other: Planes) -> Planes:
    """The region of a blend; what the main image says to avoid is never the other's evidence."""
    if "attend" not in main or "attend" not in other:
        return {}
    attend, nothing = main["attend"], torch.zeros_like(main["attend"])
    avoid = main.get("avoid", nothing)
    inside = attend * (1 - avoid)
    others = other["attend"] * (1 - other.get("avoid", nothing)) * (1 - avoid)
    ignore = torch.maximum(main.get("ignore", nothing), other.get("ignore", nothing))
    return {"attend": inside, "ignore": torch.maximum(ignore, others * (1 - inside))}
