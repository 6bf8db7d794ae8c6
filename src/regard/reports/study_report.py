"""The report of a study."""

import os
from pathlib import Path

import yaml

from regard.language import phrase, speaking
from regard.progress import Step
from regard.reports.blocks import Block, Heading, Note, Page, Section, Source, Text, Verdicts
from regard.reports.languages import language_of
from regard.reports.latency import TITLE, latency_tables
from regard.reports.mean_maps import mean_maps
from regard.reports.page import write_page
from regard.reports.study_by_arm import confusion_matrices, gaze_table
from regard.reports.study_contents import StudyContents, read_study_folder
from regard.reports.study_figures import dots, gaze_by_arm, overlaid, parted_losses
from regard.reports.study_galleries import study_galleries
from regard.reports.study_tables import (
    arms_table,
    comparison_tables,
    costs_table,
    published_table,
    runs_table,
)
from regard.reports.study_verdicts import MOST_CARDS, largest_words, lead_words, verdicts_table
from regard.reports.study_words import (
    compared,
    contrary_words,
    control_words,
    over_images,
    study_words,
    verdict_of,
)


def study_report(
    study: Path,
    out: Path | None = None,
    *,
    pictures: int = 8,
    language: str = "en",
    progress: Step | None = None,
) -> Path:
    """Write a study's report from the files of its folder; what is not there is said.

    Args:
        study: the study's folder.
        out: the file to write; None: `report.html` in the folder.
        pictures: samples in each gallery; 0 makes no pictures and loads no net.
        language: of the text and the numbers, `en` or `fr`.
        progress: called with the number of samples after each.

    Returns:
        The file's path.

    Raises:
        RunError: this is no study's folder.
        ConfigError: reports are not written in that language.
    """
    out = Path(out or Path(study) / "report.html")
    with speaking(language_of(language)):
        contents = read_study_folder(Path(study))
        return write_page(study_page(contents, out, pictures, progress), out)


def study_page(study: StudyContents, out: Path, pictures: int, progress: Step | None) -> Page:
    """The page of a study, to be written to `out`."""
    sections = [
        _summary(study),
        _results(study),
        *_where(study),
        *_learning(study),
        *_latency(study),
        *_means(study),
        *_pictures(study, pictures, progress),
        *_runs(study, out),
        Section("settings", phrase("Settings"), [Source("study.yaml", _yaml(study))]),
    ]
    name = str(study.study.get("name") or study.folder.resolve().name)
    title = str(study.study.get("title") or name)
    made = [phrase("Every number on this page is read or computed from the study's folder.")]
    return Page(phrase("Study report"), title, str(study.study.get("about") or ""), sections, made)


def _summary(study: StudyContents) -> Section:
    if not study.summary:
        text = phrase("summary.json cannot be read; it is written when the study's runs are done.")
        return Section("summary", phrase("Summary"), [Note(text)])
    words = study_words(study)
    blocks: list[Block] = []
    verdicts = [verdict_of(study, *pair) for pair in study.pairs if compared(study, *pair)]
    if len(verdicts) > 1:
        blocks.append(Text(lead_words(study), lead=True))
    if len(verdicts) > MOST_CARDS:
        title = phrase("Every comparison in words")
        largest = largest_words(study)
        blocks += [Text(largest, lead=True)] if largest else []
        blocks += [verdicts_table(study), Verdicts(verdicts, folded=title)]
    elif verdicts:
        blocks.append(Verdicts(verdicts))
    contrary = contrary_words(study)
    if contrary:
        blocks.append(Text(contrary))
    controls = control_words(study)
    if controls:
        blocks += [Heading(phrase("Controls")), Text(controls)]
    elif _guided(study) and not any("misplaced" in str(v) for v in study.study["arms"].values()):
        text = phrase(
            "No arm was guided with regions in the wrong place, so what guidance gains may come "
            "from something else than the right place."
        )
        blocks.append(Note(text))
    blocks += [Heading(phrase("How to read this")), Text(words)]
    return Section("summary", phrase("Summary"), blocks)


def _guided(study: StudyContents) -> bool:
    """Whether any arm was trained with guidance."""
    return "terms" in str([study.study.get("base"), *study.study["arms"].values()])


