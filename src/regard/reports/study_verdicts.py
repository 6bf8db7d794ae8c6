"""Many comparisons of a study at a glance: a row a comparison, a column a metric."""

from regard.language import Phrases, phrase, plural
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
from regard.reports.words import (
    NONE,
    between,
    clauses,
    columns,
    count,
    heads_of,
    listed,
    pair_named,
    signed,
    title,
)

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
            rows.append([Cell(pair_named(arm, against)), *cells])
    heads, split = heads_of(names)
    caption = phrase(
        "Differences with their intervals: {better} better, {worse} worse, {none} no difference "
        "shown"
        if split is None
        else "Differences on {split} with their intervals: {better} better, {worse} worse, {none} "
        "no difference shown",
        split=split,
        better=SIGNS["better"],
        worse=SIGNS["worse"],
        none=SIGNS[NOT_SHOWN],
    )
    return Table((*columns("Comparison"), *heads), rows, caption)


def lead_words(study: StudyContents) -> list[str]:
    """What to read from all verdicts: which comparisons gain, lose, do both or neither."""
    groups: dict[tuple[bool, bool], list[str]] = {}
    for arm, against in study.pairs:
        told = {quality(row) for row in compared(study, arm, against)}
        if told - {NOT_TESTED}:
            kind = ("better" in told, "worse" in told)
            groups.setdefault(kind, []).append(pair_named(arm, against))
    if set(groups) == {(False, False)}:
        (names,) = groups.values()
        return [phrase("No difference is shown in any of {n}.", n=count(len(names), "comparison"))]
    told = [
        plural(len(groups[kind]), *lines, names=listed(groups[kind]))
        for kind, lines in _LEADS.items()
        if kind in groups
    ]
    return [" ".join(told)] if told else []


# By whether a comparison is better in some metric, and worse in some.
_LEADS: Phrases = {
    (True, False): (
        "{n} comparison is better in some metric and worse in none: {names}.",
        "{n} comparisons are better in some metric and worse in none: {names}.",
    ),
    (True, True): (
        "{n} comparison is better in one metric and worse in another: {names}.",
        "{n} comparisons are better in one metric and worse in another: {names}.",
    ),
    (False, True): (
        "{n} comparison is worse in some metric and better in none: {names}.",
        "{n} comparisons are worse in some metric and better in none: {names}.",
    ),
    (False, False): (
        "{n} comparison shows no difference in any metric: {names}.",
        "{n} comparisons show no difference in any metric: {names}.",
    ),
}


def largest_words(study: StudyContents) -> list[str]:
    """Of each metric that anything is better in, the comparison that is so by most."""
    better: dict[str, list[Comparison]] = {}
    for pair in study.pairs:
        for row in compared(study, *pair):
            if quality(row) == "better":
                better.setdefault(row["metric"], []).append(row)
    found = []
    for name, rows in better.items():
        best = max(rows, key=lambda row: abs(_difference(row)["value"]))
        metric, split = metric_of(name)
        item = phrase(
            "{metric} on {split} {value} ({pair})",
            metric=title(metric),
            split=split,
            value=signed(_difference(best)["value"]),
            pair=pair_named(best["arm"], best["against"]),
        )
        found.append(item)
    return [phrase("Largest improvements shown: {found}.", found=clauses(*found))] if found else []


def _difference(row: Comparison) -> Comparison:
    """The difference that a verdict rests on."""
    return (tested(row) or row.get("images") or {}).get("difference") or {}


def _cell(study: StudyContents, row: Comparison | None) -> Cell:
    if row is None:
        return Cell(NONE)
    verdict = quality(row)
    fact = found_of(study, row)
    return Cell(
        fact.value,
        between(_difference(row), signed),
        mark=_MARKS.get(verdict, "quiet"),
        sign=SIGNS[verdict],
        spoken=phrase(VERDICTS[verdict]),
    )
