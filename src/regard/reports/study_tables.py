"""Tables that set a study's arms side by side."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import quote

from regard.language import Phrases, phrase
from regard.reports.blocks import Cell, Table
from regard.reports.study_contents import StudyContents
from regard.reports.study_words import (
    VERDICTS,
    Comparison,
    corrected_away,
    metric_of,
    quality,
    shown_interval,
)
from regard.reports.words import (
    NONE,
    between,
    columns,
    decimal,
    heads_of,
    on_split,
    p_value,
    pair_named,
    real,
    seconds,
    signed,
    title,
)
from regard.studies.settings import Job

# Columns that a page has room for, and rows that are read at one go.
MOST_COLUMNS, MOST_ROWS = 7, 24


def arms_table(study: StudyContents, names: Sequence[str], caption: str, **kind: bool) -> Table:
    """Mean, interval over seeds and standard deviation of every metric in every arm.

    Few arms are columns, which are easily compared; many are rows.
    """
    arms = study.summary.get("arms", {})
    cells = {
        (arm, name): _arm_cell(study, arms.get(arm, {}).get(name))
        for arm in study.arms
        for name in names
    }
    arm_heads = (f"{arm}#" for arm in study.arms)
    if len(study.arms) > MOST_COLUMNS:
        rows = [[Cell(arm), *(cells[arm, name] for name in names)] for arm in study.arms]
        heads, split = heads_of(names)
        if split is not None:
            caption = phrase("{caption}, on {split}", caption=caption, split=split)
        return Table((*columns("Arm"), *heads), rows, caption, **kind)
    rows = [[_titled(name), *(cells[arm, name] for arm in study.arms)] for name in names]
    return Table((*columns("Metric"), *arm_heads), rows, caption, **kind)


def _titled(name: str) -> Cell:
    metric, split = metric_of(name)
    return Cell(title(metric), note=phrase("on {split}", split=split))


def _said(name: str) -> str:
    return on_split(*metric_of(name))


def _arm_cell(study: StudyContents, value: Comparison | None) -> Cell:
    if value is None:
        return Cell(NONE)
    spread, value = value.get("sd"), shown_interval(study, value)
    note = _between(value)
    if spread is not None:
        sd = phrase("sd {sd}", sd=decimal(spread))
        note = phrase("{interval}, {sd}", interval=note, sd=sd) if note else sd
    return Cell(decimal(value["value"]), note=note)


def comparison_tables(study: StudyContents, rows: Sequence[Comparison]) -> list[Table]:
    """All comparisons; where they are many a table a metric, of which the first is open."""
    folds = study.folds is not None
    if len(rows) <= MOST_ROWS:
        caption = phrase(
            "Differences with 95 % intervals over folds and over images"
            if folds
            else "Differences with 95 % intervals over seeds and over images"
        )
        return [_comparisons(study, rows, caption, folded=False)]
    names = dict.fromkeys(row["metric"] for row in rows)
    return [
        _comparisons(
            study,
            [row for row in rows if row["metric"] == name],
            phrase(
                "Differences in {metric}, with 95 % intervals over folds and over images"
                if folds
                else "Differences in {metric}, with 95 % intervals over seeds and over images",
                metric=_said(name),
            ),
            folded=number > 0,
        )
        for number, name in enumerate(names)
    ]


def _comparisons(
    study: StudyContents, rows: Sequence[Comparison], caption: str, *, folded: bool
) -> Table:
    folds = study.folds is not None
    heads = columns("Over folds#") if folds else columns("Over seeds#", "Over seeds and images#")
    keys = ["folds"] if folds else ["seeds", "both"]
    cells = [_comparison(study, row, keys) for row in rows]
    rest = columns("Corrected p#", "Over images#", "Verdict")
    return Table((*columns("Comparison"), *heads, *rest), cells, caption, folded)


def _comparison(study: StudyContents, row: Comparison, keys: Sequence[str]) -> list[Cell]:
    shades = {"better": "good", "worse": "bad"}
    verdict = quality(row)
    return [
        Cell(pair_named(row["arm"], row["against"]), note=_said(row["metric"])),
        *(_tested_cell(row, key) for key in keys),
        Cell(p_value(row["p_holm"])),
        _difference_cell(row.get("images")),
        Cell(
            phrase(VERDICTS[verdict]), corrected_away(study, row), mark=shades.get(verdict, "quiet")
        ),
    ]


def _tested_cell(row: Comparison, key: str) -> Cell:
    if key == "both" and row.get("basis") == "seeds":
        return Cell(NONE, note=phrase("not known image by image"))
    return _difference_cell(row.get(key))


def _difference_cell(test: Comparison | None) -> Cell:
    if not test:
        return Cell(NONE)
    found = test["difference"]
    return Cell(signed(found.get("value")), note=_between(found, signed))


def _between(found: Comparison, show: Callable[..., str] = decimal) -> str:
    """The interval, a dash where several give none, and nothing of one."""
    known = not math.isnan(real(found.get("low")))
    return between(found, show) if known or found["n"] > 1 else ""


def costs_table(study: StudyContents) -> Table | None:
    """What a run of every arm costs: mean and standard deviation over the arm's runs."""
    heads: Phrases = {
        "parameters": "Parameters",
        "epochs": "Epochs",
        "seconds": "Training, s",
        "latency_ms": "Latency of one image, ms",
    }
    shown = {
        "parameters": partial(decimal, digits=0),
        "epochs": partial(decimal, digits=1),
        "seconds": seconds,
        "latency_ms": partial(decimal, digits=2),
    }
    costs = study.summary.get("costs", {})
    known = [name for name in heads if any(name in own for own in costs.values())]
    if not known:
        return None
    rows = [
        [Cell(arm), Cell(f"{max((own['n'] for own in costs[arm].values()), default=0)}")]
        + [_cost_cell(costs[arm].get(name), shown[name]) for name in known]
        for arm in study.arms
        if arm in costs
    ]
    names = [f"{phrase(heads[name])}#" for name in known]
    return Table(
        (*columns("Arm", "Runs#"), *names),
        rows,
        phrase("What a run costs, mean over an arm's runs"),
    )


