"""The report of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import yaml

from regard.data.settings import Task
from regard.errors import RegardError, RunError
from regard.evaluation.gaze import by_class, each_image, score_names
from regard.language import phrase, speaking
from regard.progress import Step
from regard.reports.blocks import Block, Heading, Note, Page, Section, Source, Text
from regard.reports.class_curves import ranking_curves
from regard.reports.confusion import confusion, first_mistakes
from regard.reports.contents import RunContents, SplitContents, read_run
from regard.reports.galleries import run_galleries
from regard.reports.gaze import (
    against_correctness,
    distributions,
    gaze_table,
    summary_of,
)
from regard.reports.history import learning_curves
from regard.reports.languages import language_of
from regard.reports.latency import latency_section
from regard.reports.levels import in_order, level_blocks
from regard.reports.mask_galleries import mask_galleries
from regard.reports.mean_maps import mean_maps_section
from regard.reports.methods import methods_compared
from regard.reports.multilabel import set_results
from regard.reports.page import write_page
from regard.reports.patches import patches_section
from regard.reports.predictions import class_table, metrics_table
from regard.reports.run_summary import run_facts, run_words
from regard.reports.samples_section import samples_section
from regard.reports.segmentation import (
    gaze_classes,
    pixel_classes,
    pixel_confusion,
    pixel_metrics,
)
from regard.reports.set_galleries import set_galleries
from regard.reports.threshold import threshold_blocks
from regard.reports.trained_pictures import trained_on
from regard.reports.words import count
from regard.runs.files import dump_json


def run_report(
    run: Path,
    out: Path | None = None,
    *,
    pictures: int = 12,
    language: str = "en",
    progress: Step | None = None,
) -> Path:
    """Write a run's report from the files of its folder; what is not there is said.

    Args:
        run: the run's folder.
        out: the file to write; None: `report.html` in the folder.
        pictures: samples in each gallery; 0 makes no pictures and loads no net.
        language: of the text and the numbers, `en` or `fr`.
        progress: called with the number of samples after each.

    Returns:
        The file's path.

    Raises:
        RunError: this is no run's folder, or its files are not as this version writes them.
        ConfigError: reports are not written in that language.
    """
    with speaking(language_of(language)):
        contents = read_run(Path(run))
        with _as_written(contents):
            page = run_page(contents, pictures, progress)
        return write_page(page, Path(out or run / "report.html"))


@contextmanager
def _as_written(run: RunContents) -> Iterator[None]:
    """Within, what is missing in a file or of another kind is the folder's fault, not a crash."""
    try:
        yield
    except RegardError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise RunError(
            str(run.folder),
            expected="files as this version of regard writes them",
            found=f"{type(error).__name__}: {error}"[:120],
            remedy="evaluate the run again, or restore its files",
        ) from error


def run_page(run: RunContents, pictures: int, progress: Step | None) -> Page:
    """The page of a run."""
    sections = [
        Section("summary", phrase("Summary"), [run_facts(run), Text(run_words(run), lead=True)]),
        samples_section(run),
        _training(run, pictures),
        *(_split(run, split, pictures, progress) for split in run.splits),
    ]
    if not run.splits:
        text = phrase("No split has been evaluated yet; regard evaluate writes what is shown here.")
        sections.append(Section("results", phrase("Results"), [Note(text)]))
    sections += mean_maps_section(run)
    sections += patches_section(run) if pictures else []
    sections += latency_section(run)
    sections.append(_settings(run))
    classes = count(len(run.classes), "class", "classes")
    subtitle = f"{run.config['model'].get('spec', '')}, {classes}"
    return Page(phrase("Run report"), run.folder.resolve().name, subtitle, sections, _made(run))


def _training(run: RunContents, pictures: int) -> Section:
    blocks: list[Block] = []
    curves = learning_curves(run)
    blocks.append(
        curves or Note(phrase("log.jsonl holds no finished epoch, so there are no curves."))
    )
    if run.notes:
        blocks += [Heading(phrase("Notes of the log")), Text(run.notes[:20])]
    blocks += trained_on(run) if pictures else []
    return Section("training", phrase("Training"), blocks)


def _split(run: RunContents, split: SplitContents, pictures: int, progress: Step | None) -> Section:
    blocks: list[Block] = [Note(text) for text in split.missing]
    results, galleries = _BY_TASK[run.task]
    blocks += [*results(split), *threshold_blocks(split, run.threshold)]
    blocks += _gaze(run, split)
    blocks += [] if split.methods is None else methods_compared(split.methods)
    blocks += galleries(run, split, pictures, len(run.splits), progress)
    return Section(
        f"split-{_anchor(split.name)}", phrase("Results on {split}", split=split.name), blocks
    )


def _anchor(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)


def _classification(split: SplitContents) -> list[Block]:
    numbers = split.numbers
    if not numbers:
        return []
    blocks: list[Block] = [metrics_table(numbers, numbers.get("level", 0.95))]
    blocks += level_blocks(numbers)
    blocks += [Heading(phrase("Classes")), Text([first_mistakes(numbers)])]
    blocks += [*confusion(in_order(numbers)), class_table(numbers)]
    if split.predictions is not None and len(split.predictions):
        blocks += ranking_curves(split.predictions, numbers)
    return blocks


def _segmentation(split: SplitContents) -> list[Block]:
    numbers = split.numbers
    if not numbers:
        return []
    return [pixel_metrics(numbers), *pixel_confusion(numbers), pixel_classes(numbers)]


def _sets(split: SplitContents) -> list[Block]:
    return [*set_results(split.numbers, split.predictions), *level_blocks(split.numbers)]


Results = Callable[[SplitContents], list[Block]]
Galleries = Callable[[RunContents, SplitContents, int, int, Step | None], list[Block]]
_BY_TASK: dict[Task, tuple[Results, Galleries]] = {
    "classification": (_classification, run_galleries),
    "multilabel": (_sets, set_galleries),
    "segmentation": (_segmentation, mask_galleries),
}


def _gaze(run: RunContents, split: SplitContents) -> list[Block]:
    scores = split.scores
    if scores is None:
        return []
    names = score_names(scores)
    if not any(np.isfinite(each_image(scores, name)).any() for name in names):
        text = phrase(
            "No map of {split} could be scored: there is no region, or every map is zero.",
            split=split.name,
        )
        return [Heading(phrase("Gaze")), Note(text)]
    blocks: list[Block] = [
        Heading(phrase("Gaze")),
        gaze_table(scores, summary_of(split, run.method), run.maps),
    ]
    blocks.append(distributions(scores))
    if by_class(scores):
        about = "mask" if run.segments else "label"
        blocks += gaze_classes(scores, summary_of(split, run.method), about)
    if "energy" in names and "correct" in scores.columns:
        blocks += against_correctness(scores)
    return blocks


def _settings(run: RunContents) -> Section:
    text = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    blocks: list[Block] = [Source("config.yaml", text)]
    if run.environment:
        blocks.append(Source("environment.json", dump_json(run.environment, indent=1)))
    return Section("settings", phrase("Settings"), blocks)


def _made(run: RunContents) -> list[str]:
    versions = [f"{k} {run.environment[k]}" for k in ("regard", "torch") if k in run.environment]
    made = phrase("Every number on this page is read or computed from the run's folder.")
    if not versions:
        return [made]
    return [f"{phrase('Trained with {versions}.', versions=', '.join(versions))} {made}"]
