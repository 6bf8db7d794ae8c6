"""A study in sentences: what changed, by how much, how surely, and what was not shown."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from regard.reports.blocks import Fact, Facts
from regard.reports.study_contents import StudyContents
from regard.reports.words import (
    between,
    count,
    decimal,
    listed,
    lower_is_better,
    p_value,
    percent,
    real,
    said,
    signed,
    title,
)

Comparison = Mapping[str, Any]
NOT_SHOWN = "no difference shown"


def study_words(study: StudyContents) -> list[str]:
    """What was run, and what failed."""
    return [_what_was_run(study), *_failures(study)]


def compared(study: StudyContents, arm: str, against: str) -> list[Comparison]:
    """The comparisons of two arms, a metric each."""
    rows = study.summary.get("comparisons", [])
    return [row for row in rows if (row["arm"], row["against"]) == (arm, against)]


def _what_was_run(study: StudyContents) -> str:
    seeds = {run.seed for run in study.runs}
    text = f"{count(len(study.arms), 'arm')} ({listed(study.arms)}), "
    text += f"trained with {count(len(seeds), 'seed')} each, "
    text += f"evaluated on {listed(study.splits)}; {study.baseline} is the baseline."
    return text + (
        " An interval over seeds says what another training would give, one over images what "
        "other images would. A difference counts as shown when its p-value over seeds, corrected "
        "for the number of comparisons of that metric (Holm), is below 0.05."
    )


def pair_words(rows: Sequence[Comparison]) -> str:
    """What was shown of two arms, and what was not."""
    shown = [row for row in rows if row["verdict"] != NOT_SHOWN]
    rest = [row for row in rows if row["verdict"] == NOT_SHOWN]
    sentences = [_shown(row) for row in shown]
    if rest:
        told = "; ".join(_not_shown(row) for row in rest)
        sentences.append(f"{NOT_SHOWN.capitalize()} for {told}.")
    return " ".join(sentences)


def _shown(row: Comparison) -> str:
    found = row["seeds"]["difference"]
    metric, split = metric_of(row["metric"])
    text = (
        f"{title(metric)} on {split} is {row['verdict']} by {decimal(abs(real(found['value'])))} "
        f"(interval over {count(found['n'], 'seed')} {between(found, signed)}, corrected p "
        f"{p_value(row['p_holm'])}), which is {quality(row)}"
    )
    if row.get("images"):
        text += f"; over images {between(row['images']['difference'], signed)}"
    return f"{text}."


def _not_shown(row: Comparison) -> str:
    metric, split = metric_of(row["metric"])
    text = f"{said(metric)} on {split}"
    if row["seeds"] is None:
        return f"{text} (no seed that both arms finished)"
    found = row["seeds"]["difference"]
    if found["n"] < 2:
        return f"{text} ({signed(found['value'])} with one seed, which allows no interval)"
    p = f"corrected p {p_value(row['p_holm'])}"
    return f"{text} ({signed(found['value'])}, interval {between(found, signed)}, {p})"


def metric_of(name: str) -> tuple[str, str]:
    """Metric and split of `SPLIT.METRIC`."""
    split, _, metric = name.partition(".")
    return metric, split


def quality(row: Comparison) -> str:
    """`better` or `worse` of a shown difference, else its verdict."""
    if row["verdict"] == NOT_SHOWN:
        return NOT_SHOWN
    lower = lower_is_better(metric_of(row["metric"])[0])
    return "better" if (row["verdict"] == "lower") == lower else "worse"


def _failures(study: StudyContents) -> list[str]:
    if study.results is None:
        return []
    failed = study.results.filter(pl.col("status") != "done")
    if failed.is_empty():
        return []
    names = [f"{row['arm']} seed {row['seed']}" for row in failed.iter_rows(named=True)]
    return [f"{count(len(failed), 'run')} failed and is in no number here: {listed(names)}."]


def study_facts(study: StudyContents) -> Facts:
    """The first comparison's differences, metric by metric."""
    facts, caption = [], ""
    for arm, against in study.pairs[:1]:
        caption = f"{arm} less {against}, with intervals over seeds"
        for row in compared(study, arm, against)[:6]:
            if row["seeds"] is None:
                continue
            metric, split = metric_of(row["metric"])
            found = row["seeds"]["difference"]
            name = f"{title(metric)} on {split}"
            note = f"{between(found, signed)}; {quality(row)}"
            facts.append(Fact(name, signed(found["value"]), note))
    return Facts(facts, caption if facts else "")


def control_words(study: StudyContents) -> list[str]:
    """What the control arms were."""
    words = []
    for arm, values in study.summary.get("controls", {}).items():
        share = values.get("overlap")
        text = f"{arm} was guided with regions moved to the wrong place. "
        if share is None:
            text += "How much of the own region they cover is not known."
        else:
            text += f"On average they still cover {percent(share)} of the own region."
        words.append(
            f"{text} Whatever this arm gains too does not come from looking at the right place."
        )
    return words
