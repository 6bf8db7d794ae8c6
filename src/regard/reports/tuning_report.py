"""The report of a tuning."""

import os
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import yaml

from regard.language import Phrases, phrase, plural, speaking
from regard.reports.blocks import (
    Block,
    Cell,
    Fact,
    Facts,
    Heading,
    Note,
    Page,
    Section,
    Source,
    Table,
    Text,
)
from regard.reports.languages import language_of
from regard.reports.page import write_page
from regard.reports.tuning_axes import brief, named, plain, short
from regard.reports.tuning_contents import TuningContents, read_tuning_folder
from regard.reports.tuning_figures import (
    MOST_CURVES,
    curves,
    front,
    history,
    importance,
    slices,
)
from regard.reports.tuning_words import best_words, importance_words, searched
from regard.reports.words import NONE, columns, count, decimal, real, seconds

# Trials that are read at one go.
OPEN = 30


def tuning_report(folder: Path, out: Path | None = None, *, language: str = "en") -> Path:
    """Write a tuning's report from the files of its folder; what is not there is said.

    Args:
        folder: of the tuning.
        out: the file to write; None: `report.html` in the folder.
        language: of the text and the numbers, `en` or `fr`.

    Returns:
        The file's path.

    Raises:
        RunError: this is no tuning's folder.
        ConfigError: reports are not written in that language.
    """
    out = Path(out or Path(folder) / "report.html")
    with speaking(language_of(language)):
        contents = read_tuning_folder(Path(folder))
        return write_page(tuning_page(contents, out), out)


def tuning_page(tuning: TuningContents, out: Path) -> Page:
    """The page of a tuning, to be written to `out`."""
    known = tuning.trials is not None and not tuning.of("complete").is_empty()
    sections = [
        _summary(tuning),
        *(_figures(tuning) if known else []),
        _trials(tuning, out),
        Section("settings", phrase("Settings"), _settings(tuning)),
    ]
    name = str(tuning.tuning.get("name") or tuning.folder.resolve().name)
    made = [phrase("Every number on this page is read or computed from the tuning's folder.")]
    return Page(
        phrase("Tuning report"),
        str(tuning.tuning.get("title") or name),
        str(tuning.tuning.get("about") or ""),
        sections,
        made,
    )


def _summary(tuning: TuningContents) -> Section:
    if not tuning.summary or tuning.trials is None:
        text = phrase("tuning.json or trials.parquet cannot be read; they are written at the end.")
        return Section("summary", phrase("Summary"), [Note(text)])
    blocks: list[Block] = [_facts(tuning)]
    if not tuning.best:
        blocks.append(Note(phrase("No trial was completed, so there is no best one.")))
    blocks += [Text(best_words(tuning)), *_chosen(tuning)]
    blocks += [_space(tuning), Text(searched(tuning))]
    return Section("summary", phrase("Summary"), blocks)


def _facts(tuning: TuningContents) -> Facts:
    facts = []
    done, states = tuning.of("complete"), tuning.summary["states"]
    for metric in tuning.metrics:
        values = done[metric].to_numpy()
        if len(values):
            pick = np.min if tuning.lower(metric) else np.max
            note = phrase(
                "the lowest of {n}; the median is {median}"
                if tuning.lower(metric)
                else "the highest of {n}; the median is {median}",
                n=len(values),
                median=decimal(np.median(values)),
            )
            facts.append(Fact(named(metric), decimal(pick(values)), note))
    told = phrase(
        "{states}; {epochs} in {time}",
        states=", ".join(phrase(_STATES[name], n=states[name]) for name in _STATES if states[name]),
        epochs=count(tuning.summary.get("epochs", 0), "epoch"),
        time=duration(real(tuning.summary.get("seconds"))),
    )
    facts.append(Fact(phrase("Trials"), f"{sum(states.values())}", told))
    return Facts(facts)


_STATES: Phrases = {
    "complete": "{n} complete",
    "pruned": "{n} broken off",
    "failed": "{n} failed",
}


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if not np.isfinite(seconds):
        return NONE
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{decimal(seconds / 3600, 1)} h"


def _chosen(tuning: TuningContents) -> list[Block]:
    """What the best trial chose, or those of the front."""
    best = tuning.summary.get("best", [])
    if not best:
        return []
    rows = [
        [Cell(key), *(Cell(_said(row["params"].get(key))) for row in best)] for key in tuning.keys
    ]
    for metric in reversed(tuning.metrics):
        rows.insert(0, [Cell(named(metric)), *(Cell(decimal(row[metric])) for row in best)])
    rows.append([Cell(phrase("File")), *(Cell(row["config"]) for row in best)])
    heads = [f"{phrase('Trial {number}', number=row['number'])}#" for row in best]
    caption = phrase("The best trial" if len(tuning.metrics) == 1 else "The trials of the front")
    ties = [
        plural(
            row["equals"],
            "{n} other trial is as good as trial {number}, which is the first of them.",
            "{n} other trials are as good as trial {number}, which is the first of them.",
            number=row["number"],
        )
        for row in best
        if row["equals"]
    ]
    table = Table((*columns("Key"), *heads), rows, caption)
    return [table, Text(ties)] if ties else [table]


