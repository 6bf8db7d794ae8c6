"""A study in sentences: what changed, by how much, how surely, and what was not shown."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from regard.reports.blocks import Fact, Verdict
from regard.reports.study_contents import StudyContents
from regard.reports.words import (
    between,
    count,
    listed,
    lower_is_better,
    percent,
    real,
    signed,
    title,
)

Comparison = Mapping[str, Any]
NOT_SHOWN, NOT_TESTED = "no difference shown", "not tested"


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
        " An interval over seeds (Student t) says what another training would give, one over "
        "images what other images would. A difference counts as shown when its p\u2011value over "
        "seeds, corrected for the number of comparisons of that metric (Holm), is below 0.05."
    )


def verdict_of(study: StudyContents, arm: str, against: str) -> Verdict:
    """What was shown of two arms, for the better and for the worse, and what was not."""
    facts: dict[str, list[Fact]] = {}
    for row in compared(study, arm, against):
        facts.setdefault(quality(row), []).append(_found(study, row))
    marks = {"better": "good", "worse": "bad", NOT_SHOWN: "quiet", NOT_TESTED: "quiet"}
    groups = [(word.capitalize(), marks[word], facts[word]) for word in marks if word in facts]
    return Verdict(f"{arm} − {against}", groups)


def _found(study: StudyContents, row: Comparison) -> Fact:
    metric, split = metric_of(row["metric"])
    name = f"{title(metric)} on {split}"
    if row["seeds"] is None:
        return Fact(name, "", "no seed that both arms finished")
    found = row["seeds"]["difference"]
    if found["n"] < 2:
        return Fact(name, signed(found["value"]), "one seed, which allows no interval")
    parts = [between(found, signed), corrected_away(study, row)]
    return Fact(name, signed(found["value"]), ", ".join(filter(None, parts)))


def corrected_away(study: StudyContents, row: Comparison) -> str:
    """What is said where an interval excludes zero and the corrected p-value shows nothing."""
    found = row["seeds"]["difference"] if row["seeds"] else {}
    low, high = real(found.get("low")), real(found.get("high"))
    if row["verdict"] != NOT_SHOWN or not (low > 0 or high < 0):
        return ""
    rows = study.summary.get("comparisons", [])
    number = sum(r["metric"] == row["metric"] and r["p_holm"] is not None for r in rows)
    return f"not after correction for {count(number, 'comparison')}"


def contrary_words(study: StudyContents) -> list[str]:
    """Where one arm is shown to look at the region more, and to be right less often."""
    words = []
    for arm, against in study.pairs:
        shown = {r["metric"]: r for r in compared(study, arm, against) if r["seeds"]}
        for split in study.splits:
            right, gaze = (shown.get(f"{split}.{m}") for m in ("accuracy", "energy"))
            if right and gaze and (quality(right), quality(gaze)) == ("worse", "better"):
                words.append(_contrary(arm, against, split, right, gaze))
    return words


def _contrary(arm: str, against: str, split: str, right: Comparison, gaze: Comparison) -> str:
    more, less = (signed(row["seeds"]["difference"]["value"]) for row in (gaze, right))
    return (
        f"On {split}, {arm} has more of its maps' energy in the region than {against} ({more}) and "
        f"is less accurate ({less}). A gaze on the region need not make a net more accurate on "
        "every split; these numbers do not say why."
    )


def metric_of(name: str) -> tuple[str, str]:
    """Metric and split of `SPLIT.METRIC`."""
    split, _, metric = name.partition(".")
    return metric, split


def quality(row: Comparison) -> str:
    """`better` or `worse` of a shown difference, else its verdict."""
    if row["verdict"] in (NOT_SHOWN, NOT_TESTED):
        return row["verdict"]
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


def control_words(study: StudyContents) -> list[str]:
    """What the control arms were."""
    words = []
    for arm, values in study.summary.get("controls", {}).items():
        share = values.get("overlap")
        which = {"mean": "the mean region of all samples"}
        wrong = which.get(values.get("regions", ""), "regions moved to the wrong place")
        text = f"{arm} was guided with {wrong}. "
        if share is None:
            text += "How much of the own region that covers is not known."
        else:
            text += f"On average that still covers {percent(share)} of the own region."
        words.append(
            f"{text} Whatever this arm gains too does not come from looking at the right place."
        )
    return words
