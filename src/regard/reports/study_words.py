"""A study in sentences: what changed, by how much, how surely, and what was not shown."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from regard.evaluation.direction import lower_is_better
from regard.evaluation.names import split_and_metric
from regard.language import Phrases, phrase, plural
from regard.reports.blocks import Fact, Verdict
from regard.reports.study_contents import StudyContents
from regard.reports.words import (
    between,
    clauses,
    count,
    listed,
    on_split,
    p_value,
    pair_named,
    percent,
    real,
    signed,
)
from regard.studies.settings import Job

Comparison = Mapping[str, Any]
NOT_SHOWN, NOT_TESTED = "no difference shown", "not tested"
VERDICTS: Phrases = {
    "better": "better",
    "worse": "worse",
    NOT_SHOWN: "no difference shown",
    NOT_TESTED: "not tested",
}


def study_words(study: StudyContents) -> list[str]:
    """What was run, and what failed."""
    return [_what_was_run(study), *study.remarks, *_readings(study), *_failures(study)]


def compared(study: StudyContents, arm: str, against: str) -> list[Comparison]:
    """The comparisons of two arms, a metric each."""
    rows = study.summary.get("comparisons", [])
    return [row for row in rows if (row["arm"], row["against"]) == (arm, against)]


def _what_was_run(study: StudyContents) -> str:
    seeds = {run.seed for run in study.runs}
    text = phrase(
        "{arms} ({names}), trained with {seeds} each, evaluated on {splits}; {baseline} is the "
        "baseline."
        if study.folds is None
        else "{arms} ({names}), trained with {seeds} each in {folds} folds, evaluated on {splits}; "
        "{baseline} is the baseline.",
        arms=count(len(study.arms), "arm"),
        names=listed(study.arms),
        seeds=count(len(seeds), "seed"),
        folds=study.folds,
        splits=listed(study.splits),
        baseline=study.baseline,
    )
    return f"{text} {_how_seeds(len(seeds)) if study.folds is None else _how_folds(study)}"


def _how_seeds(seeds: int) -> str:
    if seeds < 2:
        return phrase("An interval over images says what other images would give from these nets.")
    return phrase(
        "An interval over seeds (Student t) says what another training would give on these images, "
        "one over images what other images would give from these nets. A difference counts as "
        "shown when it holds over both: when the p\u2011value of the test in which trainings and "
        "images both vary, never below that over seeds alone, is below 0.05 after correction for "
        "the number of comparisons of that metric (Holm)."
    )


def _how_folds(study: StudyContents) -> str:
    told = study.summary.get("folds") or {}
    sizes = told.get("test") or []
    size = str((sizes or ["?"])[0])
    if sizes and min(sizes) < max(sizes):
        size = phrase("{low} to {high}", low=min(sizes), high=max(sizes))
    return phrase(
        "Each of {images} is test in one fold (of {size} images), and the metrics are those of all "
        "these predictions together, not means of the folds' metrics. An interval over images says "
        "what other images would give from these nets. A difference counts as shown when the "
        "p\u2011value of the corrected t\u2011test over folds (Nadeau and Bengio, 2003), "
        "corrected for the number of comparisons of that metric (Holm), is below 0.05.",
        images=count(told.get("images", 0), "image"),
        size=size,
    )


def over_images(study: StudyContents) -> bool:
    """Whether the arms' intervals are shown over images: of folds, and of one seed."""
    seeds = {run.seed for run in study.runs}
    return study.folds is not None or len(seeds) < 2


