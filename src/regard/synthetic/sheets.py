"""A set of herbarium sheets on disk, with a manifest."""

import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import isfinite
from pathlib import Path
from types import MappingProxyType

import polars as pl

from regard.errors import near, wrong
from regard.files.parquet import write_parquet
from regard.progress import Progress
from regard.synthetic.drawer import PLACES, SPLITS, Drawer, Place
from regard.synthetic.folder import refuse_used

COUNTS: Mapping[str, int] = MappingProxyType(
    {"train": 600, "val": 150, "test": 300, "test_shifted": 300}
)
SMALLEST, THORNIEST = 96, 2.0
# A process takes as long to start as these take to draw.
FEW = 64


def write_sheets(
    out: Path,
    *,
    counts: Mapping[str, int] = COUNTS,
    shortcut: float = 0.95,
    size: tuple[int, int] = (288, 216),
    thorn: float = 1.0,
    seed: int = 42,
    workers: int = 1,
    progress: Progress | None = None,
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
        workers: processes to draw in; the set is the same. More than one needs a script whose
            main part is guarded, as `multiprocessing` says.
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
    places = list(_places(counts))
    rows: list[dict[str, str]] = []
    for row in _drawn(Drawer(out, shortcut, size, thorn, seed), places, workers):
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(places))
    return _write_manifest(out, rows)


def _places(counts: Mapping[str, int]) -> Iterator[Place]:
    """Every sheet's number, split and index; splits come in one order whatever the mapping's."""
    number = 0
    for split in SPLITS:
        for index in range(counts.get(split, 0)):
            yield number, split, index
            number += 1


def _drawn(drawer: Drawer, places: Sequence[Place], workers: int) -> Iterator[dict[str, str]]:
    """The rows, in order; in processes if that pays."""
    workers = min(workers, len(places) // FEW)
    if workers < 2:
        yield from map(drawer, places)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _leave_interrupts_alone) as pool:
        try:
            yield from pool.map(drawer, places, chunksize=8)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _leave_interrupts_alone() -> None:
    """Ctrl-C reaches every process of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make_folders(out: Path) -> None:
    refuse_used(out)
    for folder in PLACES.values():
        (out / folder).mkdir(parents=True, exist_ok=True)


def _write_manifest(out: Path, rows: list[dict[str, str]]) -> Path:
    """Write the table last and in one step: where it is, the set is whole."""
    table = pl.DataFrame(rows).select(*PLACES, "label", "split")
    return write_parquet(out / "manifest.parquet", table)


def _check(
    counts: Mapping[str, int], shortcut: float, size: tuple[int, int], thorn: float, seed: int
) -> None:
    if not counts:
        raise wrong("counts", "a number of sheets for one split at least", "none", "name a split")
    for split, count in counts.items():
        if split not in SPLITS:
            raise wrong("counts", "known splits", repr(split), near(split, SPLITS))
        if count < 2:
            remedy = "ask for a sheet of each class, or leave the split out"
            raise wrong(f"counts[{split!r}]", "2 sheets or more", str(count), remedy)
    if not 0.5 <= shortcut <= 1:
        remedy = "use 0.5 for no shortcut and 1 for a perfect one"
        raise wrong("shortcut", "a number in [0.5, 1]", str(shortcut), remedy)
    if min(size) < SMALLEST:
        expected = f"height and width of {SMALLEST} pixels or more"
        raise wrong("size", expected, f"{size[0]} x {size[1]}", "make the sheets larger")
    if not (isfinite(thorn) and 0 <= thorn <= THORNIEST):
        remedy = "use 1 for thorns of a few pixels"
        raise wrong("thorn", f"a number in [0, {THORNIEST:g}]", str(thorn), remedy)
    if seed < 0:
        raise wrong("seed", "a number from 0 on", str(seed), "choose a seed that is not negative")
