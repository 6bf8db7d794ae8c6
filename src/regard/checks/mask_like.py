"""Images that are likelier masks of others than photos of their own."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

_ENDING = re.compile(
    r"(?P<stem>.+?)(?P<ending>[ _.-](?:mask|seg|segmentation|region|label|matte|roi|gt)s?)",
    re.IGNORECASE,
)
_FOLDERS = {"mask", "masks", "segmentation", "segmentations", "regions", "annotations", "gt"}


@dataclass(frozen=True)
class MaskLike:
    """An image that is called as the mask of another one.

    Attributes:
        path: of it.
        photo: the other one's path.
        template: of its path from the photo's folder on, with `{stem}` for the photo's stem.
    """

    path: str
    photo: str
    template: str


def masks_by_name(paths: Sequence[str]) -> list[MaskLike]:
    """Images whose stem is another's with `_mask` or the like, or that lie in its folder `masks`.

    Args:
        paths: of images, with slashes.
    """
    stems: dict[str, dict[str, str]] = {}
    for path in paths:
        folder, name = posixpath.split(path)
        stems.setdefault(folder, {}).setdefault(posixpath.splitext(name)[0], path)
    found = (_mask(path, stems) for path in paths)
    return [mask for mask in found if mask is not None]


def _mask(path: str, stems: dict[str, dict[str, str]]) -> MaskLike | None:
    folder, name = posixpath.split(path)
    stem, suffix = posixpath.splitext(name)
    parts = _ENDING.fullmatch(stem)
    own, ending = (parts["stem"], parts["ending"]) if parts else (stem, "")
    above, last = posixpath.split(folder)
    if ending and own in stems[folder]:
        return MaskLike(path, stems[folder][own], f"{{stem}}{ending}{suffix}")
    if last.lower() in _FOLDERS:
        photos = stems.get(above, {})
        for called, rest in ((own, ending), (stem, "")):
            if called in photos:
                return MaskLike(path, photos[called], f"{last}/{{stem}}{rest}{suffix}")
    return None


def is_two_toned(image: Tensor) -> bool:
    """Whether an image, uint8 (3, H, W), is of black and white alone, and of both."""
    # Few pixels tell of nearly every photo that it is none.
    for part in (image[:, ::16, ::16], image):
        if not ((part == 0) | (part == 255)).all():
            return False
    low, high = image.amin(0), image.amax(0)
    return bool((low == high).all() and low.min() == 0 and high.max() == 255)
