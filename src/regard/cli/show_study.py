"""What a study shows when it is done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.cli.console import NONE, decimal, plural, print_json, say, table, with_interval
from regard.cli.stopping import stop
from regard.cli.study_view import StudyView
from regard.reports import study_report
from regard.reports.languages import language_of
from regard.studies.remarks import remarks
from regard.studies.runner import run_study
from regard.studies.settings import Study


def run_and_show(
    study: Study,
    out: Path,
    *,
    workers: int | None = None,
    as_json: bool = False,
    lang: str = "en",
) -> None:
    """Run a study, print its tables and write its report."""
    language_of(lang)  # an unknown one is refused before any work
    try:
        with StudyView(study, out) as view:
            summary = run_study(study, out, view, workers=workers)
    except KeyboardInterrupt:
        stop("stopped; the same command goes on from here", 130)
    if as_json:
        print_json(summary)
    else:
        show_summary(study, summary)
    path = study_report(out, language=lang)
    if not as_json:
        say(f"Report: {path}")
    if view.remedies:
        failed = plural(len(view.remedies), "run")
        stop("; ".join([f"{failed} failed", *dict.fromkeys(view.remedies)]), 1)


def show_summary(study: Study, summary: dict[str, Any]) -> None:
    """The arms with intervals, what they cost, the comparisons, and the controls."""
    _show_arms(study, summary)
    _show_costs(summary.get("costs", {}))
    _show_comparisons(study, summary["comparisons"])
    _show_gaze(summary["gaze"])
    _show_published(study, summary["arms"])
    for text in remarks(study, summary):
        say(text)
    for arm, found in summary["controls"].items():
        share = "an unknown share" if found["overlap"] is None else f"{found['overlap']:.1%}"
        say(f"{arm}: the {found['regions']} regions cover {share} of the true ones")


def _show_arms(study: Study, summary: dict[str, Any]) -> None:
    """Means with intervals over seeds; of one seed, and of folds, over images."""
    names, arms = _names(study), summary["arms"]
    seeds = plural(len(study.seeds), "seed")
    if study.folds is not None:
        title = f"Pooled over {study.folds} folds, mean over {seeds}, 95% interval over images"
    elif len(study.seeds) == 1:
        title = "Of one training each, with 95% interval over images"
    else:
        title = f"Mean over {seeds} and 95% interval (Student t)"
    over_images = study.folds is not None or len(study.seeds) == 1
    show = _over_images if over_images else with_interval
    rows = [[name, *(show(arms[arm].get(name)) for arm in arms)] for name in names]
    table(title, ["", *arms], rows)


def _over_images(value: dict[str, Any] | None) -> str:
    images = None if value is None else value.get("images")
    if value is None or images is None:
        return with_interval(value)
    return with_interval(images | {"value": value["value"]})


def _show_costs(costs: Mapping[str, Mapping[str, Any]]) -> None:
    """Training time, epochs, parameters and where it was measured latency, by arm."""
    heads = {
        "seconds": ("training, s", 0),
        "epochs": ("epochs", 1),
        "parameters": ("parameters", 0),
        "latency_ms": ("latency, ms", 2),
    }
    known = [name for name in heads if any(name in told for told in costs.values())]
    rows = [
        [arm, *(_cost(told.get(name), heads[name][1]) for name in known)]
        for arm, told in costs.items()
    ]
    if known:
        title = "Of a run, mean ± standard deviation over the arm's runs"
        table(title, ["arm", *(heads[name][0] for name in known)], rows)


def _cost(value: Mapping[str, Any] | None, digits: int) -> str:
    if value is None:
        return NONE
    spread = f" ± {value['sd']:,.{digits}f}" if value["sd"] else ""
    return f"{value['mean']:,.{digits}f}{spread}"


def _show_comparisons(study: Study, found: Sequence[dict[str, Any]]) -> None:
    """Differences with their intervals, what was tested, and the verdict."""
    folds = study.folds is not None
    rows = [
        [
            row["metric"],
            f"{row['arm']} - {row['against']}",
            _difference(row),
            _within(row["images"]),
            NONE if row["p_holm"] is None else f"{row['p_holm']:.3g}",
            row["verdict"],
        ]
        for row in found
    ]
    over = "over folds" if folds else "over seeds"
    columns = ["", "difference", over, "over images", "p (Holm)", "verdict"]
    which = "of the pooled predictions" if folds else "paired by seed and by image"
    table(f"Differences, {which}, and their 95% intervals", columns, rows, left=2)


def _difference(row: dict[str, Any]) -> str:
    test = row["folds"] or row["seeds"] or row["images"]
    return NONE if test is None else with_interval(test["difference"])


def _within(test: dict[str, Any] | None) -> str:
    found = test and test["difference"]
    if not found or found["low"] is None:
        return NONE
    return f"{decimal(found['low'])} to {decimal(found['high'])}"


def _names(study: Study) -> list[str]:
    return [f"{split}.{metric}" for split in study.splits for metric in study.metrics]


def _show_gaze(rows: list[dict[str, Any]]) -> None:
    """How scores of maps are spread over images, and what they are to be held against."""
    names = ("mean", "median", "sd", "uniform", "best")
    cells = [[row["metric"], row["arm"], *(decimal(row[n]) for n in names)] for row in rows]
    if cells:
        columns = ["", "arm", "mean", "median", "sd", "uniform map", "best map"]
        table("Over images, each with its mean over the seeds", columns, cells, left=2)


def _show_published(study: Study, arms: dict[str, Any]) -> None:
    """What others reported beside what came out."""
    if study.published is None:
        return
    rows = [
        [name, arm, f"{value:.4f}", with_interval(arms.get(arm, {}).get(name))]
        for name, values in study.published.values.items()
        for arm, value in values.items()
    ]
    table(f"Beside {study.published.source}", ["", "arm", "published", "here"], rows, left=2)