def _results(study: StudyContents) -> Section:
    if not study.metrics:
        return Section(
            "results", phrase("Results"), [Note(phrase("No result of an arm is recorded."))]
        )
    blocks: list[Block] = [dots(study)]
    blocks.append(arms_table(study, study.metrics, _caption(study)))
    if study.published:
        blocks.append(published_table(study))
    rows = study.summary.get("comparisons", [])
    if rows:
        blocks += comparison_tables(study, rows)
    costs = costs_table(study)
    if costs is not None:
        blocks.append(costs)
    known = {name for values in study.summary["arms"].values() for name in values}
    matrices = confusion_matrices(study)
    if matrices:
        text = phrase(
            "Counts are summed over the seeds: a row is a label, a column a prediction."
            if study.folds is None
            else "Counts are summed over the folds and seeds: a row is a label, a column a "
            "prediction."
        )
        blocks += [Heading(phrase("Who is taken for whom")), Text([text]), *matrices]
    rest = sorted(known - set(study.metrics))
    if rest:
        blocks.append(arms_table(study, rest, phrase("All other metrics"), folded=True))
    return Section("results", phrase("Results"), blocks)


def _caption(study: StudyContents) -> str:
    if study.folds is not None:
        return phrase(
            "Pooled over {folds} folds, with 95 % intervals over images", folds=study.folds
        )
    return phrase(
        "Means with 95 % intervals over images"
        if over_images(study)
        else "Means with 95 % intervals over seeds"
    )


def _where(study: StudyContents) -> list[Section]:
    found = gaze_by_arm(study)
    if found is None:
        return []
    text = phrase("Each image counts with its mean over the seeds; the further right, the higher.")
    table = [gaze_table(study)] if study.summary.get("gaze") else []
    return [Section("gaze", phrase("Gaze"), [Text([text]), found, *table])]


def _learning(study: StudyContents) -> list[Section]:
    found = overlaid(study)
    if found is None:
        return []
    text = phrase(
        "Bold lines are means over the seeds, thin ones single runs."
        if study.folds is None
        else "Bold lines are means over the seeds and folds, thin ones single runs."
    )
    if parted_losses(study):
        loss = phrase(
            "Not drawn is the loss: arms may add other terms to it, so its height says nothing of "
            "one arm beside another. Compare them by the cross-entropy."
        )
        text = f"{text} {loss}"
    return [Section("training", phrase("Training"), [Text([text]), found])]


def _latency(study: StudyContents) -> list[Section]:
    """Where every finished run was measured."""
    # Of the folds of a seed one was measured.
    benches = {
        arm: [run.contents.bench for run in study.of(arm) if not run.fold] for arm in study.arms
    }
    blocks = latency_tables({arm: own for arm, own in benches.items() if own}, phrase("Arm"))
    return [Section("latency", phrase(*TITLE), blocks)] if blocks else []


def _means(study: StudyContents) -> list[Section]:
    """Where each arm looks as a rule, of the runs whose maps were averaged."""
    blocks = [block for arm in study.arms for run in study.of(arm)
              for block in mean_maps(run.contents, arm=arm)]  # fmt: skip
    return [Section("means", phrase("Mean maps"), blocks)] if blocks else []


def _pictures(study: StudyContents, pictures: int, progress: Step | None) -> list[Section]:
    found = {split: study_galleries(study, split, pictures, progress) for split in study.splits}
    return [
        Section(f"pictures-{number}", phrase("Pictures of {split}", split=split), blocks)
        for number, (split, blocks) in enumerate(found.items())
        if blocks
    ]


def _runs(study: StudyContents, out: Path) -> list[Section]:
    if study.results is None:
        text = phrase("results.parquet cannot be read, so the runs are not listed.")
        return [Section("runs", phrase("Runs"), [Note(text)])]

    def linked(run: str) -> str | None:
        report = study.folder / run / "report.html"
        return Path(os.path.relpath(report, out.parent)).as_posix() if report.is_file() else None

    return [Section("runs", phrase("Runs"), [runs_table(study, linked)])]


def _yaml(study: StudyContents) -> str:
    return yaml.safe_dump(dict(study.study), sort_keys=False, allow_unicode=True)
