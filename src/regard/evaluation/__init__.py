"""How good predictions are, and whether one model really is better than another."""

from regard.evaluation.curves import curves, precision_recall_curve, reliability_diagram, roc_curve
from regard.evaluation.intervals import (
    Interval,
    bootstrap_interval,
    student_interval,
    wilson_interval,
)
from regard.evaluation.label_sets import sets_table
from regard.evaluation.metrics import evaluate
from regard.evaluation.multilabel import evaluate_multilabel
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
    "evaluate_multilabel",
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
    "sets_table",
    "student_interval",
    "validate",
    "wilson_interval",
]
