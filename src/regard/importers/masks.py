"""Photos and images of class ids in two folders, and the table of what the ids mean."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from regard.data.mask_classes import VOID_NAME, by_id
from regard.errors import DataError
from regard.files.table_files import read_csv
from regard.importers.files import entry, folder_at, images_in, one_a_stem, some

# What pixels of which nothing is said are called elsewhere.
UNSAID = {"", "void", "unlabelled", "unlabeled", "ignore"}
NAMES = ("class", "name")


def read_table(path: Path, column: str | None) -> list[str | None]:
    """The class of each id from a CSV with a column `id` and one of names.

    Args:
        path: of the CSV.
        column: of the names; None: `class`, else `name`.

    Raises:
        DataError: unreadable, no such columns, an id that is none or comes twice.
    """
    table = read_csv(
        path,
        expected="a CSV of what the ids in masks mean, with columns id and class",
        remedy="write one (id,class), or name it: --classes TABLE.csv",
    )
    wanted = [column] if column else [name for name in NAMES if name in table.columns][:1]
    lacking = [n for n in ("id", *(wanted or NAMES[:1])) if n not in table.columns]
    if lacking:
        raise DataError(
            str(path),
            expected=f"a column {lacking[0]!r}",
            found=", ".join(table.columns),
            remedy="rename a column, or name the one of the classes: --column NAME",
        )
    ids = table["id"].str.strip_chars().cast(pl.Int64, strict=False)
    wrong = ids.is_null() | ids.is_duplicated()
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise DataError(
            f"{path}, row {row + 1}, column 'id'",
            expected="a whole number that comes once",
            found=repr(table["id"][row]),
            remedy="correct that cell",
        )
    names = [(name or "").strip() for name in table[wanted[0]].to_list()]
    said = [VOID_NAME if name.lower() in UNSAID else name for name in names]
    return by_id(dict(zip(ids.to_list(), said, strict=True)), str(path))


def paired(images: Path, masks: Path, root: Path) -> Iterator[dict[str, str]]:
    """`image` and `mask` of every photo, by the name without suffix.

    A mask may be called as its photo, or so with `_L`, as those of CamVid are.

    Raises:
        DataError: a folder is missing, or a photo without a mask, or a mask without a photo, or two
            of one name.
    """
    photos, known = _by_name(images, ""), _by_name(masks, "_L")
    for there, other, what, folder in (
        (photos, known, "mask", masks),
        (known, photos, "photo", images),
    ):
        lacking = sorted(there.keys() - other.keys())
        if lacking or not there:
            raise DataError(
                str(folder),
                expected=f"a {what} for each file on the other side",
                found="none for " + some(lacking) if lacking else "no files on the other side",
                remedy="add them, or take the others away",
            )
    for stem, photo in photos.items():
        yield {"image": entry(photo, root), "mask": entry(known[stem], root)}


def _by_name(folder: Path, ending: str) -> dict[str, Path]:
    found: dict[str, list[Path]] = {}
    for path in images_in(folder_at(folder)):
        found.setdefault(path.stem.removesuffix(ending), []).append(path)
    return {name: one_a_stem(paths) for name, paths in found.items()}


def with_classes(
    rows: Sequence[dict[str, str]], classes: Sequence[str | None]
) -> list[dict[str, object]]:
    """The rows with what the ids mean."""
    return [{**row, "mask_classes": list(classes)} for row in rows]
