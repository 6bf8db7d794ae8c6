"""The report of a comparison of runs, from its `pairs.parquet` and `summary.json`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from regard.errors import RunError
from regard.language import Phrases, phrase, speaking
from regard.progress import Step
from regard.reports.blocks import (
    Block,
    Drawings,
    Facts,
    Heading,
    Matrices,
    Matrix,
    Note,
    Page,
    Section,
    Table,
    Text,
)
from regard.reports.compare_galleries import compare_galleries
from regard.reports.compare_masks import (
    class_differences,
    mask_facts,
    mask_pair_galleries,
    mask_words,
    metrics_differences,
)
from regard.reports.compare_metrics import calibration, classes_table, metrics_table
from regard.reports.compare_reach import how_to_read
from regard.reports.compare_sets import (
    set_class_differences,
    set_differences,
    set_facts,
    set_pair_galleries,
    set_words,
)
from regard.reports.compare_tables import differences_table, outcomes_table
from regard.reports.compare_words import comparison_facts, comparison_words
from regard.reports.confusion import confusion
from regard.reports.languages import language_of
from regard.reports.latency import TITLE, latency_tables
from regard.reports.page import write_page
from regard.reports.pair_galleries import Comparing
from regard.reports.words import count, listed
from regard.runs.compare import KIND, PAIRS, REPORT, SUMMARY
from regard.runs.files import read_json, read_table

Told = Mapping[str, Any]


def compare_report(
    folder: Path,
    out: Path | None = None,
    *,
    pictures: int = 8,
    language: str = "en",
    progress: Step | None = None,
) -> Path:
    """Write a comparison's report from the files of its folder.

    Args:
        folder: what `regard.runs.compare.compare_runs` wrote.
        out: the file to write; None: `report.html` in the folder.
        pictures: images in each gallery; 0 makes no pictures and loads no net.
        language: of the text and the numbers, `en` or `fr`.
        progress: called with the number of images after each.

    Returns:
        The file's path.

    Raises:
        RunError: this is no folder of a comparison.
        ConfigError: reports are not written in that language.
    """
    folder = Path(folder)
    try:
        summary, pairs = read_json(folder / SUMMARY), read_table(folder / PAIRS)
        known = summary["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise _not_a_comparison(folder) from error
    if not known:
        raise _not_a_comparison(folder)
    with speaking(language_of(language)):
        page = compare_page(folder, summary, pairs, pictures, progress)
        return write_page(page, Path(out or folder / REPORT))


def pictures_of(summary: Told, pictures: int) -> int:
    """The most images that the galleries of a comparison show, for a progress bar."""
    if summary["task"] == "segmentation":
        return 2 * pictures * len(summary["others"])
    flips = ("right_becomes_wrong", "wrong_becomes_right")
    shown = flips if summary["task"] == "multilabel" else ("stays_right", *flips)
    return sum(min(pictures, other["outcomes"][name]) for other in summary["others"]
               for name in shown)  # fmt: skip


def compare_page(
    folder: Path, summary: Told, pairs: pl.DataFrame, pictures: int, progress: Step | None
) -> Page:
    """The page of a comparison."""
    others = summary["others"]
    facts, words, _ = _BY_TASK[summary["task"]]
    blocks: list[Block] = []
    if len(others) == 1:
        blocks.append(facts(summary, others[0]))
    for other in others:
        blocks += [Heading(other["name"])] if len(others) > 1 else []
        blocks.append(Text(words(summary, other), lead=len(others) == 1))
    blocks += [Heading(phrase("How to read this")), Text(how_to_read(summary))]
    sections = [Section("summary", phrase("Summary"), blocks)]
    for number, other in enumerate(others):
        sections += _sections(folder, summary, other, pairs, (number, pictures), progress)
    sections += _latency(summary)
    names = [other["name"] for other in others]
    subtitle = ", ".join(
        [
            summary["split"],
            count(others[0]["images"], "image"),
            count(len(summary["classes"]), "class", "classes"),
        ]
    )
    made = phrase(
        "Every number on this page is read from {summary} and {pairs} beside it.",
        summary=SUMMARY,
        pairs=PAIRS,
    )
    title = phrase(
        "{names} against {first}",
        names=listed(names, len(names)),
        first=summary["first"]["name"],
    )
    return Page(phrase("Comparison report"), title, subtitle, sections, [made])


def _sections(
    folder: Path,
    summary: Told,
    other: Told,
    pairs: pl.DataFrame,
    which: tuple[int, int],
    progress: Step | None,
) -> list[Section]:
    """Differences, classes and pictures of one comparison: sections, or parts of one of several."""
    number, pictures = which
    own = pairs.filter(pl.col("run") == other["name"])
    _, _, make = _BY_TASK[summary["task"]]
    parts = make(Comparing(folder, summary, other, own, pictures, progress))
    parts = {name: blocks for name, blocks in parts.items() if blocks}
    if len(summary["others"]) == 1:
        return [Section(name, phrase(_TITLES[name]), blocks) for name, blocks in parts.items()]
    blocks = [
        block for name, own in parts.items() for block in (Heading(phrase(_TITLES[name])), *own)
    ]
    return [Section(f"run-{number}", other["name"], blocks)]


_TITLES: Phrases = {
    "differences": "Differences",
    "classes": "Classes",
    "calibration": "Calibration",
    "pictures": "Pictures",
}


def _of_labels(own: Comparing) -> dict[str, list[Block]]:
    summary, other = own.summary, own.other
    numbers: list[Block] = [
        differences_table(summary, other),
        outcomes_table(own.pairs, summary, other),
    ]
    if not other["scores"]:
        text = phrase("No image of this split has a region, so only the predictions are compared.")
        numbers.append(Note(text))
    numbers += metrics_table(summary, other)
    return {
        "differences": numbers,
        "classes": [*classes_table(other), *_confusions(summary, other)],
        "calibration": calibration(summary, other),
        "pictures": compare_galleries(own),
    }


def _of_masks(own: Comparing) -> dict[str, list[Block]]:
    summary, other = own.summary, own.other
    by_class = [class_differences(summary, other, key) for key in ("iou", "recall", "boundary_f1")]
    return {
        "differences": [metrics_differences(summary, other)],
        "classes": [*by_class, *_confusions(summary, other)],
        "pictures": mask_pair_galleries(own),
    }


def _of_sets(own: Comparing) -> dict[str, list[Block]]:
    numbers: list[Block] = [*set_differences(own.summary, own.other, own.pairs)]
    if not own.other["scores"]:
        text = phrase("No map of this split is scored, so only the predictions are compared.")
        numbers.append(Note(text))
    return {
        "differences": numbers,
        "classes": set_class_differences(own.summary, own.other),
        "pictures": set_pair_galleries(own),
    }


Parts = Callable[[Comparing], dict[str, list[Block]]]
_BY_TASK: dict[
    str, tuple[Callable[[Told, Told], Facts], Callable[[Told, Told], list[str]], Parts]
] = {
    "classification": (comparison_facts, comparison_words, _of_labels),
    "multilabel": (set_facts, set_words, _of_sets),
    "segmentation": (mask_facts, mask_words, _of_masks),
}


def _latency(summary: Told) -> list[Section]:
    runs = [summary["first"], *summary["others"]]
    blocks = latency_tables({run["name"]: [run.get("bench")] for run in runs}, phrase("Run"))
    return [Section("latency", phrase(*TITLE), blocks)] if blocks else []


def _confusions(summary: Told, other: Told) -> list[Block]:
    """Both confusion matrices side by side, or both images of them and both lists."""
    sides = {"before": summary["first"]["name"], "after": other["name"]}
    drawings, tables, matrices = [], [], []
    for side, name in sides.items():
        numbers = {"classes": summary["classes"], "confusion": other["confusion"][side]}
        for block in confusion(numbers):
            if isinstance(block, Matrix):
                matrices.append(replace(block, caption=name))
            elif isinstance(block, Drawings):
                drawings += [replace(one, note=name) for one in block.drawings]
            elif isinstance(block, Table):
                tables.append(
                    replace(
                        block, caption=phrase("{caption}, {name}", caption=block.caption, name=name)
                    )
                )
    if matrices:
        text = phrase("A row is a label, a column a prediction; shares are of the row.")
        return [Text([text]), Matrices(matrices)]
    return [Drawings(drawings), *tables]


def _not_a_comparison(folder: Path) -> RunError:
    return RunError(
        str(folder),
        expected=f"{SUMMARY} and {PAIRS} of regard compare",
        found="no such files" if folder.is_dir() else "no such folder",
        remedy="give the folder that regard compare wrote",
    )