def shown_interval(study: StudyContents, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An arm's number with the interval that is shown of it."""
    images = value.get("images")
    if not over_images(study) or not images:
        return value
    ends = {key: images[key] for key in ("low", "high", "n")}
    return {**value, **ends}


def tested(row: Comparison) -> Mapping[str, Any] | None:
    """The difference that a verdict rests on: over folds, else over seeds and images."""
    return row.get("folds") or row.get("both") or row.get("seeds")


def verdict_of(study: StudyContents, arm: str, against: str) -> Verdict:
    """What was shown of two arms, for the better and for the worse, and what was not."""
    facts: dict[str, list[Fact]] = {}
    for row in compared(study, arm, against):
        facts.setdefault(quality(row), []).append(found_of(study, row))
    marks = {"better": "good", "worse": "bad", NOT_SHOWN: "quiet", NOT_TESTED: "quiet"}
    said = {word: phrase(VERDICTS[word]) for word in marks}
    groups = [
        (said[word][0].upper() + said[word][1:], mark, facts[word])
        for word, mark in marks.items()
        if word in facts
    ]
    return Verdict(pair_named(arm, against), groups)


def found_of(study: StudyContents, row: Comparison) -> Fact:
    """A difference with its interval, or why there is none."""
    name = on_split(*metric_of(row["metric"]))
    test = tested(row)
    if test is None:
        return Fact(name, "", phrase("no seed that both arms finished"))
    found = test["difference"]
    if found["n"] < 2:
        return Fact(name, signed(found["value"]), _of_one(row))
    parts = [between(found, signed), corrected_away(study, row)]
    return Fact(name, signed(found["value"]), ", ".join(filter(None, parts)))


def _of_one(row: Comparison) -> str:
    """Of one training each: what other images would give from these nets."""
    images = row.get("images")
    if not images:
        return phrase("one seed, which allows no interval")
    p = (images.get("mcnemar") or images)["p_value"]
    return phrase(
        "these nets alone, over images {interval}"
        if p is None
        else "these nets alone, over images {interval}, p {p}",
        interval=between(images["difference"], signed),
        p=p_value(p),
    )


def corrected_away(study: StudyContents, row: Comparison) -> str:
    """Why nothing is shown where the interval over seeds excludes zero."""
    if row["verdict"] != NOT_SHOWN:
        return ""
    test = tested(row)
    if test and _excludes_zero(test["difference"]):
        rows = study.summary.get("comparisons", [])
        number = sum(r["metric"] == row["metric"] and r["p_holm"] is not None for r in rows)
        comparisons = count(number, "comparison")
        return phrase("not after correction for {comparisons}", comparisons=comparisons)
    if row.get("both") and row["seeds"] and _excludes_zero(row["seeds"]["difference"]):
        return phrase("over seeds on these images, not with other images")
    return ""


def _excludes_zero(found: Mapping[str, Any]) -> bool:
    return real(found.get("low")) > 0 or real(found.get("high")) < 0


def contrary_words(study: StudyContents) -> list[str]:
    """Where one arm is shown to look at the region more, and to be right less often."""
    words = []
    for arm, against in study.pairs:
        shown = {r["metric"]: r for r in compared(study, arm, against) if tested(r)}
        for split in study.splits:
            right, gaze = (shown.get(f"{split}.{m}") for m in ("accuracy", "energy"))
            if right and gaze and (quality(right), quality(gaze)) == ("worse", "better"):
                words.append(_contrary(arm, against, split, right, gaze))
    return words


def _contrary(arm: str, against: str, split: str, right: Comparison, gaze: Comparison) -> str:
    more, less = (signed((tested(row) or {})["difference"]["value"]) for row in (gaze, right))
    return phrase(
        "On {split}, {arm} has more of its maps' energy in the region than {against} ({more}) and "
        "is less accurate ({less}). A gaze on the region need not make a net more accurate on "
        "every split; these numbers do not say why.",
        split=split,
        arm=arm,
        against=against,
        more=more,
        less=less,
    )


def metric_of(name: str) -> tuple[str, str]:
    """Metric and split of `SPLIT.METRIC`."""
    split, metric = split_and_metric(name)
    return metric, split


def quality(row: Comparison) -> str:
    """`better` or `worse` of a shown difference, else its verdict."""
    if row["verdict"] in (NOT_SHOWN, NOT_TESTED):
        return row["verdict"]
    lower = lower_is_better(metric_of(row["metric"])[0])
    return "better" if (row["verdict"] == "lower") == lower else "worse"


def _readings(study: StudyContents) -> list[str]:
    """How often test was read, as the runs have it on record."""
    reads = [run.contents.read("test") for run in study.runs]
    if not reads or "test" not in study.splits or not any(reads):
        return []
    most = max(reads)
    text = (
        "The test split was read once with each of these runs."
        if most == 1
        else "The test split was read up to {times} times with each of these runs."
    )
    return [phrase(text, times=most)]


def _failures(study: StudyContents) -> list[str]:
    if study.results is None:
        return []
    failed = study.results.filter(pl.col("status") != "done")
    if failed.is_empty():
        return []
    names = [
        Job(row["arm"], row["seed"], row.get("fold")).words for row in failed.iter_rows(named=True)
    ]
    return [
        plural(
            len(names),
            "{n} run failed and is in no number here: {names}.",
            "{n} runs failed and are in no number here: {names}.",
            names=clauses(*names),
        )
    ]


def control_words(study: StudyContents) -> list[str]:
    """What the control arms were."""
    words = []
    for arm, values in study.summary.get("controls", {}).items():
        share = values.get("overlap")
        told = [
            phrase(
                "{arm} was guided with the mean region of all samples."
                if values.get("regions") == "mean"
                else "{arm} was guided with regions moved to the wrong place.",
                arm=arm,
            ),
            phrase(
                "How much of the own region that covers is not known."
                if share is None
                else "On average that still covers {share} of the own region.",
                share=percent(share),
            ),
            phrase("Whatever this arm gains too does not come from looking at the right place."),
        ]
        words.append(" ".join(told))
    return words
