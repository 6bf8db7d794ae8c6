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
# What a link leads to that leads to nothing in the tar.
_NOWHERE = "/"


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
                if not (member.isreg() or member.islnk() or member.issym()):
                    continue
                place, leads_to = _what(member, files, links)
                files.pop(name, None)
                links.pop(name, None)
                if place is not None:
                    files[name] = place
                else:
                    links[name] = leads_to
                if is_image(name):
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


def _what(
    member: tarfile.TarInfo, files: Mapping[str, Place], links: Mapping[str, str]
) -> tuple[Place | None, str]:
    """Where a file's bytes lie, or what a link leads to, from the folder that it is in.

    A hard link is another name of what its own one is when it is met, whatever comes later.
    """
    if member.isreg():
        return Place(member.offset_data, member.size), ""
    if member.islnk():
        other = posixpath.normpath(member.linkname)
        return files.get(other), links.get(other, _NOWHERE)
    return None, member.linkname


def _place(name: str, files: Mapping[str, Place], links: Mapping[str, str]) -> Place | None:
    """Where the file lies to which a name leads, links followed before `..` goes up from them."""
    done: list[str] = []
    waiting, followed = name.split("/")[::-1], 0
    while waiting:
        part = waiting.pop()
        if part == ".." and done and done[-1] != "..":
            done.pop()
        elif part not in ("", "."):
            done.append(part)
        leads_to = links.get("/".join(done))
        if leads_to is not None:
            followed += 1
            if followed > _LONGEST or leads_to.startswith("/"):
                return None
            done.pop()
            waiting += leads_to.split("/")[::-1]
    return files.get("/".join(done))


def _damaged(path: Path, found: str) -> DataError:
    return _refused(path, found, "it is damaged or cut off: copy or pack it again")


def _refused(path: Path, found: str, remedy: str) -> DataError:
    return DataError(str(path), expected="a whole, plain tar", found=found, remedy=remedy)
