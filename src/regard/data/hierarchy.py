"""A tree of classes, or several: each label's parent, and what follows from it."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.data.manifest import natural
from regard.data.settings import Data
from regard.errors import DataError, near
from regard.files.reading import open_file
from regard.files.separators import layout_in

COLUMNS = ["child", "parent"]
MAX_BYTES = 2**24


@dataclass(frozen=True)
class Hierarchy:
    """Classes as labels of a forest.

    The root is the lowest label above all classes, or of several trees one that is no label; what
    stands above it tells no classes apart and is left out. Depth 1 is the first label below the
    root. A class may also stand above others.

    Attributes:
        classes: in the order of the logits; all of them are in the forest.
        parents: label to its parent, of the classes and all above them; of a root None.
    """

    classes: tuple[str, ...]
    parents: Mapping[str, str | None]

    @cached_property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """Of each class its ancestors and itself, from depth 1 on."""
        lines = [tuple(_line(name, self.parents))[::-1] for name in self.classes]
        root = min(len(line) for line in lines) - 1
        while len({line[:root] for line in lines}) > 1:
            root -= 1
        return tuple(line[root:] for line in lines)

    @property
    def levels(self) -> int:
        """Depths above the deepest class, which alone tell less than the classes themselves."""
        return max(map(len, self.lines)) - 1

    def at(self, depth: int) -> tuple[str, ...]:
        """Of each class its ancestor at a depth; a class that lies higher stands for itself."""
        return tuple(line[min(depth, len(line)) - 1] for line in self.lines)

    @cached_property
    def distances(self) -> NDArray[np.int64]:
        """Edges (K, K) between two classes, by way of their lowest common ancestor."""
        k = len(self.classes)
        found = np.zeros((k, k), dtype=np.int64)
        for a, one in enumerate(self.lines):
            for b, other in enumerate(self.lines[:a]):
                shared = _shared(one, other)
                found[a, b] = found[b, a] = len(one) + len(other) - 2 * shared
        return found

    @cached_property
    def ancestors(self) -> NDArray[np.bool_]:
        """(K, A): which labels, of all in `lines`, are on the line of each class, itself too."""
        labels = sorted({label for line in self.lines for label in line}, key=natural)
        places = {label: number for number, label in enumerate(labels)}
        found = np.zeros((len(self.classes), len(labels)), dtype=bool)
        for row, line in enumerate(self.lines):
            found[row, [places[label] for label in line]] = True
        return found

    @property
    def order(self) -> tuple[str, ...]:
        """The classes as they hang in the tree: those of one parent side by side."""
        lines = dict(zip(self.classes, self.lines, strict=True))
        return tuple(sorted(self.classes, key=lambda name: [natural(x) for x in lines[name]]))


def read_hierarchy(path: Path, classes: Sequence[str]) -> Hierarchy:
    """The hierarchy of a CSV with the columns `child` and `parent`, one row a child.

    Between them is a comma, or a semicolon or tab as spreadsheets write them.

    Labels that are neither a class nor above one are left out. A root may have a row of its own,
    with an empty parent.

    Args:
        path: of the CSV.
        classes: in the order of the logits.

    Raises:
        DataError: no such CSV or columns, a child without a name or with two parents, a cycle, a
            class that is not in it, or no label that stands above two classes.
    """
    parents: dict[str, str | None] = {}
    for row, (child, parent) in enumerate(_pairs(path), start=2):
        if not child:
            raise _wrong(f"{path}, row {row}", "a child", "an empty cell", "fill or remove the row")
        if parents.get(child, parent) != parent:
            found = f"{parents[child] or 'none'!r} and {parent or 'none'!r} of {child!r}"
            raise _wrong(
                f"{path}, row {row}", "one parent a child", found, "remove one of the rows"
            )
        parents[child] = parent
    for parent in [above for above in parents.values() if above is not None]:
        parents.setdefault(parent, None)
    for name in classes:
        if name not in parents:
            raise _wrong(str(path), f"the class {name!r}", "no such label", near(name, parents))
    for name in parents:
        _refuse_cycle(name, parents, path)
    used = {name: parents[name] for own in classes for name in _line(own, parents)}
    found = Hierarchy(tuple(classes), used)
    if not found.levels:
        raise _wrong(
            str(path),
            "labels above the classes",
            "none that stands above two of them and not above all",
            "add the parents' rows, or leave data.hierarchy out",
        )
    return found


def hierarchy_of(data: Data, folder: Path, classes: Sequence[str]) -> Hierarchy | None:
    """The hierarchy that a config names, its path from a folder; None where it names none.

    Raises:
        DataError: as of `read_hierarchy`.
    """
    return None if data.hierarchy is None else read_hierarchy(folder / data.hierarchy, classes)


def _column(name: str) -> str:
    """A name to be shown, unless it is none: a run's config may name any file for its tree."""
    return name if re.fullmatch(r"[\w -]{1,30}", name) else "what is no name"


def _pairs(path: Path) -> Iterator[tuple[str, str | None]]:
    try:
        text = _text(path)
        between, above = layout_in(text)
        lines = islice(io.StringIO(text, newline=""), above, None)
        reader = csv.DictReader(lines, delimiter=between)
        names = [name.strip() for name in reader.fieldnames or ()]
        if names != COLUMNS:
            columns = ", ".join(map(_column, names)) or "none"
            remedy = "write a first line: child,parent"
            raise _wrong(str(path), "the columns child,parent", columns, remedy)
        reader.fieldnames = names
        for cells in reader:
            child, parent = (str(cells.get(name) or "").strip() for name in COLUMNS)
            yield child, parent or None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found = str(error)[:160] if path.is_file() else "no such file"
        raise _wrong(str(path), "a CSV of child,parent", found, "correct data.hierarchy") from error


def _text(path: Path) -> str:
    """All of the file, which a stranger's config may have named: no device, and of some length."""
    with open_file(path) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        found, remedy = f"more than {MAX_BYTES:,} bytes", "correct data.hierarchy"
        raise _wrong(str(path), "a CSV of child,parent", found, remedy)
    return data.decode("utf-8-sig")


def _line(name: str, parents: Mapping[str, str | None]) -> Iterator[str]:
    above: str | None = name
    while above is not None:
        yield above
        above = parents[above]


def _refuse_cycle(name: str, parents: Mapping[str, str | None], path: Path) -> None:
    met: list[str] = []
    above: str | None = name
    while above is not None:
        if above in met:
            cycle = [*met[met.index(above) :], above]
            shown = " > ".join(cycle if len(cycle) <= 6 else [*cycle[:5], "..."])
            raise _wrong(str(path), "no label above itself", shown, "correct one of these rows")
        met.append(above)
        above = parents[above]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many labels two lines share from their start."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _wrong(where: str, expected: str, found: str, remedy: str) -> DataError:
    return DataError(where, expected=expected, found=found, remedy=remedy)
