"""A set of herbarium sheets on disk, with a manifest."""

import os
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from regard.errors import ConfigError, near
from regard.synthetic.composing import Sheet, draw_sheet
from regard.synthetic.stamp import Ink

SPLITS = ("train", "val", "test", "test_shifted")
SHIFTED = "test_shifted"
COUNTS: Mapping[str, int] = MappingProxyType(
    {"train": 600, "val": 150, "test": 300, "test_shifted": 300}
)
LABELS = ("smooth", "thorny")
INKS: tuple[Ink, Ink] = ("blue", "red")
SUFFIXES = {"image": "jpg", "segmented": "jpg", "region": "png", "avoid": "png"}
PLACES = {"image": "images", "segmented": "segmented", "region": "masks", "avoid": "stamps"}
SMALLEST, THORNIEST = 96, 2.0


def write_sheets(
    out: Path,
    *,
    counts: Mapping[str, int] = COUNTS,
    shortcut: float = 0.95,
    size: tuple[int, int] = (288, 216),
    thorn: float = 1.0,
    seed: int = 42,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write sheets of smooth and thorny plants, half each, and their manifest.

    The class shows in the plant's thorns. It shows more easily in the colour of the
    collector's stamp, which goes with it (blue with smooth, red with thorny) on a share
    `shortcut` of the sheets, except in the split `test_shifted`, where the two are
    independent. Plant, stamp and all else lie anywhere on the sheet. A sheet is decided by
    (seed, split, index) alone, so the same arguments give the same bytes, and a larger set
    holds the smaller one's sheets.

    Args:
        out: a folder that is empty or does not exist.
        counts: sheets by split, at least 2 each; splits are train, val, test, test_shifted.
        shortcut: how often the stamp's colour goes with the class, in [0.5, 1].
        size: height and width of a sheet, at least 96 pixels each.
        thorn: scale of the thorns' length and contrast, in [0, 2]; at 0 there are none.
        seed: of the whole set, not negative.
        progress: called with the sheets done and the total after each sheet.

    Returns:
        The path of OUT/manifest.parquet: columns `image`, `segmented` (the plant on black),
        `region` (the plant's mask), `avoid` (the stamp's mask), as paths relative to the
        manifest, `label` and `split`.

    Raises:
        ConfigError: for an argument outside its range or a folder that is not empty.
    """
    _check(counts, shortcut, size, thorn, seed)
    _make_folders(out)
    rows: list[dict[str, str]] = []
    total = sum(counts.values())
    for split, index in _order(counts):
        key = [seed, SPLITS.index(split), index]
        label, sheet = _drawn(key, split, shortcut, size, thorn)
        rows.append({**_save(out, len(rows), sheet), "label": label, "split": split})
        if progress is not None:
            progress(len(rows), total)
    return _write_manifest(out, rows)


def _order(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Every sheet's split and index; splits come in one order whatever the mapping's."""
    for split in SPLITS:
        for index in range(counts.get(split, 0)):
            yield split, index


def _drawn(
    key: list[int], split: str, shortcut: float, size: tuple[int, int], thorn: float
) -> tuple[str, Sheet]:
    """The label and the drawing of one sheet; classes take turns, so that they balance."""
    rng = np.random.default_rng(key)
    thorny = key[-1] % 2 == 1
    agrees = rng.random() < (0.5 if split == SHIFTED else shortcut)
    ink = INKS[thorny == agrees]
    return LABELS[thorny], draw_sheet(rng, size, thorny=thorny, ink=ink, thorn=thorn)


def _save(out: Path, number: int, sheet: Sheet) -> dict[str, str]:
    """Write a sheet's four files; their paths relative to `out`, by column."""
    pictures: dict[str, NDArray[np.uint8]] = {
        "image": sheet.image,
        "segmented": sheet.segmented,
        "region": sheet.region * np.uint8(255),
        "avoid": sheet.avoid * np.uint8(255),
    }
    paths = {name: f"{PLACES[name]}/{number:05d}.{SUFFIXES[name]}" for name in pictures}
    for name, pixels in pictures.items():
        picture = Image.fromarray(pixels)
        if SUFFIXES[name] == "jpg":
            # Full chroma resolution: a thorn is thinner than the 2 x 2 pixels JPEG would merge.
            picture.save(out / paths[name], quality=92, subsampling=0)
        else:
            picture.save(out / paths[name], compress_level=3)
    return paths


def _make_folders(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"output folder {out}",
            expected="a folder that is empty or does not exist",
            found="files in it" if out.is_dir() else "a file",
            remedy="choose another folder, or empty this one",
        )
    for folder in PLACES.values():
        (out / folder).mkdir(parents=True, exist_ok=True)


def _write_manifest(out: Path, rows: list[dict[str, str]]) -> Path:
    """Write the table last and in one step: where it is, the set is whole."""
    path, partial = out / "manifest.parquet", out / "manifest.parquet.partial"
    pl.DataFrame(rows).select(*PLACES, "label", "split").write_parquet(partial)
    os.replace(partial, path)
    return path


def _check(
    counts: Mapping[str, int], shortcut: float, size: tuple[int, int], thorn: float, seed: int
) -> None:
    if not counts:
        raise _wrong("counts", "a number of sheets for one split at least", "none", "name a split")
    for split, count in counts.items():
        if split not in SPLITS:
            raise _wrong("counts", "known splits", repr(split), near(split, SPLITS))
        if count < 2:
            remedy = "ask for a sheet of each class, or leave the split out"
            raise _wrong(f"counts[{split!r}]", "2 sheets or more", str(count), remedy)
    if not 0.5 <= shortcut <= 1:
        remedy = "use 0.5 for no shortcut and 1 for a perfect one"
        raise _wrong("shortcut", "a number in [0.5, 1]", str(shortcut), remedy)
    if min(size) < SMALLEST:
        expected = f"height and width of {SMALLEST} pixels or more"
        raise _wrong("size", expected, f"{size[0]} x {size[1]}", "make the sheets larger")
    if not (isfinite(thorn) and 0 <= thorn <= THORNIEST):
        remedy = "use 1 for thorns of a few pixels"
        raise _wrong("thorn", f"a number in [0, {THORNIEST:g}]", str(thorn), remedy)
    if seed < 0:
        raise _wrong("seed", "a number from 0 on", str(seed), "choose a seed that is not negative")


def _wrong(where: str, expected: str, found: str, remedy: str) -> ConfigError:
    return ConfigError(where, expected=expected, found=found, remedy=remedy)
