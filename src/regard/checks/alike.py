"""Names that are likelier one name, written in several ways."""

import unicodedata
from collections.abc import Iterable, Iterator


def alike(names: Iterable[str]) -> list[list[str]]:
    """Names that differ in case, in blanks or in how Unicode writes them, two or more together.

    Args:
        names: each once; their order is kept, and that of the first of each.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_plain(name), []).append(name)
    return [own for own in found.values() if len(own) > 1]


def told_apart(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name, and a text of it in which those that look the same are not."""
    names = list(names)
    looks = [unicodedata.normalize("NFC", name) for name in names]
    for name, look in zip(names, looks, strict=True):
        yield name, ascii(name) if looks.count(look) > 1 else repr(name)


def _plain(name: str) -> str:
    """An umlaut is one sign or two, a blank may be one that does not break."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
