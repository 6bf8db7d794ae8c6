"""Photos beside their segmented copies, where everything but the subject is black."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from regard.data.manifest import Manifest, manifest_from_rows
from regard.errors import DataError
from regard.importers.csv import import_csv
from regard.importers.files import entry, folder_at, images_under, one_a_stem, some
from regard.importers.registry import IMPORTERS


@IMPORTERS.register("pairs")
def import_pairs(
    src: Path,
    *,
    root: Path,
    raw: str = "images",
    segmented: str = "segmented",
    labels: str | None = None,
    image: str = "image",
    label: str = "label",
    region_threshold: int = 10,
    say: Callable[[str], object] | None = None,
) -> Manifest:
    """Import photos and their segmented copies, matched by name without the suffix.

    The region is where the segmented copy is brighter than `region_threshold`: black is
    background, and 10 leaves out what JPEG compression makes of black.

    Args:
        src: the folder that holds both folders.
        root: the folder in which the manifest will be written.
        raw: the folder of photos, from `src` on.
        segmented: the folder of segmented copies, from `src` on.
        labels: a CSV of labels, from `src` on, with columns `split` and `group` if there are any;
            left out, the folders inside `raw`, if there are any, are classes.
        image: its column of the image's path, or a template: text with columns in braces.
        label: its column of the class, or a template.
        region_threshold: the region is where the copy is brighter than this, 0 to 255.
        say: called with a line where rows of one photo name several classes.

    Raises:
        DataError: a folder is missing or empty, two files share a name, a photo has no
            segmented copy or the reverse, or photos and labels differ.
    """
    src = Path(src)
    photos, copies = _by_name(src / raw), _by_name(src / segmented)
    _refuse_unmatched(photos.keys(), copies.keys(), f"{src}, {raw} and {segmented}")
    told = (
        _from_folders(photos) if labels is None else _from_csv(src, raw, labels, image, label, say)
    )
    if labels is not None:
        _refuse_unmatched(photos.keys(), told.keys(), f"{src}, {raw} and {labels}")
    rows: list[dict[str, Any]] = []
    for name, photo in photos.items():
        copy = entry(copies[name], root)
        row = {"image": entry(photo, root), "segmented": copy} | told[name]
        rows.append(row | {"region": copy, "region_threshold": region_threshold})
    return manifest_from_rows(rows, Path(root))


def _by_name(folder: Path) -> dict[str, Path]:
    """The images of a folder by their path inside, without the suffix."""
    found: dict[str, list[Path]] = {}
    for path in images_under(folder_at(folder)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        found.setdefault(name, []).append(path)
    if not found:
        raise DataError(str(folder), expected="images", found="none", remedy="add images")
    return {name: one_a_stem(paths) for name, paths in found.items()}


def _from_folders(photos: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return {name: {"label": name.split("/")[0] if "/" in name else None} for name in photos}


def _from_csv(
    src: Path, raw: str, labels: str, image: str, label: str, say: Callable[[str], object] | None
) -> dict[str, dict[str, Any]]:
    """By the photo's name without suffix what the CSV says of it."""
    how = {"root": src / raw, "images": raw, "image": image, "label": label, "say": say}
    table = import_csv(src / labels, **how).table
    told = table.select(name for name in ("label", "labels", "split", "group") if name in table)
    if not {"label", "labels"} & set(told.columns):
        raise DataError(
            str(src / labels),
            expected=f"labels in {label!r}",
            found="none",
            remedy="fill the column, or name another one: --label COLUMN",
        )
    names = [Path(path).with_suffix("").as_posix() for path in table["image"].to_list()]
    return dict(zip(names, told.to_dicts(), strict=True))


def _refuse_unmatched(first: Iterable[str], second: Iterable[str], where: str) -> None:
    first, second = set(first), set(second)
    if first != second:
        one_sided = [
            f"only in {which}, " + some(sorted(names))
            for which, names in (("the first", first - second), ("the second", second - first))
            if names
        ]
        raise DataError(
            where,
            expected="the same names in both",
            found="; ".join(one_sided),
            remedy="add or remove those",
        )
