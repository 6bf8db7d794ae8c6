"""What the ids in the masks of a segmentation mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from regard.errors import DataError
from regard.images.decoding import decode_ids
from regard.images.opening import MAX_PIXELS
from regard.images.size import Size

VOID = 255
"""What a mask of class indices holds where nobody said what is there."""
VOID_NAME = "void"
TARGET = "target"
"""What a sample's mask of class indices is called beside those that say where to look."""
_UNKNOWN = 254
_MOST = 254


@dataclass(frozen=True)
class MaskClasses:
    """Classes in the order of the logits, and the class of each id.

    Attributes:
        names: of the classes, each where its lowest id stands.
        indices: (256,) the index of each id's class, `VOID`, or a mark for an unknown id.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]

    @classmethod
    def of(
        cls, by_id: Sequence[str | None], void: Literal["ignore", "class"] = "ignore"
    ) -> "MaskClasses":
        """From the class of each id; ids of one class are one. 255 is void, unless it has a class.

        Args:
            by_id: `void` for pixels of which nothing is said, None or empty for an unused id.
            void: whether such pixels are left out, or a class like the others.

        Raises:
            DataError: fewer than two classes, or more ids or classes than an image can hold.
        """
        names = list(dict.fromkeys(n for n in by_id if n and (n != VOID_NAME or void == "class")))
        if not 2 <= len(names) <= _MOST or len(by_id) > 256:
            raise DataError(
                "mask_classes",
                expected=f"2 to {_MOST} classes of ids from 0 to 255",
                found=f"{len(names)} classes of {len(by_id)} ids",
                remedy="name the class of every id, in the order of the ids",
            )
        index = {name: number for number, name in enumerate(names)}
        told = [index.get(n, VOID) if n else _UNKNOWN for n in by_id]
        told += [_UNKNOWN] * (255 - len(told))
        # 255 is customary for pixels of which nothing is said.
        told += [index.get(VOID_NAME, VOID)] * (256 - len(told))
        return cls(tuple(names), tuple(told))

    def knows(self, number: int) -> bool:
        """Whether an id has a class or is void."""
        return self.indices[number] != _UNKNOWN

    def read(self, path: str, size: Size | None = None, *, max_pixels: int = MAX_PIXELS) -> Tensor:
        """The class indices of a mask's pixels, uint8 (H, W), `VOID` where there is none.

        Args:
            path: of an image of ids.
            size: (H, W) of the photo, which the mask must have.
            max_pixels: larger masks are refused from their header.

        Raises:
            DataError: unreadable, an id that has no class, or another size.
        """
        ids = decode_ids(path, max_pixels=max_pixels)
        if size is not None and tuple(ids.shape) != tuple(size):
            raise DataError(
                path,
                expected=f"a mask as large as its image, {size[0]} x {size[1]}",
                found=f"{ids.shape[0]} x {ids.shape[1]}",
                remedy="give each image its own mask",
            )
        found = torch.tensor(self.indices, dtype=torch.uint8)[ids.long()]
        unknown = ids[found == _UNKNOWN]
        if len(unknown):
            raise DataError(
                path,
                expected="ids that mask_classes names",
                found=f"id {int(unknown[0])} on {len(unknown):,} of {ids.numel():,} pixels",
                remedy="name its class, or call it void",
            )
        return found

    def ids_of(self, classes: Tensor, before: Tensor) -> Tensor:
        """The ids that say these classes, uint8 (H, W): the inverse of what `read` does to ids.

        Args:
            classes: (H, W), the index of each pixel's class, or `VOID`.
            before: (H, W), the ids that were there: kept where they say the same class, as several
                ids may be one class.

        Raises:
            DataError: void, where 255 and all other ids have a class.
        """
        table = torch.tensor(self.indices)
        if bool((classes == VOID).any()) and VOID not in self.indices:
            raise DataError(
                "mask",
                expected=f"a class of {len(self.names)} at every pixel",
                found="void, of which mask_classes has no id",
                remedy="give every pixel a class",
            )
        lowest = torch.tensor(
            [self.indices.index(k) if k in self.indices else 0 for k in range(256)]
        )
        same = table[before.long()] == classes.long()
        return torch.where(same, before.long(), lowest[classes.long()]).to(torch.uint8)


def by_id(classes: Mapping[int, str], where: str) -> list[str | None]:
    """The class of each id in a list from id 0 on, as `mask_classes` has them.

    Raises:
        DataError: an id that an image of one byte a pixel cannot hold.
    """
    wrong = [number for number in classes if not 0 <= number <= 255]
    if wrong or not classes:
        raise DataError(
            where,
            expected="ids from 0 to 255",
            found=f"id {wrong[0]}" if wrong else "none",
            remedy="correct the table of ids",
        )
    return [classes.get(number) for number in range(max(classes) + 1)]
