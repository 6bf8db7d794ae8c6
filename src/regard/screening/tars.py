"""Where the images of an uncompressed tar lie in it, so that each can be read by itself."""

import posixpath
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regard.errors import DataError
from regard.importers.files import is_image

# Of the header that every file has, and of the zeros that every tar ends with.
BLOCK = 512
# Links that lead to links.
_LONGEST = 16


@dataclass(frozen=True)
class Place:
    """First byte and length of a file in a tar."""

    start: int
    length: int


class _Forward(tarfile.TarInfo):
    """A file of a length below zero would lead back to itself, without end (CVE-2025-8194)."""

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError("a length below zero")
        return super()._block(count)  # pyright: ignore[reportAttributeAccessIssue]


def images_in(path: Path) -> dict[str, Place | None]:
    """The images of a tar in its order, by name; None for a link that leads nowhere.

    A link to an image is an image, as it is in a folder: tars of folders with hard links have such.
    Of equal names the last one counts, which is what unpacking leaves.

    Raises:
        DataError: compressed, cut off, damaged, or with files that have holes.
    """
    files: dict[str, Place] = {}
    links: dict[str, str] = {}
    found: dict[str, str] = {}  # without a `./` before it, and as the tar has it at last
    try:
        with tarfile.open(path, "r:", tarinfo=_Forward) as tar:
            for member in tar:
                name = posixpath.normpath(member.name)
                if member.issparse():
                    raise _refused(path, f"{name}, stored with holes", "pack without --sparse")
                if member.isreg():
                    files[name] = Place(member.offset_data, member.size)
                    links.pop(name, None)
                elif member.islnk() or member.issym():
                    links[name] = _target(member, name)
                    files.pop(name, None)
                else:
                    continue
                if is_image(posixpath.basename(name)):
                    found[name] = member.name
            end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        if files or links:
            raise _damaged(path, said) from error
        raise DataError(
            str(path),
            expected="an uncompressed tar",
            found=said,
            remedy="unpack a compressed one: images hardly shrink in it, and cannot be found",
        ) from error
    # The library takes a header that it cannot read for the end.
    with path.open("rb") as file:
        file.seek(end)
        if file.read(BLOCK) != bytes(BLOCK):
            raise _damaged(path, f"no header and no end at byte {end:,}")
    return {told: _place(name, files, links) for name, told in found.items()}


def _target(member: tarfile.TarInfo, name: str) -> str:
    if member.islnk():
        return posixpath.normpath(member.linkname)
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))


def _place(name: str, files: Mapping[str, Place], links: Mapping[str, str]) -> Place | None:
    for _ in range(_LONGEST):
        if name in files:
            return files[name]
        name = links.get(name, "")
    return None


def _damaged(path: Path, found: str) -> DataError:
    return _refused(path, found, "it is damaged or cut off: copy or pack it again")


def _refused(path: Path, found: str, remedy: str) -> DataError:
    return DataError(str(path), expected="a whole, plain tar", found=found, remedy=remedy)
