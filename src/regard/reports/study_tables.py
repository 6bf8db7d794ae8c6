"""Tables that set a study's arms side by side."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from regard.reports.blocks import Cell, Matrices, Matrix, Table
from regard.reports.study_contents import StudyContents
from regard.reports.study_words import Comparison, corrected_away, metric_of, quality
from regard.reports.words import NONE, between, decimal, p_value, real, signed, title


def arms_table(study: StudyContents, names: Sequence[str], caption: str, **kind: bool) -> Table:
    """Mean, interval over seeds and standard deviation: a row a metric, a column an arm."""
    arms = study.summary.get("arms", {})
    rows = []
    for name in names:
        metric, split = metric_of(name)
        cells = [_arm_cell(arms.get(arm, {}).get(name)) for arm in study.arms]
        rows.append([Cell(title(metric), note=f"on {split}"), *cells])
    return Table(("Metric", *(f"{arm}#" for arm in study.arms)), rows, caption, **kind)


def _arm_cell(value: Comparison | None, places: int = 3) -> Cell:
    if value is None:
        return Cell(NONE)
    spread = value.get("sd")
    note = between(value) if real(value.get("low")) == real(value.get("low")) else ""
    if spread is not None:
        note += f", sd {decimal(spread)}"
    return Cell(decimal(value["value"], places), note=note.lstrip(", "))


def comparisons_table(study: StudyContents, rows: Sequence[Comparison]) -> Table:
    """Difference, interval over seeds, corrected p, and over images, of every comparison."""
    shades = {"better": "good", "worse": "bad"}
    cells = []
    for row in rows:
        metric, split = metric_of(row["metric"])
        seeds, images = row.get("seeds"), row.get("images")
        over_seeds = seeds["difference"] if seeds else {}
        over_images = images["difference"] if images else {}
        verdict = quality(row)
        cells.append(
            [
                Cell(f"{row['arm']} − {row['against']}", note=f"{title(metric)} on {split}"),
                Cell(
                    signed(over_seeds.get("value")),
                    note=between(over_seeds, signed) if over_seeds else "",
                ),
                Cell(p_value(row["p_holm"])),
                Cell(
                    signed(over_images.get("value")),
                    note=between(over_images, signed) if over_images else "",
                ),
                Cell(verdict, corrected_away(study, row), mark=shades.get(verdict, "quiet")),
            ]
        )
    head = ("Comparison", "Over seeds#", "Corrected p#", "Over images#", "Verdict")
    return Table(head, cells, "Differences with 95 % intervals over seeds and over images")


def gaze_table(study: StudyContents) -> Table:
    """How the scores of maps are spread over images, and what they are to be held against."""
    rows = []
    for row in study.summary["gaze"]:
        metric, split = metric_of(row["metric"])
        numbers = (row[name] for name in ("mean", "median", "sd", "uniform", "best"))
        what = Cell(row["arm"], note=f"{title(metric)} on {split}")
        rows.append([what, *(Cell(NONE if v is None else decimal(v)) for v in numbers)])
    head = ("Arm", "Mean#", "Median#", "sd#", "A uniform map#", "The best map#")
    return Table(head, rows, "Over images, each with its mean over the seeds")


def confusion_matrices(study: StudyContents, largest: int = 8) -> list[Matrices]:
    """Of each split the arms' confusion matrices, for so many classes at most."""
    found = []
    for split, own in study.summary.get("confusion", {}).items():
        if len(own["classes"]) > largest:
            continue
        matrices = []
        for arm in study.arms:
            if (counts := own["arms"].get(arm)) is None:
                continue
            cells = [[(count, count / max(sum(row), 1)) for count in row] for row in counts]
            matrices.append(Matrix(own["classes"], cells, f"{arm} on {split}"))
        found.append(Matrices(matrices))
    return found


def published_table(study: StudyContents) -> Table:
    """What others reported beside what came out here."""
    arms = study.summary.get("arms", {})
    rows = []
    for name, values in study.published["values"].items():
        metric, split = metric_of(name)
        for arm, value in values.items():
            found = arms.get(arm, {}).get(name)
            less = NONE if found is None else signed(found["value"] - value)
            what = Cell(arm, note=f"{title(metric)} on {split}")
            rows.append([what, Cell(decimal(value, 4)), _arm_cell(found, 4), Cell(less)])
    head = ("Arm", "Published#", "Here#", "Here less published#")
    return Table(head, rows, f"Beside what {study.published['source']} report")


def runs_table(study: StudyContents, linked: Callable[[str], str | None]) -> Table:
    """Every run, with a link to its own report where there is one."""
    assert study.results is not None
    shown = [name for name in study.metrics if name in study.results.columns]
    rows = []
    for row in study.results.iter_rows(named=True):
        href = linked(row["run"])
        name = Cell(f"{row['arm']}, seed {row['seed']}", href=quote(href) if href else "")
        if row["status"] != "done":
            blank = [Cell(NONE)] * (len(shown) + 2)
            rows.append(
                [name, Cell(str(row["status"]), str(row["error"] or ""), mark="bad"), *blank]
            )
            continue
        numbers = [Cell(decimal(row[metric])) for metric in shown]
        trained = [Cell(f"{row['best_epoch'] or NONE} of {row['epochs']}")]
        trained.append(Cell(f"{real(row['seconds']):,.0f} s"))
        rows.append([name, Cell(str(row["status"])), *trained, *numbers])
    heads = (f"{title(metric_of(m)[0])} on {metric_of(m)[1]}#" for m in shown)
    return Table(("Run", "Status", "Best epoch#", "Time#", *heads), rows, "Every run")
