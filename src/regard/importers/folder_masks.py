"""Masks that lie beside the photos of a folder, by a template."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from regard.checks.mask_like import masks_by_name
from regard.errors import DataError
from regard.importers.files import some

STEM = "{stem}"


class FolderMasks:
    """The mask of each photo, and which files are masks.

    >>> masks = FolderMasks("masks/{stem}_m.png", "--region")
    >>> masks.of(Path("cats/1.jpg")).as_posix()
    'cats/masks/1_m.png'
    >>> masks.named(Path("cats/masks/2_m.png"))
    True
    """

    def __init__(self, template: str, where: str) -> None:
        """From a template of a mask's path from its photo's folder on.

        Raises:
            DataError: it has no `{stem}`, or other braces.
        """
        rest = template.replace(STEM, "")
        if rest == template or "{" in rest or "}" in rest:
            raise DataError(
                where,
                expected="a template of a mask's path with {stem}, its photo's name without suffix",
                found=repr(template),
                remedy="write for example '{stem}_mask.png' or 'masks/{stem}.png'",
            )
        self.template = template
        name = os.path.normpath(template.replace("\\", "/")).replace(os.sep, "/")
        tail = [part for part in name.split("/") if part not in ("..", ".")]
        parts = (re.escape(part).replace(re.escape(STEM), ".+") for part in tail)
        # As `{stem}.png` may any file be called; masks are then those of which there is a photo.
        bare = len(tail) == 1 and os.path.splitext(tail[0])[0] == STEM
        self._named = None if bare else re.compile("(?:.*/)?" + "/".join(parts))

    def of(self, photo: Path) -> Path:
        """Where a photo's mask is, if it has one."""
        return Path(os.path.normpath(photo.parent / self.template.replace(STEM, photo.stem)))

    def named(self, path: Path) -> bool:
        """Whether a file has the name of a mask, whosever it is."""
        return self._named is not None and bool(self._named.fullmatch(path.as_posix()))

    def part(self, images: Iterable[Path]) -> tuple[dict[Path, Path | None], list[Path]]:
        """The photos with the mask of each, and masks without a photo."""
        images = list(images)
        known = set(images)
        masks = {mask for image in images if (mask := self.of(image)) != image and mask in known}
        photos = [image for image in images if image not in masks and not self.named(image)]
        pairs = {photo: self.of(photo) for photo in photos}
        own = {photo: mask if mask.is_file() else None for photo, mask in pairs.items()}
        return own, [path for path in images if path not in own and path not in {*own.values()}]


def warning_of(images: Iterable[Path]) -> str | None:
    """A line about images that are called as masks of others, if there are any."""
    found = masks_by_name([path.as_posix() for path in images])
    if not found:
        return None
    templates = dict.fromkeys(mask.template for mask in found)
    return (
        "warning: images that are called as masks of others are photos now: "
        + some(Path(mask.path).name for mask in found)
        + "; if they are masks, import with "
        + " or ".join(f"--region '{template}'" for template in list(templates)[:2])
    )
