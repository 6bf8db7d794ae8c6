"""What each arm shows image by image: the spread of its gaze, and who is taken for whom."""

from regard.language import phrase
from regard.reports.blocks import Cell, Matrices, Matrix, Table
from regard.reports.study_contents import StudyContents
from regard.reports.study_words import metric_of
from regard.reports.words import NONE, columns, decimal, on_split

# With more classes matrices no longer fit side by side.
_MOST_CLASSES = 8


def gaze_table(study: StudyContents) -> Table:
    """How the scores of maps are spread over images, and what they are to be held against."""
    rows = []
    for row in study.summary["gaze"]:
        metric, split = metric_of(row["metric"])
        numbers = (row[name] for name in ("mean", "median", "sd", "uniform", "best"))
        what = Cell(row["arm"], note=on_split(metric, split))
        rows.append([what, *(Cell(NONE if v is None else decimal(v)) for v in numbers)])
    head = columns("Arm", "Mean#", "Median#", "sd#", "A uniform map#", "The best map#")
    return Table(head, rows, phrase("Over images, each with its mean over the seeds"))


def confusion_matrices(study: StudyContents) -> list[Matrices]:
    """Of each split the arms' confusion matrices, if the classes are few."""
    found = []
    for split, own in study.summary.get("confusion", {}).items():
        if len(own["classes"]) > _MOST_CLASSES:
            continue
        matrices = []
        for arm in study.arms:
            if (counts := own["arms"].get(arm)) is None:
                continue
            cells = [[(count, count / max(sum(row), 1)) for count in row] for row in counts]
            matrices.append(
                Matrix(own["classes"], cells, phrase("{arm} on {split}", arm=arm, split=split))
            )
        found.append(Matrices(matrices))
    return found
