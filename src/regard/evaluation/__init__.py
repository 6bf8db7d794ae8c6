"""How good predictions are, and whether one model really is better than another."""

from regard.evaluation.curves import curves, precision_recall_curve, reliability_diagram, roc_curve
from regard.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    student_interval,
    wilson_interval,
)
from regard.evaluation.metrics import evaluate
from regard.evaluation.paired import (
    McNemar,
    PairedTest,
    compare_accuracy,
    flips,
    holm,
    mcnemar_exact,
    paired_bootstrap,
    paired_student,
    same_images,
)
from regard.evaluation.table import classes, labels, predictions_table, probabilities, validate

__all__ = [
    "Interval",
    "McNemar",
    "PairedTest",
    "bootstrap_interval",
    "classes",
    "compare_accuracy",
    "curves",
    "evaluate",
    "flips",
    "holm",
    "labels",
    "mcnemar_exact",
    "paired_bootstrap",
    "paired_student",
    "precision_recall_curve",
    "predictions_table",
    "probabilities",
    "reliability_diagram",
    "roc_curve",
    "same_images",
    "student_interval",
    "validate",
    "wilson_interval",
]
