"""Many comparisons of a study at a glance: a row a comparison, a column a metric."""

from regard.language import phrase
from regard.reports.blocks import Cell, Table
from regard.reports.study_contents import StudyContents
from regard.reports.study_words import (
    NOT_SHOWN,
    NOT_TESTED,
    VERDICTS,
    Comparison,
    compared,
    found_of,
    metric_of,
    quality,
    tested,
)
from regard.reports.words import NONE, between, columns, on_split, signed

# Comparisons that are told on a card each.
MOST_CARDS = 3
# Signs that are told apart without their colours.
SIGNS = {"better": "▲", "worse": "▼", NOT_SHOWN: "○", NOT_TESTED: "–"}
_MARKS = {"better": "good", "worse": "bad"}


def verdicts_table(study: StudyContents) -> Table:
    """Difference, interval and verdict of every comparison in every metric."""
    names = list(dict.fromkeys(row["metric"] for row in study.summary["comparisons"]))
    rows = []
    for arm, against in study.pairs:
        found = {row["metric"]: row for row in compared(study, arm, against)}
        if found:
            cells = [_cell(study, found.get(name)) for name in names]
            rows.append([Cell(f"{arm} − {against}"), *cells])
    caption = phrase(
        "Differences with their intervals: {better} better, {worse} worse, {none} no difference "
        "shown",
        better=SIGNS["better"],
        worse=SIGNS["worse"],
        none=SIGNS[NOT_SHOWN],
    )
    heads = (f"{on_split(*metric_of(name))}#" for name in names)
    return Table((*columns("Comparison"), *heads), rows, caption)


def _cell(study: StudyContents, row: Comparison | None) -> Cell:
    if row is None:
        return Cell(NONE)
    verdict = quality(row)
    fact = found_of(study, row)
    known = tested(row) or row.get("images") or {}
    return Cell(
        fact.value,
        between(known.get("difference") or {}, signed),
        mark=_MARKS.get(verdict, "quiet"),
        sign=SIGNS[verdict],
        spoken=phrase(VERDICTS[verdict]),
    )
