"""Everything that is wrong with a manifest and its files."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from regard.checks.file_checks import file_problems
from regard.checks.overall import Overall
from regard.checks.problems import Problem
from regard.checks.table_checks import table_problems
from regard.data.columns import PATHS
from regard.data.manifest import Manifest
from regard.data.source import mask_classes
from regard.errors import DataError
from regard.files.atomic import write_atomically
from regard.files.threads import in_threads
from regard.images.opening import MAX_PIXELS
from regard.progress import Progress

COLUMNS = ("row", "column", "file", "kind", "detail")
BAD = "bad_files.csv"


def check(
    manifest: Manifest, *, max_pixels: int = MAX_PIXELS, progress: Progress | None = None
) -> list[Problem]:
    """Everything that is wrong with a manifest and its files, by row.

    Every file is decoded in full with the decoder that trains. Errors stop a training or make
    its numbers wrong; warnings deserve a look:

    - files: `missing`, `empty file`, `unreadable`, `truncated`, `too many pixels`;
    - regions: `other size` than the image (a further view may be a smaller copy), `empty region`,
      `tiny region`, `full region`, `faint region`, and of all of them `large regions`, as masks
      have that are the wrong way round; of areas to avoid or to ignore `faint area`;
    - masks of classes: `mask classes`, `unknown id`, `other size`;
    - boxes: `degenerate box`, `box outside`;
    - the table: `no label`, `one class`, `no split`, `listed twice`, `rare class`, `empty split`,
      `class not in train`, `class not in split`, `group in several splits`, `few groups in val`,
      `few groups in test`, `groups alike`, `synthetic outside train`, `label like none`,
      `classes alike`, `label lists`;
    - images: `dark 16 bits`, `mask as image`.

    Args:
        manifest: to be checked.
        max_pixels: larger images are a problem; they are told from their header.
        progress: called with (samples done, samples in all).
    """
    rows = list(manifest.table.iter_rows(named=True))
    found, classes, masks = table_problems(manifest), manifest.classes, None
    if "mask" in manifest.table.columns:
        try:
            masks = mask_classes(manifest)
        except DataError as error:
            detail = f"{error.found}: {error.remedy}"
            severity = "warning" if classes or manifest.several else "error"
            found.append(Problem(None, "mask_classes", None, "mask classes", detail, severity))

    overall = Overall()

    def one(row: int) -> list[Problem]:
        paths = _absolute(rows[row], manifest)
        return file_problems(row + 1, paths, rows[row], max_pixels, classes, masks, overall)

    for problems in in_threads(one, range(len(rows)), progress):
        found += problems
    found += overall.problems(rows)
    return sorted(found, key=lambda problem: problem.row or 0)


def place_of_bad_files(manifest: Path) -> Path:
    """`bad_files.csv` beside the manifest, or `NAME-bad_files.csv` where another one's is there.

    Of which it is says the last column; one without rows tells nothing that could be lost.
    """
    own, common = manifest.with_name(f"{manifest.stem}-{BAD}"), manifest.with_name(BAD)
    if own.exists():
        return own
    try:
        with common.open(newline="", encoding="utf-8-sig") as file:
            row = next(csv.DictReader(file), {})
    except (OSError, ValueError, csv.Error):
        return common
    return common if row.get("manifest") in (None, _harmless(manifest.name)) else own


def write_bad_files(problems: Iterable[Problem], path: str | Path, manifest: str = "") -> Path:
    """Write `bad_files.csv` in one atomic step; returns the path.

    Cells that a spreadsheet would take for a formula are written with an apostrophe before, and a
    byte order mark before all, by which Excel knows that this is UTF-8.

    Args:
        problems: a row each.
        path: of the file.
        manifest: the name of the one that they are of, for the last column.
    """

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, "manifest"])
            for problem in problems:
                cells = [getattr(problem, name) for name in COLUMNS]
                writer.writerow(map(_harmless, [*cells, manifest]))

    return write_atomically(Path(path), write)


def _absolute(cells: dict[str, Any], manifest: Manifest) -> dict[str, str]:
    return {name: manifest.resolve(cells[name]) for name in PATHS if cells.get(name)}


def _harmless(value: object) -> str:
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