def _space(tuning: TuningContents) -> Table:
    rows = []
    for key, own in tuning.tuning["search"].items():
        if own.get("choices") is not None:
            choices = ", ".join(_said(choice) for choice in own["choices"])
            told = phrase("one of {choices}", choices=choices)
        else:
            step = own.get("step")
            told = phrase(
                "{low} to {high} by {step}" if step is not None else "{low} to {high}",
                low=_said(own.get("low")),
                high=_said(own.get("high")),
                step=_said(step),
            )
            told = phrase("{values}, logarithmic", values=told) if own.get("log") else told
        rows.append([Cell(key), Cell(told)])
    return Table(columns("Key", "Values"), rows, phrase("What was searched"))


def _figures(tuning: TuningContents) -> list[Section]:
    sections = []
    if len(tuning.metrics) == 2:
        text = phrase(
            "No trial is better than one of the front in one objective and as good in the other."
        )
        sections.append(Section("front", phrase("The front"), [Text([text]), front(tuning)]))
    blocks: list[Block] = [history(tuning)]
    drawn = curves(tuning)
    if drawn is not None:
        blocks += [Heading(phrase("Epoch by epoch")), drawn]
    if len(tuning.epochs) > MOST_CURVES:
        text = phrase("The curves are of the first {n} trials.", n=MOST_CURVES)
        blocks.append(Note(text))
    sections.append(Section("history", phrase("How it went"), blocks))
    bars = importance(tuning)
    blocks = [Text(importance_words(tuning)), *([bars] if bars else [])]
    for metric in tuning.metrics:
        what = phrase("{metric}, key by key", metric=named(metric))
        blocks += [Heading(what), slices(tuning, metric)]
    sections.append(Section("keys", phrase("What mattered"), blocks))
    return sections


def _trials(tuning: TuningContents, out: Path) -> Section:
    if tuning.trials is None:
        text = phrase("trials.parquet cannot be read, so the trials are not listed.")
        return Section("trials", phrase("Trials"), [Note(text)])
    rows = [_row(tuning, row, out) for row in tuning.trials.iter_rows(named=True)]
    kinds = tuning.trials.schema
    keys = [short(k) + "#" * kinds[k].is_numeric() if k in kinds else short(k) for k in tuning.keys]
    values = (f"{named(metric)}#" for metric in tuning.metrics)
    heads = (*columns("Trial", "State"), *values, *keys, *columns("Best epoch#", "Time#"))
    failed = tuning.trials.filter(pl.col("state") == "failed")
    words = []
    if len(failed):
        text = plural(
            len(failed),
            "{n} trial failed and is in no figure.",
            "{n} trials failed and are in no figure.",
        )
        words.append(text)
    if not tuning.of("pruned").is_empty():
        words += [phrase("The value of a trial that was broken off is that of its last epoch.")]
    table = Table(heads, rows, phrase("Every trial"), folded=len(rows) > OPEN)
    return Section("trials", phrase("Trials"), [*([Text(words)] if words else []), table])


def _row(tuning: TuningContents, row: dict, out: Path) -> list[Cell]:
    report = tuning.folder / row["run"] / "report.html"
    href = quote(Path(os.path.relpath(report, out.parent)).as_posix()) if report.is_file() else ""
    state, note, mark = phrase("complete"), "", ""
    if row["state"] == "failed":
        state, note, mark = phrase("failed"), str(row["error"] or ""), "bad"
    elif row["state"] == "pruned":
        state, mark = phrase("broken off"), "quiet"
    elif row["number"] in tuning.best:
        state = phrase("best" if len(tuning.metrics) == 1 else "of the front")
        mark = "good"
    told = phrase("{n} of {total}", n=row["best_epoch"] or NONE, total=row["epochs"])
    return [
        Cell(str(row["number"]), href=href),
        Cell(state, note, mark=mark),
        *(Cell(decimal(row[metric], 4)) for metric in tuning.metrics),
        *(Cell(_said(row.get(key))) for key in tuning.keys),
        Cell(told),
        Cell(NONE if row["seconds"] is None else f"{seconds(row['seconds'])} s"),
    ]


def _said(value: object) -> str:
    if isinstance(value, float):
        return brief(value)
    return plain(value)


def _settings(tuning: TuningContents) -> list[Block]:
    text = yaml.safe_dump(dict(tuning.tuning), sort_keys=False, allow_unicode=True)
    blocks: list[Block] = [Source("tuning.yaml", text)]
    for row in tuning.summary.get("best", []):
        path = tuning.folder / row["config"]
        if path.is_file():
            blocks.append(Source(row["config"], path.read_text("utf-8")))
    return blocks
