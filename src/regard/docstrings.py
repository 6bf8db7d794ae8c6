"""What Google-style docstrings say of arguments and attributes, for help and reference pages."""

import inspect
import re

ENTRY = re.compile(r"(\w+(?:, \w+)*): (.*)")
HEADING = re.compile(r"[A-Z][a-z]+:")


def about(thing: object) -> str:
    """The text before the first section: the summary and what follows it."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    end = next((i for i, line in enumerate(lines) if HEADING.fullmatch(line)), len(lines))
    return "\n".join(lines[:end]).strip()


def entries(thing: object, heading: str) -> dict[str, str]:
    """Name to meaning, in one line each, of a section such as `Args` or `Attributes`.

    Names that share an entry, as in `mean, std: ...`, get the same text.
    """
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in _section(thing, heading):
        entry = ENTRY.fullmatch(line[4:]) if line[4:5].strip() else None
        if entry:
            names = entry[1].split(", ")
        for name in names:
            found.setdefault(name, []).append(entry[2] if entry else line.strip())
    return {name: " ".join(lines).strip() for name, lines in found.items()}


def _section(thing: object, heading: str) -> list[str]:
    lines = (inspect.getdoc(thing) or "").splitlines()
    if f"{heading}:" not in lines:
        return []
    start = lines.index(f"{heading}:") + 1
    end = next((i for i in range(start, len(lines)) if lines[i][:1].strip()), len(lines))
    return lines[start:end]