def _cost_cell(value: Comparison | None, show: Callable[[float], str]) -> Cell:
    if value is None:
        return Cell(NONE)
    sd = value["sd"]
    return Cell(show(value["mean"]), note=phrase("sd {sd}", sd=show(sd)) if sd else "")


def published_table(study: StudyContents) -> Table:
    """What came out here, and below it what others reported and by how much ours is more."""
    arms, told = study.summary.get("arms", {}), study.published["values"]
    rows = []
    for arm in (*study.arms, *(study.published.get("others") or ())):
        if any(arm in values for values in told.values()):
            cells = [
                _published_cell(arms.get(arm, {}).get(name), values.get(arm))
                for name, values in told.items()
            ]
            rows.append([Cell(arm), *cells])
    heads, split = heads_of(list(told))
    caption = phrase(
        "Here, and as published: {source}"
        if split is None
        else "On {split} here, and as published: {source}",
        source=study.published["source"],
        split=split,
    )
    return Table((*columns("Arm"), *heads), rows, caption)


def _published_cell(found: Comparison | None, published: float | None) -> Cell:
    value = None if found is None else found["value"]
    here = NONE if value is None else decimal(value, 4)
    if published is None:
        return Cell(here)
    note = phrase("published {value}", value=decimal(published, 4))
    if value is not None:
        difference = signed(value - published)
        note = phrase("{published}, {difference}", published=note, difference=difference)
    return Cell(here, note=note)


def runs_table(study: StudyContents, linked: Callable[[str], str | None]) -> Table:
    """Every run, with a link to its own report where there is one."""
    assert study.results is not None
    shown = [name for name in study.metrics if name in study.results.columns]
    rows = []
    for row in study.results.iter_rows(named=True):
        href = linked(row["run"])
        words = Job(row["arm"], row["seed"], row.get("fold")).words
        name = Cell(words, href=quote(href) if href else "")
        if row["status"] != "done":
            blank = [Cell(NONE)] * (len(shown) + 2)
            rows.append(
                [name, Cell(_status(row["status"]), str(row["error"] or ""), mark="bad"), *blank]
            )
            continue
        numbers = [Cell(decimal(row[metric])) for metric in shown]
        best = phrase("{n} of {total}", n=row["best_epoch"] or NONE, total=row["epochs"])
        trained = [Cell(best), Cell(f"{seconds(row['seconds'])} s")]
        rows.append([name, Cell(_status(row["status"])), *trained, *numbers])
    heads, split = heads_of(shown)
    named = columns("Run", "Status", "Best epoch#", "Time#")
    caption = "Every run" if split is None else "Every run, with its metrics on {split}"
    return Table((*named, *heads), rows, phrase(caption, split=split))


_STATUS: Phrases = {"done": "done", "failed": "failed"}


def _status(status: str) -> str:
    return phrase(_STATUS.get(status, status))
